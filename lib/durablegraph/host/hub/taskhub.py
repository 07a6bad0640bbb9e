"""The task hub as the rest of the host uses it: open, start, stop, and a client."""

from pathlib import Path

from durablegraph.host.hub.calls import Caller
from durablegraph.host.hub.client import HubClient
from durablegraph.host.hub.clocks import Clock, RealClock
from durablegraph.host.hub.dispatcher import Dispatcher
from durablegraph.host.hub.functions import Functions
from durablegraph.host.hub.journal import Journal
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.invocation import FunctionIndex, Worker


class TaskHub:
    """One hub on one file. Runs what it finds unfinished there as soon as it is started."""

    def __init__(self, dispatcher: Dispatcher, options: DurableOptions) -> None:
        """Use `open`."""
        self.options = options
        self._dispatcher = dispatcher
        self.client = HubClient(dispatcher, options)

    @classmethod
    def open(
        cls,
        kept: Journal | Path | str,
        *,
        worker: Worker,
        index: FunctionIndex,
        options: DurableOptions | None = None,
        clock: Clock | None = None,
    ) -> "TaskHub":
        """Open or create the file (``":memory:"`` for none), or take a journal that is open already.

        The worker is started and stopped by its owner.

        HostError when the file belongs to another hub. At most one process may have a file open: the host's state
        folder has a lock for that.
        """
        options = options or DurableOptions()
        functions = Functions.of(index)
        caller = Caller(worker, functions.bindings, options.function_timeout)
        journal = kept if isinstance(kept, Journal) else Journal(kept, options.hub_name)
        return cls(Dispatcher(journal, options, functions, caller, clock or RealClock()), options)

    async def start(self) -> None:
        """Begin, or go on where an earlier process stopped: activities that were in flight run again at once."""
        self._dispatcher.start()

    async def stop(self, drain_seconds: float = 0.0) -> None:
        """Begin nothing more, let calls in flight end within `drain_seconds`, stop. Not to be called twice.

        Nothing is lost: what was in the worker's hands runs again after the next start.
        """
        await self._dispatcher.stop(drain_seconds)

    @property
    def failure(self) -> BaseException | None:
        """What stopped the hub of itself: its journal could not be written. None while it works."""
        return self._dispatcher.failure

    def use(self, index: FunctionIndex) -> None:
        """Take a new set of functions (the app was reloaded). Calls in flight go on."""
        functions = Functions.of(index)
        self._dispatcher.machine.functions = functions
        self._dispatcher.caller.bindings = functions.bindings

    async def settled(self) -> None:
        """Waits until nothing more can happen without an event, a timer or time passing."""
        await self._dispatcher.settled()
