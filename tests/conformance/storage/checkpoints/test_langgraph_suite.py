"""LangGraph's own conformance suite: all capabilities, all tests, on each store."""

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate

from durablegraph import BlobCheckpointSaver
from durablegraph.storage.checkpoints.sealing import Limits
from tests.conformance.storage.checkpoints.savers import TINY
from tests.conformance.storage.conftest import Backend

CAPABILITIES = {"put", "put_writes", "get_tuple", "list", "delete_thread", "delete_for_runs", "copy_thread", "prune"}


@pytest.mark.parametrize("limits", [Limits(), TINY], ids=["as shipped", "tiny segments"])
async def test_langgraphs_own_suite_passes_completely(backend: Backend, limits: Limits) -> None:
    @checkpointer_test(name="durablegraph")
    async def registered() -> AsyncIterator[BlobCheckpointSaver]:
        saver = BlobCheckpointSaver(backend.open(), limits=limits)
        yield saver
        await saver.aclose()

    report = await validate(registered)  # type: ignore[arg-type]
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    assert {name for name, result in report.results.items() if result.detected} == CAPABILITIES
    assert sum(result.tests_passed for result in report.results.values()) >= 81
