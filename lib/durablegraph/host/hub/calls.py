"""Calls of a worker on the hub's behalf, and HTTP calls for `call_http`. Each comes to one command."""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import httpx

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import failures
from durablegraph.host.hub.state import ActivityTask
from durablegraph.host.invocation import (
    Datum,
    Invocation,
    InvocationResult,
    InvocationTimedOut,
    Worker,
    WorkerExited,
)

HTTP_ACTIVITY = "BuiltIn::HttpActivity"
_HTTP_SECONDS = 100.0
Ongoing = tuple[asyncio.Future[Any], Callable[[asyncio.Future[Any]], c.Command]]
"""A call that has begun, and what makes a command of its end."""


class Caller:
    """Turns effects into calls. `bindings` gives the trigger's parameter name of a function by its own name."""

    def __init__(self, worker: Worker, bindings: Mapping[str, str], timeout: timedelta | None) -> None:
        """`timeout` is the function timeout; None for none."""
        self.worker, self.bindings = worker, bindings
        self._limit = timeout
        self._seconds = None if timeout is None else timeout.total_seconds()
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the HTTP client, if there is one."""
        if self._http is not None:
            await self._http.aclose()

    def turn(self, effect: c.RunTurn) -> Ongoing:
        """Run one orchestrator turn."""
        call = Invocation(
            id=_new_id(),
            function=effect.name,
            kind="orchestrator",
            inputs={self.bindings.get(effect.name, "context"): Datum("string", effect.request)},
            instance_id=effect.instance_id,
        )
        return self._begin(call), partial(_turn_ended, effect)

    def activity(self, task: ActivityTask, function: str | None) -> Ongoing:
        """Run one activity; `function` None: there is no such function any more."""
        if task.name == HTTP_ACTIVITY:
            return asyncio.ensure_future(self._call_http(task)), asyncio.Future.result
        if function is None:
            missing = c.ActivityEnded(task.seq, failure=failures.activity_missing(task.name))
            return asyncio.ensure_future(_at_once(missing)), asyncio.Future.result
        call = Invocation(
            id=_new_id(),
            function=function,
            kind="activity",
            inputs={self.bindings.get(function, "input"): Datum("string", task.input)},
            instance_id=task.instance_id,
        )
        return self._begin(call), partial(self._activity_ended, task, call)

    def batch(self, effect: c.RunBatch) -> Ongoing:
        """Run one batch of an entity's operations."""
        call = Invocation(
            id=_new_id(),
            function=effect.name,
            kind="entity",
            inputs={self.bindings.get(effect.name, "context"): Datum("string", effect.request)},
            instance_id=effect.entity_id,
        )
        return self._begin(call), partial(self._batch_ended, effect)

    def _begin(self, call: Invocation) -> asyncio.Future[InvocationResult]:
        return asyncio.ensure_future(self.worker.invoke(call, timeout=self._seconds))

    def _activity_ended(
        self, task: ActivityTask, call: Invocation, answer: asyncio.Future[InvocationResult]
    ) -> c.Command:
        try:
            result = answer.result()
        except WorkerExited as exited:
            return c.ActivityEnded(task.seq, failure=failures.activity_lost(task.name, str(exited)))
        except InvocationTimedOut:
            limit = self._limit or timedelta()
            return c.ActivityEnded(
                task.seq, failure=failures.activity_timed_out(task.name, call.function, limit, call.id)
            )
        if result.error is not None:
            return c.ActivityEnded(task.seq, failure=failures.activity_failed(task.name, result.error))
        return c.ActivityEnded(task.seq, result=_text(result.output))

    def _batch_ended(self, effect: c.RunBatch, answer: asyncio.Future[InvocationResult]) -> c.Command:
        try:
            result = answer.result()
        except WorkerExited as exited:
            return c.BatchEnded(effect.entity_id, error=str(exited))
        except InvocationTimedOut:
            return c.BatchEnded(
                effect.entity_id, error=f"Timeout value of {self._limit} was exceeded by function: {effect.name}"
            )
        if result.error is not None:
            return c.BatchEnded(effect.entity_id, error=result.error.host_text)
        response = _parsed(result.output)
        if response is None or "results" not in response:
            return c.BatchEnded(effect.entity_id, error="The entity function's response is not a batch response.")
        return c.BatchEnded(effect.entity_id, response)

    async def _call_http(self, task: ActivityTask) -> c.Command:
        asked = json.loads(task.input)
        headers = {str(name): str(value) for name, value in (asked.get("headers") or {}).items()}
        content = asked.get("content")
        if content is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "text/plain; charset=utf-8"
        if self._http is None:
            self._http = httpx.AsyncClient(timeout=_HTTP_SECONDS, follow_redirects=True)
        try:
            response = await self._http.request(asked["method"], asked["uri"], headers=headers, content=content)
        except httpx.HTTPError as error:
            return c.ActivityEnded(task.seq, failure=failures.http_failed(_http_error(error, asked["uri"])))
        shown = {
            name.title(): value for name, value in response.headers.items() if not name.lower().startswith("content-")
        }
        answer = {"statusCode": response.status_code, "headers": shown, "content": response.text}
        return c.ActivityEnded(task.seq, result=json.dumps(answer, ensure_ascii=False))


def _turn_ended(effect: c.RunTurn, answer: asyncio.Future[InvocationResult]) -> c.Command:
    try:
        result = answer.result()
    except WorkerExited as exited:
        return c.TurnAnswered(effect.instance_id, effect.token, lost=str(exited))
    except InvocationTimedOut:
        return c.TurnAbandoned(effect.instance_id, effect.token)
    if result.error is not None:
        return c.TurnAnswered(effect.instance_id, effect.token, error=result.error)
    return c.TurnAnswered(effect.instance_id, effect.token, response=_parsed(result.output))


async def _at_once(command: c.Command) -> c.Command:
    return command


def _http_error(error: httpx.HTTPError, uri: str) -> str:
    if isinstance(error, httpx.ConnectError):
        url = httpx.URL(uri)
        return f"Connection refused ({url.host}:{url.port or (443 if url.scheme == 'https' else 80)})"
    return str(error) or type(error).__name__


def _text(output: Datum | None) -> str:
    return "null" if output is None or output.kind == "none" else str(output.value)


def _parsed(output: Datum | None) -> dict[str, Any] | None:
    try:
        value = json.loads(_text(output))
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _new_id() -> str:
    return str(uuid.uuid4())
