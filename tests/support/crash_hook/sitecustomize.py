"""Kills this process at a chosen moment; Python imports it at the start of every process that has it on its path.

``CRASH=KIND:WHEN:N`` names the moment: the N-th call of this kind in this process, before or after it is carried out.
Kinds are ``write`` (of the object store), ``activity`` (of the app) and ``journal`` (a commit of the host's own).
With ``CRASH_ONCE``, the path of a file, only the first process that comes to its moment dies, and makes the file.
``CRASH_COUNTS`` names a file that is told, at the end of each such call, how many there were: one line a call.

The product has no part in this: its classes are wrapped from outside, before the app is loaded.
"""

import functools
import inspect
import itertools
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

NUMBERS = {kind: itertools.count(1) for kind in ("write", "activity", "journal")}


def kill() -> NoReturn:
    """End this process as the power does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable: SIGKILL cannot be caught")


def at(kind: str, when: str, number: int) -> None:
    """Kill at the chosen moment, else go on."""
    if os.environ.get("CRASH") == f"{kind}:{when}:{number}" and not_yet():
        kill()


def not_yet() -> bool:
    """Whether no other process has died of this; true once only."""
    if not (path := os.environ.get("CRASH_ONCE")):
        return True
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def noted(kind: str) -> None:
    """Tell the file of counts that a call of this kind came to its end."""
    if path := os.environ.get("CRASH_COUNTS"):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{kind}\n".encode())
        os.close(descriptor)


def watched(kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a moment before it and one after it, whether it is a coroutine or not."""

    @functools.wraps(original)
    async def later(*args: Any, **kwargs: Any) -> Any:
        number = next(NUMBERS[kind])
        at(kind, "before", number)
        try:
            return await original(*args, **kwargs)
        finally:
            noted(kind)
            at(kind, "after", number)

    @functools.wraps(original)
    def now(*args: Any, **kwargs: Any) -> Any:
        number = next(NUMBERS[kind])
        at(kind, "before", number)
        try:
            return original(*args, **kwargs)
        finally:
            noted(kind)
            at(kind, "after", number)

    return later if inspect.iscoroutinefunction(original) else now


def arm() -> None:
    """Wrap the object stores, the activities' bodies and the host's journal."""
    from durablegraph.execution import advance, fanning
    from durablegraph.host.hub.journal import Journal
    from durablegraph.storage.azure_blob import BlobObjectStore
    from durablegraph.storage.sqlite import SqliteObjectStore

    for store in (SqliteObjectStore, BlobObjectStore):
        for name in ("put", "delete", "delete_many"):
            setattr(store, name, watched("write", getattr(store, name)))
    advance.advance = watched("activity", advance.advance)
    fanning.run_chunk = watched("activity", fanning.run_chunk)
    Journal.commit = watched("journal", Journal.commit)  # type: ignore[method-assign] # this is what a hook does


if os.environ.get("CRASH") or os.environ.get("CRASH_COUNTS"):
    arm()
