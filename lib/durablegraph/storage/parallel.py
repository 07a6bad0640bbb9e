"""Many requests at once, but not all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE: Final = 32
"""Half of the connections that one blob client has."""


async def in_parallel(subjects: Iterable[T], act: Callable[[T], Awaitable[R]]) -> list[R]:
    """The results of `act` in the order of `subjects`; the first error is raised when all have ended."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(subject: T) -> R:
        async with gate:
            return await act(subject)

    outcomes = await asyncio.gather(*(gated(subject) for subject in subjects), return_exceptions=True)
    results: list[R] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
