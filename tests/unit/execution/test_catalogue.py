"""Every case of the catalogue, run by the real loop and the real activity, equals LangGraph's own plain run."""

import pytest
from langgraph.graph import StateGraph

from durablegraph.graphs.jsonable import jsonable
from tests.support.catalogue import CASES
from tests.support.plain import counting, executions, history_of, in_order, run_plainly, without_chance
from tests.unit.execution.durably import Durably, services_for


def answers(case):
    def answer(wait):
        if wait.kind == "breakpoint":
            return None
        given = {item.id: case.answer(item.value) for item in wait.interrupts}
        return given if len(given) > 1 else next(iter(given.values()))

    return answer


@pytest.mark.parametrize(
    ("fan_out", "deliveries", "nested"),
    [
        ("never", 1, False),
        ("never", 1, True),
        ("never", 2, True),
        ("always", 1, True),
        ("always", 2, True),
        ("always", 2, False),
    ],
)
@pytest.mark.parametrize("name", list(CASES))
async def test_a_durable_run_equals_a_plain_one(name, fan_out, deliveries, nested, tmp_path):
    case = CASES[name]
    plain = await run_plainly(case, tmp_path / "plain")
    built = case.build()
    graph = counting(built.compile() if isinstance(built, StateGraph) else built, tmp_path / "durable")
    services = services_for(graph, fan_out=fan_out, nested_steps=nested)
    for number, given in enumerate((case.input, *case.later)):
        run = Durably(services, cut=2, deliveries=deliveries, run_id=f"run{number}")
        config = dict(case.config)
        limit = config.pop("recursion_limit", None)
        await run.start(given, config=config, recursion_limit=limit, context=case.context)
        record = await run.carry(answers(case))
    assert record.status == ("failed" if plain.error else "completed")
    if plain.error:
        assert record.error.type == plain.error[0]
    else:
        assert jsonable(without_chance(await run.output())) == jsonable(plain.output)
    assert in_order(executions(tmp_path / "durable")) == in_order(plain.ran)
    if plain.unreadable is None:
        bound = graph.copy(update={"checkpointer": services.saver_of(await services.graphs.load("g"))})
        assert await history_of(bound, {"configurable": {"thread_id": "thread"}}) == plain.history
