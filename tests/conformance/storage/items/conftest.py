import pytest

from tests.unit.items.ticking import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
