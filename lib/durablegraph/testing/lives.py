"""One life of the simulated process, and what it leaves to the next."""

import asyncio
from collections.abc import Sequence

from durablegraph.host.hub.changes import Change
from durablegraph.host.hub.journal import Journal
from durablegraph.testing.moments import Moment, Orders, What, When
from durablegraph.testing.verdicts import ProcessEnded


class Life:
    """From a start of the host to its death. Whatever belongs to a life asks it before it acts."""

    def __init__(self, orders: Orders) -> None:
        """Must be called on the app's event loop."""
        self._orders = orders
        self._loop = asyncio.get_running_loop()
        self.journal: KeptJournal | None = None
        self.left: bytes | None = None
        self.moment: Moment | None = None
        self.dead = False
        self.ended = asyncio.Event()

    def reach(self, what: What, when: When, name: str | None = None) -> bool:
        """Whether the process dies at this point; it is dead then."""
        if self.dead:
            return True
        moment = self._orders.reach(what, when, name)
        if moment is not None:
            self.end(moment)
        return moment is not None

    def end(self, moment: Moment | None = None) -> None:
        """Die: what the journal holds now is all that is left of this process."""
        if self.dead:
            return
        self.dead, self.moment = True, moment
        if self.journal is not None:
            self.left = self.journal.held()
        self._loop.call_soon_threadsafe(self.ended.set)

    def check_alive(self) -> None:
        """Raise ProcessEnded if the process is dead: the dead do not act."""
        if self.dead:
            raise ProcessEnded

    def check(self, what: What, when: When) -> None:
        """Raise ProcessEnded if the process dies here or is dead already."""
        if self.reach(what, when):
            raise ProcessEnded


class KeptJournal(Journal):
    """A journal in memory whose content passes to the next life as bytes."""

    def __init__(self, hub_name: str, life: Life) -> None:
        super().__init__(":memory:", hub_name)
        self._life = life
        life.journal = self

    @classmethod
    def of(cls, hub_name: str, life: Life, left: bytes | None) -> "KeptJournal":
        """A journal with what an earlier life left, None for nothing."""
        journal = cls(hub_name, life)
        if left is not None:
            journal._db.deserialize(left)
        return journal

    def held(self) -> bytes:
        """All that is committed."""
        return self._db.serialize()

    def commit(self, changes: Sequence[Change]) -> None:
        """See Journal; a moment that was ordered may come before or after."""
        self._life.check(What.COMMIT, When.BEFORE)
        super().commit(changes)
        self._life.check(What.COMMIT, When.AFTER)
