"""Where threads come from: ``sqlite:PATH``, ``postgres:ADDRESS``, or any saver that ``module:factory`` gives."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from langgraph.checkpoint.base import BaseCheckpointSaver

from durablegraph.errors import ConfigurationError, DurableGraphError
from durablegraph.graphs.loader import called, entered, imported, kind_of
from durablegraph.graphs.savers import asynchronous, in_threads
from durablegraph.graphs.sources import source
from durablegraph.importing.untouched import leave_untouched

_THREADS = "SELECT DISTINCT thread_id FROM checkpoints ORDER BY thread_id"
_FORMS = "sqlite:PATH, postgres:ADDRESS, ./file.py:factory or package.module:factory"
_PACKAGES = {
    "sqlite": "langgraph-checkpoint-sqlite",
    "postgres": "langgraph-checkpoint-postgres 'psycopg[binary]'",
    "postgresql": "langgraph-checkpoint-postgres 'psycopg[binary]'",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A saver to read from, and how its threads are found. `kind` names it without its address."""

    kind: str
    saver: BaseCheckpointSaver[Any]
    threads: Callable[[], Awaitable[list[str]]]


@asynccontextmanager
async def open_source(text: str, folder: Path) -> AsyncIterator[Source]:
    """The source that the command line names; it is only read. Raises ConfigurationError that says what is wrong."""
    kind, _, rest = text.partition(":")
    async with AsyncExitStack() as stack:
        try:
            if kind == "sqlite":
                found = await _sqlite(Path(rest), stack)
            elif kind in {"postgres", "postgresql"}:
                found = await _postgres(text if rest.startswith("//") else rest, stack)
            else:
                found = await _factory(text, folder, stack)
        except ModuleNotFoundError as missing:
            packages = _PACKAGES.get(kind, "the package that has it")
            raise ConfigurationError(
                f"--from {kind}: there is no module {missing.name!r}. Install it: pip install {packages}"
            ) from missing
        except DurableGraphError:
            raise
        except Exception as error:  # drivers raise errors of their own
            raise ConfigurationError(f"--from {kind}: cannot be opened: {type(error).__name__}: {error}") from error
        leave_untouched(found.saver)
        yield found


async def _sqlite(path: Path, stack: AsyncExitStack) -> Source:
    """A file of LangGraph's SqliteSaver or AsyncSqliteSaver, opened read-only: not even its tables are made."""
    from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415 -- asked for by whoever imports from it

    connection = stack.enter_context(closing(_read_only(path)))
    saver = SqliteSaver(connection)
    saver.is_setup = True
    threads = [str(row[0]) for row in connection.execute(_THREADS)]

    async def known() -> list[str]:
        return threads

    return Source("sqlite", in_threads(saver), known)


def _read_only(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise ConfigurationError(f"--from sqlite: there is no file {path}; give the path of the saver's database.")
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, check_same_thread=False)


async def _postgres(address: str, stack: AsyncExitStack) -> Source:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415 -- as above
    from psycopg import AsyncConnection  # noqa: PLC0415 -- as above

    saver = await stack.enter_async_context(AsyncPostgresSaver.from_conn_string(address))

    async def known() -> list[str]:
        async with await AsyncConnection.connect(address, autocommit=True) as connection:
            return [str(row[0]) for row in await (await connection.execute(_THREADS)).fetchall()]

    return Source("postgres", saver, known)


async def _factory(text: str, folder: Path, stack: AsyncExitStack) -> Source:
    if ":" not in text:
        raise ConfigurationError(f"--from {text}: expected one of {_FORMS}.")
    named = source(Path("--from"), "the source", text)
    found = await asyncio.to_thread(imported, "the source", named, folder)
    if callable(found) and not isinstance(found, BaseCheckpointSaver):
        found = await called("the source", found, stack)
    found = await entered(found, stack)
    if not isinstance(found, BaseCheckpointSaver):
        raise ConfigurationError(f"--from {text} is {kind_of(found)}; expected a saver, or a function that gives one.")
    saver = await asynchronous("the source", found)

    async def known() -> list[str]:
        ids = {str(each.config["configurable"]["thread_id"]): None async for each in saver.alist(None)}
        return list(ids)

    return Source(type(found).__name__, saver, known)
