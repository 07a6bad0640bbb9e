"""Keys of items: safe for any label and key, never two items under one, and a namespace is a prefix of its items.

::

    items/{label}/{label}/…/{key}

Labels and keys are parts as the checkpoint log makes them (see `checkpoints.names`): ``=`` and the escaped text, a long
text cut and ended by its hash. Labels that would take a path beyond 480 characters are replaced, from there on, by one
part ``~~{sha256}``. The names themselves are in the object, and are read there when a key does not tell them.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from durablegraph.storage.checkpoints.names import from_part, to_part

Namespace = tuple[str, ...]

ROOT: Final = "items/"
LONGEST_PATH: Final = 480
_DIGEST_MARK: Final = "~~"  # in no escaped text
_ROOM_FOR_DIGEST: Final = len(_DIGEST_MARK) + 64 + 1


def item_key(namespace: Namespace, key: str) -> str:
    """The key of an item's object, at most 646 characters long."""
    return ROOT + _path([to_part(label) for label in namespace]) + to_part(key)


def listing_prefix(prefix: Namespace) -> str:
    """What the keys of all items at or below `prefix` begin with.

    Exact unless the labels are so long that paths below `prefix` may hold a digest; then other items may share it.
    """
    parts = [to_part(label) for label in prefix]
    return ROOT + _joined(parts[: _kept(parts)])


def namespace_of(object_key: str) -> Namespace | None:
    """The namespace that an item's key tells, or None when only the object knows it."""
    labels = [from_part(part) for part in _labels(object_key)]
    known = tuple(label for label in labels if label is not None)
    return known if len(known) == len(labels) else None


def path_of(object_key: str) -> str:
    """What all items of one namespace, and no others, have in common; tells nothing about the labels."""
    return object_key.rpartition("/")[0]


def may_be_below(object_key: str, prefix: Namespace) -> bool:
    """False when the key alone shows that its item is not at or below `prefix`."""
    namespace = namespace_of(object_key)
    return namespace is None or namespace[: len(prefix)] == prefix


def _labels(object_key: str) -> list[str]:
    return object_key[len(ROOT) :].split("/")[:-1]


def _path(parts: Sequence[str]) -> str:
    path = _joined(parts)
    if len(path) <= LONGEST_PATH:
        return path
    kept = _kept(parts)
    digest = hashlib.sha256(_joined(parts[kept:]).encode()).hexdigest()
    return _joined([*parts[:kept], _DIGEST_MARK + digest])


def _kept(parts: Sequence[str]) -> int:
    """How many leading parts stay as they are in every path that begins with `parts`, however long."""
    length = 0
    for count, part in enumerate(parts):
        length += len(part) + 1
        if length > LONGEST_PATH - _ROOM_FOR_DIGEST:
            return count
    return len(parts)


def _joined(parts: Sequence[str]) -> str:
    return "".join(f"{part}/" for part in parts)
