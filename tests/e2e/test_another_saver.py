"""A run whose checkpoints PostgreSQL keeps, in a real host that dies on the way, with its questions answered."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection, Connection

from durablegraph import BlobCheckpointSaver
from tests.e2e.crashing import ON_THREAD, Survivor
from tests.support.drive import assert_same, history_as_json
from tests.support.plain import in_order, run_plainly
from tests.support.shipped import CLAIM, SHIPPED

SAVER = """
import os
from contextlib import asynccontextmanager

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool


@asynccontextmanager
async def make():
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    check = AsyncConnectionPool.check_connection
    async with AsyncConnectionPool(os.environ["CHECKPOINTS"], kwargs=options, check=check, max_size=4) as pool:
        yield AsyncPostgresSaver(pool)
"""

CASE = SHIPPED["expense_approval"]
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'runs' AND pid <> pg_backend_pid()"


@dataclass(slots=True)
class OnPostgres(Survivor):
    """A survivor whose app names a saver of its own."""

    address: str = ""

    def __post_init__(self) -> None:
        Survivor.__post_init__(self)
        app = self.host.app
        (app / "saver.py").write_text(SAVER)
        told = json.loads((app / "langgraph.json").read_text())
        (app / "langgraph.json").write_text(json.dumps({**told, "checkpointer": {"path": "./saver.py:make"}}))

    def saver(self) -> AbstractAsyncContextManager[Any]:
        return set_up(self.address)


@asynccontextmanager
async def set_up(address: str) -> AsyncIterator[AsyncPostgresSaver]:
    """The saver, for a host that may have died before it set up its tables."""
    async with AsyncPostgresSaver.from_conn_string(address) as saver:
        await saver.setup()
        yield saver


@pytest.fixture
async def database(postgres):
    """A database of this test's own."""
    async with await AsyncConnection.connect(postgres, autocommit=True) as connection:
        await connection.execute("DROP DATABASE IF EXISTS runs")
        await connection.execute("CREATE DATABASE runs")
    return postgres.replace("/postgres?", "/runs?")


@pytest.mark.parametrize(
    ("moment", "workers"), [("activity:before:4", 1), ("activity:after:3", 0), ("write:after:9", 0)]
)
async def test_a_run_on_postgres_survives_a_kill(moment, workers, database, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPENSE_LEDGER", str(tmp_path / "plain-ledger.db"))
    plain = await run_plainly(CASE, tmp_path / "plain")
    survivor = OnPostgres(
        CASE, tmp_path / "killed", moment, workers=workers, settings={"CHECKPOINTS": database}, address=database
    )

    driven = await survivor.run(plain)

    assert_same(driven, plain)
    assert survivor.struck
    assert history_as_json(await survivor.history()) == history_as_json(plain.history)
    assert survivor.run_again() == []
    assert survivor.booked() == [(CLAIM["id"], "480.00")]
    assert set(in_order(survivor.executions)) == set(in_order(plain.ran))
    async with BlobCheckpointSaver.from_path(survivor.host.state / "objects.db") as ours:
        assert await ours.aget_tuple(ON_THREAD) is None


async def test_a_run_survives_a_database_that_cuts_its_connections(database, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPENSE_LEDGER", str(tmp_path / "plain-ledger.db"))
    plain = await run_plainly(CASE, tmp_path / "plain")
    survivor = OnPostgres(CASE, tmp_path / "cut", settings={"CHECKPOINTS": database}, address=database, workers=1)
    answer = CASE.answer
    cuts = []

    def after_a_cut(question):
        with Connection.connect(database, autocommit=True) as connection:
            done = connection.execute(CUT).fetchall()
        cuts.append(len(done))
        return answer(question)

    survivor.case = type(CASE)(CASE.name, CASE.about, CASE.build, CASE.input, answer=after_a_cut, asks=CASE.asks)
    driven = await survivor.run(plain)

    assert_same(driven, plain)
    assert len(cuts) == 2
    assert all(cuts)
    assert survivor.booked() == [(CLAIM["id"], "480.00")]
