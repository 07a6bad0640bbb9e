"""An event loop in a thread of its own, so that tests may be sync or async and need no plugin for either."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for callers that block. Nothing runs between two calls but what earlier ones started."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="durable app", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, or what it raises. An interrupted caller (Ctrl+C) cancels it."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("The app's own functions cannot drive the app: call this from the test.")
        if self.loop.is_closed():
            work.close()
            raise RuntimeError("The app is closed: open another one, or make this call before close().")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("The app was closed while this call waited: make calls before close().") from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop; tasks that are left are cancelled."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
