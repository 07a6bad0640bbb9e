"""How long `?wait=` pauses between two looks at the store."""

from collections.abc import Iterator

_FIRST, _LONGEST = 0.01, 0.5
_LATENESS = 0.2
"""Share of the time waited so far that an answer may be late: a look costs one read."""


def pauses(seconds: float) -> Iterator[float]:
    """Pauses, in seconds, ever longer, that add up to `seconds`."""
    passed = 0.0
    while passed < seconds:
        pause = min(max(passed * _LATENESS, _FIRST), _LONGEST, seconds - passed)
        yield pause
        passed += pause
