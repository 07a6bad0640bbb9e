"""What the tests here share: the samples, open."""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def samples(durable_app):
    """The samples, open."""
    return durable_app(SAMPLES)
