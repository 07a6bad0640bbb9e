"""A case of the catalogue, run by the real loop and the real activity, equals LangGraph's own plain run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph.graph import StateGraph

from durablegraph.graphs.jsonable import jsonable
from durablegraph.services import Services
from tests.support.plain import counting, executions, history_of, in_order, run_plainly, without_chance
from tests.unit.execution.durably import Durably


async def assert_equals_plain(
    case: Any, folder: Path, services_of: Callable[[Any], Services], *, deliveries: int, thread_id: str = "thread"
) -> Services:
    """Run the case both ways; `services_of` makes the services of its graph, which are the result."""
    plain = await run_plainly(case, folder / "plain")
    built = case.build()
    graph = counting(built.compile() if isinstance(built, StateGraph) else built, folder / "durable")
    services = services_of(graph)
    for number, given in enumerate((case.input, *case.later)):
        run = Durably(services, cut=2, deliveries=deliveries, run_id=f"run{number}", thread_id=thread_id)
        config = dict(case.config)
        limit = config.pop("recursion_limit", None)
        await run.start(given, config=config, recursion_limit=limit, context=case.context)
        record = await run.carry(_answers(case))
    assert record.status == ("failed" if plain.error else "completed")
    if plain.error:
        assert record.error is not None
        assert record.error.type == plain.error[0]
    else:
        assert jsonable(without_chance(await run.output())) == jsonable(plain.output)
    assert in_order(executions(folder / "durable")) == in_order(plain.ran)
    if plain.unreadable is None:
        bound = graph.copy(update={"checkpointer": services.saver_of(await services.graphs.load("g"))})
        assert await history_of(bound, {"configurable": {"thread_id": thread_id}}) == plain.history
    return services


def _answers(case: Any) -> Callable[[Any], Any]:
    def answer(wait: Any) -> Any:
        if wait.kind == "breakpoint":
            return None
        given = {item.id: case.answer(item.value) for item in wait.interrupts}
        return given if len(given) > 1 else next(iter(given.values()))

    return answer
