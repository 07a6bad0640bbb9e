import pytest

from durablegraph.storage.memory import MemoryObjectStore
from tests.support.stores import CountingStore
from tests.unit.items.ticking import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counting() -> CountingStore:
    return CountingStore(MemoryObjectStore())
