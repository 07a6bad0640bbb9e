"""Every case over HTTP alone, on the host that is there: what can be seen of it equals LangGraph's own run.

Collected by ``python -m tests.host`` only; graphs that the app does not have are skipped by name.
"""

import httpx
import pytest

from tests.support.catalogue import CASES
from tests.support.drive import Client, Host, assert_same
from tests.support.plain import run_plainly
from tests.support.shipped import SHIPPED

EVERY = {**CASES, **SHIPPED}


@pytest.mark.parametrize("name", EVERY)
async def test_a_run_equals_a_plain_run(name, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPENSE_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.setenv("TOOL_AGENT_MODEL", "local")
    host = Host(tmp_path)
    host.start()
    async with Client(host.url) as client:
        asked = await client.send("POST", f"graphs/{name}/runs", json={"input": 1, "config": 1})
        if asked.status_code == httpx.codes.NOT_FOUND:
            pytest.skip(f"the app has no graph {name!r}: lay it out with python -m tests.host --lay-out DIR")
        plain = await run_plainly(EVERY[name], tmp_path / "plain")
        driven = await client.drive(EVERY[name], f"alone-{name}")
        await client.look_back(driven, plain)
    assert_same(driven, plain)
