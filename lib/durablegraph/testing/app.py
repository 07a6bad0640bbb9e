"""The app under test, for tests that block: open it, drive it, move its clock, break it, close it."""

import json
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from durablegraph.host.hub.client import encode
from durablegraph.host.invocation import Datum, Invocation, InvocationResult
from durablegraph.new_app import template
from durablegraph.testing.clock import Clock
from durablegraph.testing.faults import Storage
from durablegraph.testing.journaling import ActivityCall
from durablegraph.testing.living import LivingApp, Options
from durablegraph.testing.loops import LoopThread
from durablegraph.testing.moments import Moment
from durablegraph.testing.orchestrations import Entity, Orchestration
from durablegraph.testing.replaying import read_turns, replay
from durablegraph.testing.runs import Run, call_api
from durablegraph.testing.verdicts import CrashNeverCame, WrongEnd


class DurableApp:
    """A Functions app in this process, with its state in memory. Close it, or use it in a `with` statement.

    One app is open at a time, because a process has one environment and one set of modules. Every method returns when
    nothing more can happen before the clock moves; between two calls nothing happens. Methods block: in an async test
    they block its loop, which the app does not use. Without a Functions app of your own, `graphs` alone will do.
    """

    _open: ClassVar[bool] = False

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        graphs: Mapping[str, object] | None = None,
        settings: Mapping[str, str] | None = None,
        now: datetime | None = None,
        parallel: int = 1,
        limit: float = 30.0,
    ) -> None:
        """Load the app in `folder`; `graphs` (compiled, builders, factories) stand in the place of its own.

        `settings` are environment variables; `now` is the clock's first moment, by default the present second;
        `parallel` activities run at once, one by default so that a test takes the same course each time; `limit` is the
        longest that one call may take, in seconds of real time. Raises the host's errors for an app that does not load.
        """
        if DurableApp._open:
            raise RuntimeError(
                "Another app is open in this process, which has one environment and one set of modules: "
                "close() it first."
            )
        place = Path(folder).resolve() if folder is not None else template() if graphs is not None else Path.cwd()
        options = Options(place, graphs, dict(settings or {}), now, parallel, limit)
        DurableApp._open = True
        self._state = tempfile.TemporaryDirectory(prefix="durablegraph-")
        self._thread = LoopThread()
        self._closed = False
        try:
            self._living = self._thread.call(_made(options, Path(self._state.name)))
            self.clock = Clock(self._living.clock, lambda delta: self._thread.call(self._living.advance(delta)))
            self._thread.call(self._living.open())
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if error is None:
            self._check_orders()

    def close(self) -> None:
        """End the app. Raises CrashNeverCame for what was ordered and did not come. A second call does nothing."""
        if not self._closed:
            self._close()
            self._check_orders()

    # -- graphs ----------------------------------------------------------------------------------------------------
    def start(self, graph: str, graph_input: Any = None, **request: Any) -> Run:
        """Start a run of a graph and carry it as far as it goes now. Raises Refused as the HTTP route does.

        `request` has the members of the route's body: `thread_id`, `config`, `context`, `metadata`, `interrupt_before`,
        `interrupt_after`, `command`.
        """
        body = {"input": graph_input, **request}
        key = {"idempotency-key": uuid.uuid4().hex}
        started = self._thread.call(call_api(self._living, "start_run", {"graph": graph}, body, headers=key))
        return Run(self._thread, self._living, str(started["id"]))

    # -- any orchestration -----------------------------------------------------------------------------------------
    def orchestrate(self, name: str, given: Any = None, *, instance_id: str | None = None) -> Orchestration:
        """Start an orchestration and carry it as far as it goes now; `given` is its input, any JSON."""
        self._living.host.find(name, "orchestrator")
        chosen = instance_id or uuid.uuid4().hex
        living = self._living

        async def begin() -> None:
            await living.do(
                lambda: living.client.start(name, encode(given), instance_id=chosen),
                known=lambda: None if living.client.status(chosen) is None else chosen,
            )
            await living.settle()

        self._thread.call(begin())
        return self.orchestration(chosen)

    def orchestration(self, instance_id: str) -> Orchestration:
        """An orchestration that somebody started: a function of the app, another orchestration."""
        return Orchestration(self._thread, self._living, instance_id)

    def entity(self, name: str, key: str) -> Entity:
        """An entity."""
        self._living.host.find(name, "entity")
        return Entity(self._thread, self._living, name, key)

    # -- other functions -------------------------------------------------------------------------------------------
    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """A request to the app's HTTP functions (`/api/...`) or to Durable's webhooks, without a socket.

        `given` is httpx's: `json`, `content`, `params`, `headers`. HostDied when an ordered crash came meanwhile.
        """
        return self._thread.call(self._living.request(method, path, **given))

    def activity(self, name: str, given: Any = None) -> Any:
        """Run an activity by itself; its result. Raises WrongEnd with its traceback when it fails.

        HostDied when an ordered crash came meanwhile.
        """
        host = self._living.host
        function = host.find(name, "activity")
        inputs = {function.trigger.name: Datum("string", json.dumps(given))}
        call = Invocation(uuid.uuid4().hex, function.name, "activity", inputs)
        result = self._ran(name, lambda: host.call(call))
        return None if result.output is None or result.output.kind == "none" else json.loads(result.output.value)

    def trigger(self, name: str) -> None:
        """Run a timer function as if it were due. Timer functions do not run by themselves here.

        Raises WrongEnd with its traceback when it fails, HostDied when an ordered crash came meanwhile.
        """
        host, now = self._living.host, self._living.clock.now()
        function = host.find(name, "timer")
        self._ran(name, lambda: host.run_timer(function, now))

    # -- trouble ---------------------------------------------------------------------------------------------------
    def crash(self, at: Moment | None = None) -> None:
        """Kill the host and start it again from what is stored; `at` a moment to come, or now.

        The app's modules are imported anew and its memory is gone, as with a new process; objects that the test gave
        or patched stay.
        """
        if at is not None:
            self._living.die(at)
            return
        self._thread.call(self._crash_now())

    def deliver_twice(self, activity: str | None = None) -> None:
        """From now on each call of this activity (of any without a name) runs twice: a worker died after the first."""
        if activity is not None:
            self._living.host.find(activity, "activity")
        self._living.deliveries.twice.add(None if activity is None else activity.lower())

    @property
    def storage(self) -> Storage:
        """The storage of an app with durablegraph's triggers. Raises LookupError for other apps: theirs is not ours."""
        if self._living.doors is None:
            raise LookupError("This app has none of durablegraph's triggers: what it stores, it stores elsewhere.")
        return self._living.storage

    # -- looking ---------------------------------------------------------------------------------------------------
    @property
    def activities(self) -> list[ActivityCall]:
        """Every execution of an activity that began, in order, repetitions included."""
        return list(self._living.record.activities)

    @property
    def crashes(self) -> int:
        """How often the host died."""
        return self._living.deaths

    @property
    def url(self) -> str:
        """The app's address on a loopback port, for clients that need one; opened at the first use."""
        self._thread.call(self._living.listen())
        return self._living.address

    def record_history(self, instance: "str | Orchestration | Run", file: str | Path) -> None:
        """Store every turn of an orchestration as JSON, for `assert_replays`. Overwrites the file."""
        from durablegraph.testing.replaying import record_history  # noqa: PLC0415 -- the same name, for apps by value

        record_history(self, instance, file)

    def assert_replays(self, file: str | Path) -> None:
        """Each turn in the file, and each beginning of it, is answered by this app as it was. See `assert_replays`."""
        self._thread.call(replay(self._living, read_turns(Path(file)), Path(file)))

    def _ran(self, name: str, work: Callable[[], Awaitable[InvocationResult]]) -> InvocationResult:
        result = self._thread.call(self._living.heard(work, f"ran {name}"))
        if result.error is not None:
            raise WrongEnd(f"{name} failed: {result.error.message}\n{result.error.stack}")
        return result

    async def _crash_now(self) -> None:
        await self._living.revive()
        await self._living.settle()

    def _close(self) -> None:
        self._closed = True
        try:
            if hasattr(self, "_living"):
                self._thread.call(self._living.close())
        finally:
            self._thread.close()
            self._state.cleanup()
            DurableApp._open = False

    def _check_orders(self) -> None:
        if left := self._living.orders.open():
            raise CrashNeverCame(f"Ordered, and never reached: {'; '.join(left)}. Order an earlier moment.")
        if left := self._living.storage.unused():
            raise CrashNeverCame(f"Faults of the storage that were ordered and did not come: {'; '.join(left)}.")


async def _made(options: Options, state: Path) -> LivingApp:
    return LivingApp(options, state)
