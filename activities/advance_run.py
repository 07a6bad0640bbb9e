"""The activity of a run: one super-step, or a look at what is stored."""

from typing import Any

import azure.durable_functions as df

from durablegraph import clock
from durablegraph.model.messages import AdvanceCall, decision_json
from durablegraph.model.names import ADVANCE_ACTIVITY
from durablegraph.opening import services

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="call", activity=ADVANCE_ACTIVITY)
async def advance_run(call: dict) -> Any:  # type: ignore[type-arg]  # the worker accepts a bare dict only
    """Take an `AdvanceCall`, return a decision; both hold ids and small numbers only."""
    opened = await services()
    await opened.ready()
    from durablegraph.execution.advance import advance  # noqa: PLC0415 -- needs LangGraph, as the app's import does not

    return decision_json(await advance(opened, AdvanceCall.model_validate(call), clock.now))
