"""`durablegraph import-threads`: from one saver into an app's storage, thread by thread."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from durablegraph import clock, opening
from durablegraph import settings as settings_module
from durablegraph.errors import ConfigurationError, RequestError
from durablegraph.importing.copying import Outcome, Report, copy_thread
from durablegraph.importing.sources import Source, open_source
from durablegraph.importing.untouched import UntouchedSerializer
from durablegraph.model import ids
from durablegraph.model.records import ThreadRecord
from durablegraph.settings import Settings
from durablegraph.storage.checkpoints import BlobCheckpointSaver
from durablegraph.storage.connections import SqliteConnection, string_connection
from durablegraph.storage.objects import ObjectStore
from durablegraph.storage.runs import RunStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for; no `threads` are all of the source, no `target` is the app's own storage."""

    source: str
    target: str | None = None
    threads: tuple[str, ...] = ()
    graph: str | None = None
    dry_run: bool = False


def run(wanted: Wanted, folder: Path, tell: Callable[[Report], None]) -> list[Report]:
    """Import into the app in `folder`, whose settings are in the environment, telling of each thread as it is done."""

    async def imported() -> list[Report]:
        reports = []
        async for report in import_threads(wanted, settings_module.load(), os.environ, folder, clock.now()):
            tell(report)
            reports.append(report)
        return reports

    return asyncio.run(imported())


async def import_threads(
    wanted: Wanted, settings: Settings, environment: Mapping[str, str], folder: Path, now: datetime
) -> AsyncIterator[Report]:
    """A report for each thread, as it is done. May be repeated at any time, and completes what was cut short.

    Raises ConfigurationError for a source, a target or a graph that cannot be used. Not for threads that a run of
    the source is working on.
    """
    graph = wanted.graph or _only_graph(folder)
    async with AsyncExitStack() as stack:
        objects = _target(wanted, settings, environment, folder)
        stack.push_async_callback(objects.aclose)
        source = await stack.enter_async_context(open_source(wanted.source, folder))
        for thread in wanted.threads or await source.threads():
            yield await _import(source, objects, thread, graph, now, dry_run=wanted.dry_run)


def told(report: Report, *, dry_run: bool) -> str:
    """A line about one thread."""
    what = f"{report.outcome.value}{' (would be)' if dry_run and report.checkpoints + report.writes else ''}"
    counts = f", {report.checkpoints} checkpoints, {report.writes} tasks' writes" if report.checkpoints else ""
    return f"{report.thread}: {what}{counts}{': ' if report.reason else ''}{report.reason}"


def summary(reports: Sequence[Report], *, dry_run: bool) -> str:
    """The last line: how many threads came to what."""
    counts = Counter(report.outcome for report in reports)
    parts = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])
    checkpoints = sum(report.checkpoints for report in reports)
    told_counts = f"{parts or 'none'}; {checkpoints} checkpoints"
    return f"{len(reports)} threads: {told_counts}{' (nothing was written)' if dry_run else ''}"


async def _import(
    source: Source, objects: ObjectStore, thread: str, graph: str | None, now: datetime, *, dry_run: bool
) -> Report:
    runs = RunStore(objects)
    try:
        ids.thread_id(thread)
    except RequestError as error:
        return Report(thread, Outcome.REFUSED, reason=str(error))
    record = await runs.thread(thread)
    if record is not None and record.value.active_run:
        return Report(thread, Outcome.REFUSED, reason=f"run {record.value.active_run} is working on it here")
    try:
        report = await copy_thread(source.saver, lambda: _saver(objects), thread, dry_run=dry_run)
    except (RequestError, LookupError, TypeError, ValueError) as error:
        return Report(thread, Outcome.FAILED, reason=f"{type(error).__name__}: {error}")
    if not dry_run and record is None and report.well:
        await runs.create_thread(_record(report, source, graph, now))
    return report


def _saver(objects: ObjectStore) -> BlobCheckpointSaver:
    return BlobCheckpointSaver(objects, serde=UntouchedSerializer())


def _record(report: Report, source: Source, graph: str | None, now: datetime) -> ThreadRecord:
    return ThreadRecord(
        thread_id=report.thread,
        created_at=_moment(report.span[0], now) if report.span else now,
        updated_at=_moment(report.span[1], now) if report.span else now,
        metadata={"imported_from": source.kind},
        graph=graph,
    )


def _moment(text: str, now: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return now
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _target(wanted: Wanted, settings: Settings, environment: Mapping[str, str], folder: Path) -> ObjectStore:
    if wanted.target is None:
        objects = opening.stored_objects(settings, environment, folder)
    else:
        kind, _, rest = wanted.target.partition(":")
        connection = (
            SqliteConnection(Path(rest))
            if kind == "sqlite"
            else string_connection(wanted.target, container=settings.container)
        )
        objects = opening.objects_on(settings, connection)
    return opening.seen_by_app(settings, objects)


def _only_graph(folder: Path) -> str | None:
    """The app's graph where it has just one: the threads are taken to be of it."""
    try:
        names = opening.graphs_of(folder).names
    except ConfigurationError:
        return None
    return names[0] if len(names) == 1 else None
