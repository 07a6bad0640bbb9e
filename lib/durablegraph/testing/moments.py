"""Moments at which a test lets the host die."""

from dataclasses import dataclass, field
from enum import StrEnum


class What(StrEnum):
    """What the moment is counted by."""

    ACTIVITY = "activity"
    WRITE = "write to the storage"
    COMMIT = "commit of the task hub"


class When(StrEnum):
    """On which side of it."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Moment:
    """The `number`-th (from 1, counted from when the crash is ordered) of something; `name` narrows activities."""

    what: What
    when: When
    number: int = 1
    name: str | None = None

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"found number {self.number}, expected 1 or more: moments are counted from 1")

    def __str__(self) -> str:
        named = f" of {self.name!r}" if self.name else ""
        return f"{self.when} {self.what} {self.number}{named}"


def before_activity(number: int = 1, name: str | None = None) -> Moment:
    """The activity is scheduled and stored, and has not begun."""
    return Moment(What.ACTIVITY, When.BEFORE, number, name)


def after_activity(number: int = 1, name: str | None = None) -> Moment:
    """The activity has run, and its result is not stored: it will run again."""
    return Moment(What.ACTIVITY, When.AFTER, number, name)


def before_write(number: int = 1) -> Moment:
    """A write or removal in the app's object storage never reaches it."""
    return Moment(What.WRITE, When.BEFORE, number)


def after_write(number: int = 1) -> Moment:
    """A write or removal in the app's object storage is carried out, and nobody hears of it."""
    return Moment(What.WRITE, When.AFTER, number)


def before_commit(number: int = 1) -> Moment:
    """A commit of the task hub's history and messages is not made."""
    return Moment(What.COMMIT, When.BEFORE, number)


def after_commit(number: int = 1) -> Moment:
    """A commit of the task hub's history and messages is made, and nothing follows from it."""
    return Moment(What.COMMIT, When.AFTER, number)


@dataclass(slots=True)
class _Ordered:
    moment: Moment
    seen: int = 0


@dataclass(slots=True)
class Orders:
    """The crashes that are ordered and have not come."""

    _ordered: list[_Ordered] = field(default_factory=list)

    def add(self, moment: Moment) -> None:
        """Order one more."""
        self._ordered.append(_Ordered(moment))

    def reach(self, what: What, when: When, name: str | None = None) -> Moment | None:
        """Count this; the order that it carries out, which is then no more."""
        for ordered in self._ordered:
            moment = ordered.moment
            if (moment.what, moment.when) != (what, when):
                continue
            if moment.name is not None and moment.name.lower() != (name or "").lower():
                continue
            ordered.seen += 1
            if ordered.seen == moment.number:
                self._ordered.remove(ordered)
                return moment
        return None

    def open(self) -> list[str]:
        """A line for each crash that has not come."""
        return [f"{ordered.moment} (counted {ordered.seen})" for ordered in self._ordered]
