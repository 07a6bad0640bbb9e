"""A value as the difference from its predecessor: a growing list costs what was added, not what it is.

A splice keeps a prefix and a suffix of the old bytes and replaces the middle. A msgpack list or map begins with its
length, so growing it changes the first bytes as well: the header is compared apart from the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

_FIXED_HEADERS: Final = range(0x80, 0xA0)  # fixmap and fixarray: the length is in the first byte
_SHORT_HEADERS: Final = (0xDC, 0xDE)  # array 16 and map 16
_LONG_HEADERS: Final = (0xDD, 0xDF)  # array 32 and map 32
_STRIDE: Final = 65536
_Piece: TypeAlias = tuple[int, int, int]
"""Bytes of the value that is made: their place in it, where they begin in an older one, how many they are."""


@dataclass(frozen=True, slots=True)
class Splice:
    """new = header + old[offset : offset + length] + middle + the last `suffix` bytes of old."""

    header: bytes
    offset: int
    length: int
    middle: bytes
    suffix: int

    @property
    def cost(self) -> int:
        """Bytes that have to be stored."""
        return len(self.header) + len(self.middle)


def splice(old: bytes, new: bytes) -> Splice:
    """The splice that makes `new` out of `old`; exact for any two values, small when they are alike."""
    header, offset, start = b"", 0, 0
    length = _common_prefix(old, 0, new, 0)
    old_header, new_header = _header_length(old), _header_length(new)
    if old_header and new_header and length <= new_header:
        behind = _common_prefix(old, old_header, new, new_header)
        if behind > length:
            header, offset, start, length = new[:new_header], old_header, new_header, behind
    suffix = _common_suffix(old, new, min(len(old) - offset, len(new) - start) - length)
    return Splice(header, offset, length, new[start + length : len(new) - suffix], suffix)


def apply(base: bytes, splices: Sequence[Splice]) -> bytes:
    """The value at the end of a chain of splices; copies each byte once however long the chain is."""
    lengths = [len(base)]
    for step in splices:
        if step.offset + step.length > lengths[-1] or step.suffix > lengths[-1]:
            raise ValueError(f"a splice reaches beyond its base of {lengths[-1]} bytes")
        lengths.append(len(step.header) + step.length + len(step.middle) + step.suffix)
    made = bytearray(lengths.pop())
    wanted: list[_Piece] = [(0, 0, len(made))]
    for step, length in zip(reversed(splices), reversed(lengths), strict=True):
        wanted = [older for piece in wanted for older in _filled(made, step, length, piece)]
    for place, start, length in wanted:
        made[place : place + length] = base[start : start + length]
    return bytes(made)


def _filled(made: bytearray, step: Splice, old_length: int, piece: _Piece) -> Iterator[_Piece]:
    """Write what the splice itself has of a piece of its value into `made`; give what the old value has."""
    place, start, length = piece
    sections = (
        (step.header, 0, len(step.header)),
        (None, step.offset, step.length),
        (step.middle, 0, len(step.middle)),
        (None, old_length - step.suffix, step.suffix),
    )
    position = 0
    for source, begins, size in sections:
        first, end = max(start, position), min(start + length, position + size)
        inside, at = begins + first - position, place + first - start
        position += size
        if first >= end:
            continue
        if source is None:
            yield at, inside, end - first
        else:
            made[at : at + end - first] = source[inside : inside + end - first]


def _header_length(data: bytes) -> int:
    if not data:
        return 0
    first = data[0]
    if first in _FIXED_HEADERS:
        return 1
    return 3 if first in _SHORT_HEADERS else 5 if first in _LONG_HEADERS else 0


def _common_prefix(old: bytes, i: int, new: bytes, j: int) -> int:
    """How many bytes of old[i:] and new[j:] are equal at the beginning.

    A list that grows has all of the old one in it: that is asked first, and compares without a copy. Then strides,
    then bisection.
    """
    limit = min(len(old) - i, len(new) - j)
    if limit <= 0:
        return 0
    rest = memoryview(old)[i : i + limit]
    if new.startswith(rest, j):
        return limit
    low = 0
    while new.startswith(rest[low : low + _STRIDE], j + low):
        low += _STRIDE
    high = min(low + _STRIDE, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if new.startswith(rest[low:middle], j + low):
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(old: bytes, new: bytes, limit: int) -> int:
    """How many bytes are equal at the end, at most `limit`."""
    low, high, rest = 0, max(limit, 0), memoryview(old)
    while low < high:
        middle = (low + high + 1) // 2
        if new.endswith(rest[len(old) - middle : len(old) - low], 0, len(new) - low):
            low = middle
        else:
            high = middle - 1
    return low
