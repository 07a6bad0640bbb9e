"""A store on a clock that the test moves, sweeps of it, and an oracle of what should be left."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.reach import reachable
from durablegraph.storage.memory import MemoryObjectStore
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.retention import Policy, Report, Retention, Span, retain
from durablegraph.storage.runs import RunStore

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Place:
    """Memory with a clock; `purged` are the instances that were forgotten."""

    now: datetime = START
    purged: list[str] = field(default_factory=list)
    objects: MemoryObjectStore = field(init=False)

    def __post_init__(self) -> None:
        self.objects = MemoryObjectStore(now=lambda: self.now)

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def saver(self, objects: ObjectStore | None = None, **options: Any) -> BlobCheckpointSaver:
        return BlobCheckpointSaver(objects or self.objects, **options)

    def retention(self, objects: ObjectStore | None = None, **policy: Any) -> Retention:
        store = objects or self.objects
        return Retention(store, RunStore(store), [self.saver(store)], Policy(**policy), self.purge)

    async def purge(self, run_id: str) -> None:
        self.purged.append(run_id)

    async def sweep(self, objects: ObjectStore | None = None, *, span: Span | None = None, **policy: Any) -> Report:
        """A whole round, now."""
        total, first = Report(), True
        while not total.complete:
            report = await retain(self.retention(objects, **policy), self.now, span, at_once=first)
            assert report is not None
            first = False
            total.keys += report.keys
            total.finds += report.finds
            total.objects += report.objects
            total.size += report.size
            total.complete = report.complete
        return total

    async def keys(self, prefix: str = "") -> list[str]:
        return [entry.key async for entry in self.objects.list(prefix)]

    async def strays(self, objects: ObjectStore | None = None) -> set[str]:
        """Objects of checkpoints and runs that neither a head nor a record leads to, told by reading everything."""
        keys = [entry.key async for entry in (objects or self.objects).list("")]
        records = {key.removesuffix("record") for key in keys if key.startswith("runs/") and key.endswith("/record")}
        strays = {key for key in keys if key.startswith("runs/") and not any(map(key.startswith, records))}
        allowed = set()
        saver = self.saver(objects)
        for thread, namespace in await saver._core.archive.namespaces(None):
            log = saver._core.archive.log(thread, namespace)
            head = await log.read(saver._view)
            assert head is not None
            allowed |= {log.names.objects + name for name in await reachable(log.objects, head)}
            path = log.names.head[2:]
            allowed |= {key for key in keys if key.startswith(f"{log.names.objects}r/")}
            allowed |= {key for key in keys if key.startswith("r/") and key.endswith(f"/{path}")}
        return strays | {key for key in keys if key.startswith(("d/", "r/")) and key not in allowed}
