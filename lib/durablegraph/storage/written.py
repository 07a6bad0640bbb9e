"""Since when an object is what it is, though a rotation of keys stored it anew: what ages are counted from.

To a store a rotation is a write, and a listing tells the time of the last one. So where an age counts, a rotation
leaves the time before it in the note, behind what the note was: a line feed, and milliseconds from 1970.
"""

from datetime import datetime, timedelta
from typing import Final

from durablegraph.clock import EPOCH
from durablegraph.storage.objects import ObjectEntry

_SIGN: Final = "\n"


def note_of(entry: ObjectEntry) -> str | None:
    """The note that the object was given; the listing has to be one with notes."""
    note, _, _ = (entry.note or "").partition(_SIGN)
    return note or None


def written(entry: ObjectEntry) -> datetime:
    """When the object was written, rotations left out; the listing has to be one with notes."""
    _, _, time = (entry.note or "").partition(_SIGN)
    return EPOCH + timedelta(milliseconds=int(time)) if time.isdecimal() else entry.modified


def rotated_note(key: str, note: str | None, modified: datetime) -> str | None:
    """The note of an object that is stored anew with the same value; `modified` is when it was stored before."""
    if not _ages(key) or _SIGN in (note or ""):
        return note
    return f"{note or ''}{_SIGN}{(modified - EPOCH) // timedelta(milliseconds=1)}"


def _ages(key: str) -> bool:
    return key.startswith(("threads/", "idempotency/")) or (key.startswith("runs/") and key.endswith("/record"))
