"""Runs on a host that is killed at a chosen moment and started again."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path

from langchain_core.runnables import RunnableConfig

from durablegraph import BlobCheckpointSaver
from tests.support.catalogue_graphs.case import Case
from tests.support.drive import Client, DrivenRun, Host, Spawn, cold, make_app
from tests.support.plain import CheckpointFacts, Execution, PlainRun, compiled, executions, history_of

THREAD = "thread"
ON_THREAD: RunnableConfig = {"configurable": {"thread_id": THREAD}}
MOST_DEATHS = 40


@dataclass(frozen=True, slots=True)
class Death:
    """What was true when the host had died: the thread's head ("" for none), and how many executions had begun.

    A head is the id of a checkpoint. Ids of checkpoints are in the order in which they were made.
    """

    head: str
    begun: int


def run_again(ran: list[Execution], deaths: list[Death]) -> list[Execution]:
    """Executions after a death that belong to a super-step which was committed before it.

    What runs inside a subgraph belongs to the super-step of the root graph's task that it is part of: the one that
    starts from the same checkpoint of the root.
    """
    return [late for death in deaths for late in ran[death.begun :] if late.base < death.head]


@dataclass(slots=True)
class Survivor:
    """One run of a case on a host of its own, in a folder of its own.

    `crash` is the hook's moment. With `again` every restarted host is killed at that moment too. `served` is the module
    that has the case's graph, `settings` are further environment variables, `starter` makes the host's processes.
    """

    case: Case
    folder: Path
    crash: str = ""
    workers: int = 0
    again: bool = False
    connection: str | None = None
    served: str = "served_shipped"
    settings: Mapping[str, str] = field(default_factory=dict)
    starter: Spawn = cold
    deaths: list[Death] = field(default_factory=list)
    host: Host = field(init=False)

    def __post_init__(self) -> None:
        environment = {**self.settings, "CRASH_COUNTS": str(self.folder / "counts")}
        if not self.again:
            environment["CRASH_ONCE"] = str(self._mark)
        if self.connection:
            environment |= {"AzureWebJobsStorage": self.connection, "DURABLEGRAPH_CONTAINER": self.container}
        app = make_app(self.folder / "app", [self.case.name], served=self.served)
        self.host = Host(app, environment, workers=self.workers, starter=self.starter)

    @property
    def struck(self) -> bool:
        """Whether the moment came, be it when nobody asked for anything any more. Not told with `again`."""
        return self._mark.exists()

    @property
    def _mark(self) -> Path:
        return self.folder / "crashed"

    @property
    def container(self) -> str:
        """A container of this folder's own."""
        return f"crash-{abs(hash(str(self.folder))):x}"

    async def run(self, plain: PlainRun) -> DrivenRun:
        """Drive the case to its end through every crash, and read back what LangGraph can show of the plain run."""
        self.spawn()
        try:
            await self.up()
            async with Client(self.host.url, self.up) as client:
                driven = await client.drive(self.case, THREAD)
                await client.look_back(driven, plain)
        finally:
            await asyncio.to_thread(self.host.stop)
        return driven

    def spawn(self) -> None:
        """Start the host, armed if it is to die."""
        self.host.spawn(**({"CRASH": self.crash} if self.crash else {}))

    async def up(self) -> None:
        """Return when the host answers; one that is dead is started again."""
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(self.host.ready):
            if not self.host.alive:
                self.deaths.append(await self.died())
                assert len(self.deaths) <= MOST_DEATHS, self.host.log[-4000:]
                self.spawn()
            assert time.monotonic() < deadline, self.host.log[-4000:]
            await asyncio.sleep(0.05)

    async def died(self) -> Death:
        """Look at what the dead host has left."""
        self.host.kill()
        async with self.saver() as saver:
            head = await saver.aget_tuple(ON_THREAD)
        return Death(head.checkpoint["id"] if head else "", len(self.executions))

    def saver(self) -> AbstractAsyncContextManager[BlobCheckpointSaver]:
        """The checkpoints, read without the host."""
        if self.connection:
            return BlobCheckpointSaver.from_connection_string(
                self.connection, container=self.container, allowed_types=True
            )
        return BlobCheckpointSaver.from_path(self.host.state / "objects.db", allowed_types=True)

    @property
    def executions(self) -> list[Execution]:
        """Every node that began to run, in all lives of the host."""
        return executions(self.host.executions / self.case.name)

    @property
    def counts(self) -> Counter[str]:
        """How many moments of each kind this run had."""
        path = self.folder / "counts"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    async def history(self) -> list[CheckpointFacts]:
        """The thread's checkpoints as they are stored."""
        async with self.saver() as saver:
            return await history_of(compiled(self.case.build(), saver), ON_THREAD)

    def run_again(self) -> list[Execution]:
        """Executions that ought not to be."""
        return run_again(self.executions, self.deaths)

    def booked(self) -> list[tuple[str, str]]:
        """What the ledger of the expenses holds."""
        path = self.host.app / "ledger.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as ledger:
            return ledger.execute("SELECT claim, amount FROM entries").fetchall()
