"""A worker that dies at a chosen moment, in this process: what it was about to do never happens, and another goes on.

Moments are counted from one: the n-th ``write`` (of the store, before it is made), the n-th ``model`` call (after the
model has got it, before it answers) and the n-th ``activity`` (after it has ended, before its result is delivered).
The dead worker's task is cancelled, its store refuses everything, and its successor opens the same file and builds the
graph anew. What a real SIGKILL does beyond that, `tests/e2e/crashing.py` shows on samples.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.graph import StateGraph

from durablegraph.services import Services
from durablegraph.storage.sqlite import SqliteObjectStore
from tests.e2e.crashing import Death
from tests.support.catalogue_graphs.case import Case
from tests.support.fake_model import FakeModel
from tests.support.plain import counting, executions
from tests.unit.execution.durably import Durably, services_for


class Dead(BaseException):
    """What a dead worker's code meets when it still wants something of the store."""


@dataclass(slots=True)
class Doom:
    """The moment of death, as ``KIND:N``; without one, moments are only counted."""

    at: str = ""
    counts: dict[str, int] = field(default_factory=lambda: {"write": 0, "model": 0, "activity": 0})
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    armed: bool = False

    def reached(self, kind: str) -> bool:
        """Count a moment; True when this is the one."""
        if not self.armed:
            return False
        self.counts[kind] += 1
        if self.at != f"{kind}:{self.counts[kind]}":
            return False
        self.armed = False
        self.struck.set()
        return True


class MortalStore:
    """An object store in the hands of a worker that may die."""

    def __init__(self, inner: SqliteObjectStore, doom: Doom) -> None:
        self._inner = inner
        self._doom = doom

    def __getattr__(self, name: str) -> Any:
        if self._doom.struck.is_set():
            raise Dead(name)
        return getattr(self._inner, name)

    async def put(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write("put", *args, **kwargs)

    async def delete(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write("delete", *args, **kwargs)

    async def delete_many(self, *args: Any, **kwargs: Any) -> Any:
        return await self._write("delete_many", *args, **kwargs)

    async def _write(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if self._doom.struck.is_set() or self._doom.reached("write"):
            raise Dead(name)
        return await getattr(self._inner, name)(*args, **kwargs)


@dataclass
class Mortal(Durably):
    """A run whose worker dies once, as its doom says. `reopen` gives the successor's services."""

    doom: Doom = field(default_factory=Doom)
    reopen: Callable[[], Services] = field(kw_only=True)
    died: Callable[[], Any] = field(kw_only=True)

    async def attempt(self, name: str, call: dict[str, Any]) -> dict[str, Any]:
        if self.doom.struck.is_set():
            return await super().attempt(name, call)
        self.doom.armed = True
        work = asyncio.ensure_future(super().attempt(name, call))
        end = asyncio.ensure_future(self.doom.struck.wait())
        await asyncio.wait({work, end}, return_when=asyncio.FIRST_COMPLETED)
        alive = not self.doom.struck.is_set() and not self.doom.reached("activity")
        self.doom.armed = False
        end.cancel()
        if alive:
            return await work
        work.cancel()
        with contextlib.suppress(BaseException):
            await work
        self.services = self.reopen()
        await self.died()
        return await super().attempt(name, call)


@dataclass(slots=True)
class Sweep:
    """Runs a case durably on a SQLite file of its own, with one death or none."""

    case: Case
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    doom: Doom = field(default_factory=Doom)
    deaths: list[Death] = field(default_factory=list)
    asked: list[list[Any]] = field(default_factory=list)
    stores: list[SqliteObjectStore] = field(default_factory=list)
    run: Mortal | None = None
    graph: Any = None

    @property
    def ran(self) -> Path:
        """Where the nodes note that they ran."""
        return self.folder / "ran"

    def open(self) -> Services:
        """Services as a new worker has them: nothing in memory is older than they are."""
        built = self.case.build()
        self.graph = counting(built.compile() if isinstance(built, StateGraph) else built, self.ran)
        store = SqliteObjectStore(self.folder / "objects.db")
        self.stores.append(store)
        objects = store if self.doom.struck.is_set() else MortalStore(store, self.doom)
        return services_for(self.graph, objects=objects, **self.settings)

    async def died(self) -> None:
        """Note what was true at the death."""
        assert self.run is not None
        head = await self.run.services.state("g", "thread")
        identity = head.config["configurable"].get("checkpoint_id", "")
        self.deaths.append(Death(identity, len(executions(self.ran))))

    def answer(self, wait: Any) -> Any:
        """The case's answer to what the run waits for."""
        self.asked.append(sorted((item.value for item in wait.interrupts), key=repr))
        assert self.case.answer is not None
        given = {item.id: self.case.answer(item.value) for item in wait.interrupts}
        return given if len(given) > 1 else next(iter(given.values()))

    async def carry(self) -> Any:
        """All runs of the case to their ends; the last one's record."""
        services = self.open()
        config = dict(self.case.config)
        limit = config.pop("recursion_limit", None)
        for number, given in enumerate((self.case.input, *self.case.later)):
            self.run = Mortal(services, cut=2, run_id=f"run{number}", doom=self.doom, reopen=self.open, died=self.died)
            await self.run.start(given, config=config, recursion_limit=limit, context=self.case.context)
            record = await self.run.carry(self.answer)
            services = self.run.services
        return record

    async def close(self) -> None:
        """Close every store that was opened."""
        for store in self.stores:
            await store.aclose()


@contextlib.contextmanager
def watching(model: FakeModel, doom: Doom) -> Iterator[None]:
    """Model calls are moments of this doom; enter it in the event loop that the run is carried in."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        counted: Future[bool] = Future()
        loop.call_soon_threadsafe(lambda: counted.set_result(doom.reached("model")))
        counted.result(10)

    model.watch(watch)
    try:
        yield
    finally:
        model.watch(None)


def moments(counts: dict[str, int], stride: int = 1) -> list[str]:
    """Every moment of a run that nobody disturbed, or every `stride`-th of each kind."""
    return list(
        itertools.chain.from_iterable(
            [f"{kind}:{number}" for number in range(1, most + 1, stride)] for kind, most in counts.items()
        )
    )
