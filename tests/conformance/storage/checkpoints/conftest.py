"""Savers on each store; `again` is the same storage seen by another process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from durablegraph import BlobCheckpointSaver
from tests.conformance.storage.checkpoints.savers import Savers
from tests.conformance.storage.conftest import Backend


@pytest.fixture
async def savers(backend: Backend) -> AsyncIterator[Savers]:
    """Makes savers; they end with the test."""
    made: list[BlobCheckpointSaver] = []

    def open_(**options: Any) -> BlobCheckpointSaver:
        saver = BlobCheckpointSaver(backend.open(), **options)
        made.append(saver)
        return saver

    yield open_
    for saver in made:
        await saver.aclose()


@pytest.fixture
def sync_savers(backend: Backend) -> Iterator[Callable[..., BlobCheckpointSaver]]:
    """The same for tests without an event loop: each saver runs a loop of its own."""
    made: list[BlobCheckpointSaver] = []

    def open_(**options: Any) -> BlobCheckpointSaver:
        assert not _has_loop()
        saver = BlobCheckpointSaver(backend.open(), **options)
        made.append(saver)
        return saver

    yield open_
    for saver in made:
        saver.close()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
