"""Checkpoint ids that follow the ones already read, whatever the clock of this host says.

LangGraph makes ids (uuid6) from the wall clock of the host that runs a step, and the greatest id is the latest
checkpoint. A host whose clock is behind would make children that sort before their parent. So the id's clock of this
process is moved past every latest checkpoint it reads, as a Lamport clock is. The log does not rely on it: it ranks a
child of the latest checkpoint behind its parent anyway (see `PutCheckpoint`).
"""

import uuid
from typing import Final

from langgraph.checkpoint.base import id as ids

_UUID6: Final = 6
_CLOCK: Final = "_last_v6_timestamp"


def move_past(checkpoint_id: str) -> None:
    """Let the next ids of this process sort behind `checkpoint_id`; ids of another form are left alone."""
    try:
        read = uuid.UUID(checkpoint_id)
    except ValueError:
        return
    if read.version != _UUID6:
        return
    ticks = (read.time_low << 28) | (read.time_mid << 12) | (read.time_hi_version & 0x0FFF)
    last = getattr(ids, _CLOCK, None)
    if last is None or last < ticks:
        setattr(ids, _CLOCK, ticks)
