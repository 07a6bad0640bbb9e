"""Threads of azure-functions-langgraph's blob saver come over through a factory of the app."""

import uuid

import pytest
from azure.storage.blob import ContainerClient

from durablegraph import BlobCheckpointSaver
from durablegraph.importing.copying import Outcome
from tests.support.catalogue import CASES
from tests.support.plain import compiled, history_of, run_plainly

theirs = pytest.importorskip("azure_functions_langgraph.checkpointers.azure_blob")

SOURCE = """
from azure.storage.blob import ContainerClient
from azure_functions_langgraph.checkpointers.azure_blob import AzureBlobCheckpointSaver


def make():
    client = ContainerClient.from_connection_string({connection!r}, {container!r}, **{options!r})
    return AzureBlobCheckpointSaver(container_client=client)
"""
OPTIONS = {"api_version": "2023-11-03"}


@pytest.mark.parametrize("name", ["one_interrupt", "parallel_interrupts", "delta_channel"])
async def test_threads_of_its_blob_saver_are_imported(name, azurite, bring, app, tmp_path):
    container = f"afl-{uuid.uuid4().hex}"
    client = ContainerClient.from_connection_string(azurite, container, **OPTIONS)
    client.create_container()
    saver = theirs.AzureBlobCheckpointSaver(container_client=client)
    plain = await run_plainly(CASES[name], tmp_path / "ran", saver)
    (app / "source.py").write_text(SOURCE.format(connection=azurite, container=container, options=OPTIONS))

    (report,) = await bring("./source.py:make")

    assert (report.thread, report.outcome) == ("plain", Outcome.COPIED), report.reason
    assert report.checkpoints >= len(plain.history)
    async with BlobCheckpointSaver.from_path(app / ".durablegraph" / "objects.db", allowed_types=True) as ours:
        graph = compiled(CASES[name].build(), ours)
        assert await history_of(graph, {"configurable": {"thread_id": "plain"}}) == plain.history
    assert (await bring("./source.py:make"))[0].outcome is Outcome.PRESENT
