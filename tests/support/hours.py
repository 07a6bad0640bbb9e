"""Time that passes when a test says so."""

import asyncio


class Hours:
    """`sleep` is what code under test is given in place of `asyncio.sleep`; `passed` lets time go by at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        """Return when as many seconds have passed."""
        if seconds <= 0:
            return
        until: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.now + seconds, until))
        await until

    def passed(self, seconds: float) -> None:
        """Wake whoever has slept long enough then."""
        self.now += seconds
        for until, waiting in self._sleeping:
            if until <= self.now and not waiting.done():
                waiting.set_result(None)

    async def for_ever(self, after: float = 0) -> None:
        """Let time pass, and never return."""
        self.passed(after)
        await asyncio.Event().wait()
