"""The activity of a fan-out: some tasks of one super-step."""

from typing import Any

import azure.durable_functions as df

from durablegraph import clock
from durablegraph.model.messages import TasksCall
from durablegraph.model.names import TASKS_ACTIVITY
from durablegraph.opening import services

blueprint = df.Blueprint()


@blueprint.activity_trigger(input_name="call", activity=TASKS_ACTIVITY)
async def run_tasks(call: dict) -> Any:  # type: ignore[type-arg]  # the worker accepts a bare dict only
    """Take a `TasksCall`, return how many tasks have finished."""
    opened = await services()
    await opened.ready()
    from durablegraph.execution.fanning import run_chunk  # noqa: PLC0415 -- as in `advance_run`

    return await run_chunk(opened, TasksCall.model_validate(call), clock.now())
