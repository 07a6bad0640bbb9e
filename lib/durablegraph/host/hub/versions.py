"""Whether a host takes an orchestration of a given version.

Source: recordings of extension 3.19 (orchestration versioning): a host without a version counts as the oldest; versions
are compared as System.Version when both are such, else as text without case.
"""

import re

from durablegraph.host.hub.options import DurableOptions, VersionMatch

_SYSTEM_VERSION = re.compile(r"\d+(?:\.\d+){1,3}")


def accepts(options: DurableOptions, version: str | None) -> bool:
    """Whether an instance of `version` may run on a host with these options."""
    mine, theirs = options.default_version or "", version or ""
    match options.version_match:
        case VersionMatch.NONE:
            return True
        case VersionMatch.STRICT:
            return mine == theirs
        case VersionMatch.CURRENT_OR_OLDER:
            return not newer(theirs, mine)


def newer(left: str, right: str) -> bool:
    """Whether version `left` is newer than `right`."""
    if not left or not right:
        return bool(left) and not right
    if _SYSTEM_VERSION.fullmatch(left) and _SYSTEM_VERSION.fullmatch(right):
        return _parts(left) > _parts(right)
    return left.upper() > right.upper()


def _parts(version: str) -> list[int]:
    """Missing parts count as -1: "2.0.0" is newer than "2.0"."""
    numbers = [int(part) for part in version.split(".")]
    return numbers + [-1] * (4 - len(numbers))
