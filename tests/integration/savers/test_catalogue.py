"""Every case of the catalogue on a saver that is not ours equals LangGraph's own plain run."""

import uuid

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


async def assert_equals_plain(name, saver, folder, *, deliveries, fan_out):
    case = CASES[name]
    plain = await run_plainly(case, folder / "plain")
    built = case.build()
    graph = counting(built.compile() if isinstance(built, StateGraph) else built, folder / "durable")
    services = services_for(graph, checkpointer=saver, fan_out=fan_out)
    thread = uuid.uuid4().hex
    for number, given in enumerate((case.input, *case.later)):
        run = Durably(services, cut=2, deliveries=deliveries, run_id=f"run{number}", thread_id=thread)
        config = dict(case.config)
        limit = config.pop("recursion_limit", None)
        await run.start(given, config=config, recursion_limit=limit, context=case.context)
        record = await run.carry(answers(case))
    assert record.status == ("failed" if plain.error else "completed")
    if plain.error:
        assert record.error.type == plain.error[0]
    else:
        assert jsonable(without_chance(await run.output())) == jsonable(plain.output)
    assert in_order(executions(folder / "durable")) == in_order(plain.ran)
    if plain.unreadable is None:
        bound = graph.copy(update={"checkpointer": saver})
        assert await history_of(bound, {"configurable": {"thread_id": thread}}) == plain.history
    assert [each async for each in services.saver.alist({"configurable": {"thread_id": thread}})] == []


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.parametrize(("deliveries", "fan_out"), [(1, "never"), (2, "never"), (2, "always")])
@pytest.mark.parametrize("name", list(CASES))
async def test_a_run_on_postgres_equals_a_plain_one(name, deliveries, fan_out, saver, tmp_path):
    await assert_equals_plain(name, saver, tmp_path, deliveries=deliveries, fan_out=fan_out)


@pytest.mark.parametrize("kind", ["sqlite", "sync sqlite", "sync postgres"], indirect=True)
@pytest.mark.parametrize("name", list(CASES))
async def test_a_run_on_another_saver_equals_a_plain_one(name, saver, tmp_path):
    await assert_equals_plain(name, saver, tmp_path, deliveries=2, fan_out="never")
