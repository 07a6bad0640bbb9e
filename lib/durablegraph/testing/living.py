"""The app over all its lives, on its event loop: open, settle, let time pass, die, live again, close."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
from starlette.requests import Request
from starlette.responses import Response

from durablegraph.host.front.keys import KeyRing
from durablegraph.host.front.listening import Listener
from durablegraph.host.front.server import Rpc
from durablegraph.host.hub.client import HubClient
from durablegraph.host.preparation import HostOptions, prepare
from durablegraph.model.names import RUN_ORCHESTRATOR
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.testing.clock import LoopClock
from durablegraph.testing.faults import LivingStore, Storage
from durablegraph.testing.hosting import MemoryHost, Setting, folder_environment, listening
from durablegraph.testing.importing import Premises
from durablegraph.testing.journaling import Record
from durablegraph.testing.library import Doors, LibraryState
from durablegraph.testing.lives import Life
from durablegraph.testing.moments import Moment, Orders, When
from durablegraph.testing.sdk import forget_session
from durablegraph.testing.verdicts import HostDied, NotDeterministic, Stuck
from durablegraph.testing.waiting import told_in_flight
from durablegraph.testing.worker import Deliveries

if TYPE_CHECKING:
    from durablegraph.services import Services

Result = TypeVar("Result")
_HUB_SETTING = "DURABLEGRAPH_HUB"


@dataclass(frozen=True, slots=True)
class Options:
    """How to open an app. `limit` is the longest that one call of the test may take, in seconds of real time."""

    folder: Path
    graphs: Mapping[str, object] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    now: datetime | None = None
    parallel: int = 1
    limit: float = 30.0


class LivingApp:
    """One app. All methods are called on its event loop; `state` is an empty folder for it."""

    def __init__(self, options: Options, state: Path) -> None:
        self.options, self.record, self.orders, self.deliveries = options, Record(), Orders(), Deliveries()
        self.deaths = 0
        start = options.now or datetime.now(UTC).replace(microsecond=0)
        self.clock = LoopClock(start, self.settle)
        self.storage = Storage(MemoryObjectStore(now=self.clock.now))
        self.doors: Doors | None = None
        given = folder_environment(dict(options.settings), _HUB_SETTING)
        self._prepared = prepare(HostOptions(root=options.folder, state=state, port=0, workers=0, environment=given))
        self._premises = Premises(self._prepared.script, own_folder=options.graphs is None)
        self._library = LibraryState(self.clock)
        self._setting = Setting(
            prepared=self._prepared,
            keys=KeyRing.open(state / "secrets.json"),
            clock=self.clock,
            record=self.record,
            deliveries=self.deliveries,
            parallel=options.parallel,
            listen=self.listen,
        )
        self._serving: asyncio.Task[None] | None = None
        self._listener: Listener | None = None

    @property
    def address(self) -> str:
        """The origin that links of this app have."""
        return f"http://localhost:{self._prepared.port}"

    @property
    def client(self) -> HubClient:
        """The task hub's client, in the present life."""
        return self.host.hub.client

    @property
    def services(self) -> "Services":
        """The test's own services in the present life. Raises LookupError for an app that runs no graphs."""
        if self.doors is None:
            raise LookupError("This app has none of durablegraph's triggers, so it has no runs: use orchestrate().")
        return self.doors.test

    # -- lives -----------------------------------------------------------------------------------------------------
    async def open(self, left: bytes | None = None) -> None:
        """Begin a life with what the one before left. Raises HostError when the app does not load."""
        self.life = Life(self.orders)
        self._library.enter(self.options.graphs)
        self._premises.enter(self._prepared.environment)
        self.host = MemoryHost(self._setting, self.life)
        index = await self.host.load()
        if any(each.durable_name == RUN_ORCHESTRATOR for each in index.functions):
            objects = LivingStore(self.storage, self.life)
            self.doors = self._library.open(objects, self.storage.objects, self.options.graphs)
        await self.host.start(left)

    async def revive(self) -> None:
        """End this life, if it has not ended by itself, and begin the next."""
        self.life.end()
        await self._end_life()
        self.deaths += 1
        await self.open(self.life.left)

    async def close(self) -> None:
        """End everything and give the process back; also after an `open` that failed."""
        if hasattr(self, "life"):
            self.life.end()
        if hasattr(self, "host"):
            await self._end_life()
        else:
            self._give_back()
        if self._listener is not None and self._serving is not None:
            self._listener.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving
        self._prepared.bound.close()

    async def _end_life(self) -> None:
        try:
            await self.host.stop()
            await forget_session()
        finally:
            self._give_back()

    def _give_back(self) -> None:
        self._premises.leave()
        self._library.leave()

    # -- time ------------------------------------------------------------------------------------------------------
    async def settle(self) -> None:
        """Wait until nothing more can happen at the present moment, over deaths if need be. Raises Stuck."""
        until = time.monotonic() + self.options.limit
        while True:
            if not self.life.dead:
                await self._alive(self.host.hub.settled(), until)
            if not self.life.dead:
                break
            await self.revive()
        if self.host.hub.failure is not None:
            raise self.host.hub.failure
        if self.record.changes_of_mind:
            raise NotDeterministic(self.record.changes_of_mind.pop(0))

    async def advance(self, delta: timedelta) -> None:
        """Let time pass."""
        await self.clock.advance(delta)

    async def until(
        self, reached: Callable[[], Awaitable[bool]], within: timedelta, waits_for: Callable[[], Awaitable[str]]
    ) -> None:
        """Let time pass from one due moment to the next until `reached`. Raises Stuck: what is waited for."""
        latest = self.clock.now() + within
        stop = time.monotonic() + self.options.limit
        while True:
            await self.settle()
            if await reached():
                return
            due = self.clock.next_due()
            if due is None:
                raise Stuck(f"Nothing more happens. {await waits_for()}")
            if due > latest:
                raise Stuck(f"It did not happen within {within} of the app's time. {await waits_for()}")
            if time.monotonic() > stop:
                raise Stuck(
                    f"It did not happen within {self.options.limit:g} s of real time, in which the app's clock went on "
                    f"to {self.clock.now().isoformat()}. {await waits_for()}"
                )
            await self.clock.advance(max(due - self.clock.now(), timedelta()))

    # -- doing -----------------------------------------------------------------------------------------------------
    async def do(self, work: Callable[[], Awaitable[Result]], *, known: Callable[[], Result | None]) -> Result:
        """Do something at the hub. If the host dies meanwhile, do it again unless `known` tells that it is done."""
        while True:
            outcome = await self._alive(work(), time.monotonic() + self.options.limit)
            if outcome is not None:
                return outcome.value
            moment = self.life.moment
            await self.revive()
            found = known()
            if found is not None and (moment is None or moment.when is When.AFTER):
                return found

    async def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """An HTTP request to the app's functions. Raises HostDied."""
        transport = httpx.ASGITransport(app=self.host.front)
        async with httpx.AsyncClient(transport=transport, base_url=self.address) as client:
            return await self.heard(lambda: client.request(method, path, **given), f"handled {method} {path}")

    async def heard(self, work: Callable[[], Awaitable[Result]], told: str) -> Result:
        """What `work` of the app's, which a test waits for, comes to, when all that follows has happened.

        Raises HostDied when that is never heard; `told` says what the host did, as in "ran sweep".
        """
        answered = await self._alive(work(), time.monotonic() + self.options.limit)
        await self.settle()
        if answered is None:
            raise HostDied(f"The host died while it {told}, as ordered; it runs again. Ask again.")
        return answered.value

    async def listen(self) -> None:
        """Serve the loopback port, which is needed by durable clients in functions and by nobody else."""
        if self._serving is None:
            rpc = Rpc(self._respond, None)
            self._listener = Listener(listening(lambda: self.host, rpc), self._prepared.bound)
            self._serving = asyncio.create_task(self._listener.run_until_stopped(), name="listener")

    async def _respond(self, request: Request, parts: list[str]) -> Response:
        """Answer a durable client, in whichever life it asks."""
        return await self.host.respond(request, parts)

    def die(self, moment: Moment) -> None:
        """Order a death."""
        self.orders.add(moment)

    async def _alive(self, work: Awaitable[Result], until: float) -> "_Outcome[Result] | None":
        """What `work` comes to, None when the host died before it came to anything. Raises Stuck when time is up."""
        task = asyncio.ensure_future(work)
        ended = asyncio.ensure_future(self.life.ended.wait())
        try:
            await asyncio.wait({task, ended}, timeout=max(until - time.monotonic(), 0), return_when="FIRST_COMPLETED")
            if self.life.dead:
                return None
            if task.done():
                return _Outcome(task.result())
            raise Stuck(
                f"A call of the app did not end within {self.options.limit:g} s of real time. "
                + told_in_flight(list(self.host.worker.in_flight.values()))
            )
        finally:
            for each in (task, ended):
                each.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[Result]):
    value: Result
