"""The private PostgreSQL serves LangGraph's saver and leaves nothing behind."""

from pathlib import Path

import pytest

from tests.support import postgres as private


def test_a_private_server_serves_langgraphs_saver(postgres: str) -> None:
    saver = pytest.importorskip("langgraph.checkpoint.postgres").PostgresSaver
    with saver.from_conn_string(postgres) as opened:
        opened.setup()
        assert list(opened.list({"configurable": {"thread_id": "nobody's"}})) == []


@pytest.mark.skipif(private.why_not() is not None, reason=str(private.why_not()))
def test_a_private_server_takes_its_folder_with_it() -> None:
    with private.running() as address:
        folder = Path(address.partition("host=")[2])
        assert folder.is_dir()
    assert not folder.exists()
