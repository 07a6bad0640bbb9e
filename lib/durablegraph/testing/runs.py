"""A run of a graph under test. What a test does here goes through the handlers of the HTTP routes."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from durablegraph.api.http import ApiRequest, ApiResponse
from durablegraph.api.resources import ShownFailure, ShownInterrupt, ShownRun
from durablegraph.testing.instances import HubInstances
from durablegraph.testing.living import LivingApp
from durablegraph.testing.loops import LoopThread
from durablegraph.testing.orchestrations import LONGEST, Orchestration
from durablegraph.testing.verdicts import Refused, Stuck, WrongEnd
from durablegraph.testing.waiting import told

_SUCCESS = 300
_ENDED = {"completed", "failed", "cancelled", "timed_out", "terminated"}


async def call_api(
    living: LivingApp,
    route: str,
    path: Mapping[str, str],
    body: Any = None,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """The answer's body of a route, by the route's name, when all that follows has happened. Raises Refused."""
    from durablegraph.api.routes import by_name  # noqa: PLC0415 -- it imports LangGraph, which other apps do without
    from durablegraph.api.serving import serve  # noqa: PLC0415 -- as above

    chosen = by_name()[route]
    url = f"{living.address}/api/{chosen.template.format(**path)}"
    content = b"" if body is None and chosen.takes is None else json.dumps(body).encode()
    request = ApiRequest(chosen.method, url, path, query or {}, headers or {}, content)

    async def answered() -> ApiResponse:
        return await serve(chosen, living.services, HubInstances(living.client), request, living.clock.now)

    response = await living.do(answered, known=lambda: None)
    await living.settle()
    if response.status >= _SUCCESS:
        raise Refused(response.body, response.status)
    return response.body


class Run:
    """One run of a graph."""

    def __init__(self, thread: LoopThread, living: LivingApp, run_id: str) -> None:
        self._thread, self._living, self.id = thread, living, run_id

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}>"

    # -- looking ---------------------------------------------------------------------------------------------------
    @property
    def status(self) -> str:
        """pending, running, interrupted, completed, failed, cancelled, timed_out or terminated."""
        return self._shown().status

    @property
    def thread_id(self) -> str:
        """The thread it runs on."""
        return self._shown().thread_id

    @property
    def output(self) -> Any:
        """The state at its end, as JSON. Raises WrongEnd unless it has completed."""
        shown = self._shown()
        if shown.status != "completed":
            raise WrongEnd(f"Found no output. {self._thread.call(self._told())}")
        return shown.output

    @property
    def error(self) -> ShownFailure | None:
        """Why it failed (`type`, `message`, `node`), None when it did not."""
        return self._shown().error

    @property
    def interrupts(self) -> list[ShownInterrupt]:
        """What it waits for: `id`, `value`, `node`, `namespace`, `response_schema`, `answered`."""
        return self._shown().interrupts

    @property
    def next(self) -> list[str]:
        """The nodes that come next."""
        return self._shown().next

    @property
    def state(self) -> dict[str, Any]:
        """The thread's state, as `GET /threads/{thread}/state` shows it."""
        return dict(self._call("get_thread_state", thread=self.thread_id))

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        """The thread's checkpoints, oldest first, as `GET /threads/{thread}/history` shows them."""
        return self._thread.call(checkpoints_of(self._living, self.thread_id))

    @property
    def orchestration(self) -> Orchestration:
        """The Durable instance that carries it."""
        return Orchestration(self._thread, self._living, self.id)

    # -- going on --------------------------------------------------------------------------------------------------
    def until_interrupt(self, *, within: timedelta = LONGEST) -> Self:
        """Let time pass until it waits for an answer. Raises Stuck; WrongEnd when it ends without asking."""

        async def asked() -> bool:
            shown = await self._read()
            if shown.status in _ENDED:
                raise WrongEnd(f"It ended without an interrupt. {await self._told()}")
            return _waits(shown)

        self._thread.call(self._living.until(asked, within, self._told))
        return self

    def until_end(self, *, within: timedelta = LONGEST) -> Self:
        """Let time pass until it has ended, however it ends. Raises Stuck, at once when it waits for an answer."""

        async def ended() -> bool:
            shown = await self._read()
            if _waits(shown):
                raise Stuck(f"Nothing more happens. {await self._told()}")
            return shown.status in _ENDED

        self._thread.call(self._living.until(ended, within, self._told))
        return self

    def answer(self, value: Any = None, *, to: str | None = None) -> Self:
        """Answer what it waits for, and carry it as far as it goes now; `to` an interrupt's id when there are several.

        The same answer again gives the first one's result. Raises Refused: `already_answered`, `nothing_pending`, ...
        """
        body = value if to is None else {to: value}
        self._call("raise_run_event", body, event="resume")
        return self

    def cancel(self) -> Self:
        """Cancel it."""
        self._call("cancel_run")
        return self

    # -- within ----------------------------------------------------------------------------------------------------
    def _call(self, route: str, body: Any = None, **path: str) -> Any:
        return self._thread.call(call_api(self._living, route, {"run": self.id, **path}, body))

    def _shown(self) -> ShownRun:
        return self._thread.call(self._read())

    async def _read(self) -> ShownRun:
        return ShownRun.model_validate(await call_api(self._living, "get_run", {"run": self.id}))

    async def _told(self) -> str:
        return await told_of(self._living, await self._read())


async def checkpoints_of(living: LivingApp, thread_id: str) -> list[dict[str, Any]]:
    """A thread's checkpoints, oldest first."""
    found: list[dict[str, Any]] = []
    query = {"limit": "100"}
    while page := await call_api(living, "get_thread_history", {"thread": thread_id}, query=query):
        found += page
        query["before"] = page[-1]["checkpoint_id"]
    return found[::-1]


async def told_of(living: LivingApp, run: ShownRun) -> str:
    """How a run stands, for the text of an error."""
    head = f"The run {run.id} of the graph {run.graph!r} is {run.status}"
    if run.error is not None:
        return f"{head}: {run.error.type} in node {run.error.node!r}: {run.error.message}"
    if run.status == "completed":
        return f"{head}, its output is {json.dumps(run.output)[:500]}"
    if run.status in _ENDED:
        return f"{head}."
    questions = [
        f"{item.id} of node {item.node!r}: {json.dumps(item.value)[:300]}"
        for item in run.interrupts
        if not item.answered
    ]
    if questions:
        return f"{head} and waits for answers (run.answer(...)) to {'; '.join(questions)}."
    if _waits(run):
        return f"{head} before or after {', '.join(run.next)}: run.answer() lets it go on."
    return f"{head}; next: {', '.join(run.next) or 'nothing'}. {told(living.client, living.record, run.id)}"


def _waits(run: ShownRun) -> bool:
    """Whether it waits for somebody: a breakpoint has no interrupts."""
    return run.status == "interrupted" and (not run.interrupts or any(not item.answered for item in run.interrupts))
