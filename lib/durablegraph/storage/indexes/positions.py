"""Positions in a list: text whose ascending order is the descending order of time."""

import re
from datetime import datetime, timedelta
from typing import Final

from durablegraph.clock import EPOCH
from durablegraph.model.ids import key_part

_FAR: Final = 10**13
"""Milliseconds in the year 2286: subtracting a time from it orders positions newest first."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_POSITION: Final = re.compile(r"[0-9]{13}-(?:[A-Za-z0-9_-]{1,64}|~[0-9a-f]{64})")


def position(created_at: datetime, identity: str) -> str:
    """Where something that was created then stands in a list; ids order what was created in one millisecond."""
    return f"{_countdown(created_at):013d}-{key_part(identity)}"


def is_position(text: str) -> bool:
    """Whether a text that came from outside can be a position."""
    return _POSITION.fullmatch(text) is not None


def start_before(moment: datetime) -> str:
    """A text after which all positions of times before `moment` stand, and of none that is a millisecond later."""
    return f"{_countdown(moment):013d}"


def end_after(moment: datetime) -> str:
    """A text before which all positions of times at or after `moment` stand."""
    return f"{_countdown(moment):013d}~"


def _countdown(moment: datetime) -> int:
    return min(max(_FAR - (moment - EPOCH) // _MILLISECOND, 0), _FAR - 1)
