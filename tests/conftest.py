"""Fixtures that any test may ask for."""

import pytest
from hypothesis import settings

from tests.support.azurite import azurite
from tests.support.postgres import postgres

__all__ = ["azurite", "postgres"]

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that asks for Azurite, so that `-m "not azurite"` leaves it out."""
    for item in items:
        if "azurite" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.azurite)
