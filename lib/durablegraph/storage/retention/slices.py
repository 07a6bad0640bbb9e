"""A sweep in slices: each call does a part of a round and stores how far it got.

A round is all passes one after the other; the next one begins a day after the last began. One call at a time does a
slice, whoever makes it: it takes the state by a conditional write, for a while only, so that a call whose process died
does not stop the others. Should two run at once all the same, because one was held up, they do no harm: every removal
is decided anew from what is stored.
"""

import logging
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel

from durablegraph.errors import StaleHead
from durablegraph.storage.documents import Documents, Versioned
from durablegraph.storage.objects import PreconditionFailed
from durablegraph.storage.retention import ages, orphans
from durablegraph.storage.retention.finds import Find, Looked, Retention, Times

log = logging.getLogger(__name__)

STATE: Final = "retention/state"
ROUND: Final = timedelta(hours=23)
"""A round begins this long after the one before began, so that an hourly timer makes one a day."""
Pass = Callable[[Retention, str | None, Times], AsyncIterator[Looked]]
PASSES: Final[Mapping[str, Pass]] = {
    "erasures": ages.erasures,
    "runs": ages.runs,
    "threads": ages.threads,
    "idempotency": ages.claims,
    "logs": orphans.logs,
    "markers": orphans.markers,
}
_ORDER: Final = tuple(PASSES)


class State(BaseModel):
    """Where the round is. `stage` is None between rounds; `before` is when the last complete round began.

    `judging` is what that round went by. A round that goes by something else looks at everything, as the first one did.
    """

    stage: str | None = None
    after: str | None = None
    began: datetime | None = None
    before: datetime | None = None
    judging: str = ""
    holder: str | None = None
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """How much one slice does at most: listed keys, and seconds (a removal that has begun is completed)."""

    keys: int = 200_000
    seconds: float = 120.0
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Report:
    """What a call did, or would do: by kind the number of finds, their objects and bytes. `complete`: the round is."""

    keys: int = 0
    finds: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    size: Counter[str] = field(default_factory=Counter)
    complete: bool = False

    def count(self, find: Find) -> None:
        """Add a find."""
        self.finds[find.kind] += 1
        self.objects[find.kind] += find.objects
        self.size[find.kind] += find.size

    def kinds(self) -> list[str]:
        """What a person reads of each kind."""
        return [
            f"{count} {kind} ({self.objects[kind]} objects, {self.size[kind]} bytes)"
            for kind, count in sorted(self.finds.items())
        ]

    def line(self) -> str:
        """The whole in one line."""
        return f"{self.keys} keys listed: {', '.join(self.kinds()) or 'nothing'}"


async def retain(
    retention: Retention, now: datetime, span: Span | None = None, *, at_once: bool = False
) -> Report | None:
    """Do the next slice; None when another call does one, or no round is due. `at_once`: a round is always due."""
    span, states = span or Span(), Documents(retention.objects, State)
    taken = await _take(retention, states, now, span, at_once=at_once)
    if taken is None:
        return None
    state, report, started = taken.value, Report(), span.clock()
    times = Times(now, state.began or now, state.before)

    def spent() -> bool:
        return report.keys >= span.keys or span.clock() - started >= span.seconds

    while state.stage is not None and not (report.keys and spent()):
        after = await _do(retention, state, times, report, spent)
        state = _next(state) if after is None else state.model_copy(update={"after": after})
    report.complete = state.stage is None
    try:
        await states.replace(STATE, state.model_copy(update={"holder": None, "held_until": None}), taken.etag)
    except PreconditionFailed:
        report.complete = False  # this call was held up and another one went on: it tells how far
    return report


async def survey(retention: Retention, now: datetime) -> Report:
    """What a whole round would remove if it began now; removes nothing."""
    report, times = Report(complete=True), Times(now, now)
    for look in PASSES.values():
        async for looked in look(retention, None, times):
            report.keys += looked.keys
            if looked.find is not None:
                report.count(looked.find)
    return report


async def _take(
    retention: Retention, states: Documents[State], now: datetime, span: Span, *, at_once: bool
) -> Versioned[State] | None:
    """The state, held by this call from now on."""
    found = await states.load(STATE)
    state = found.value if found else State()
    if state.holder is not None and state.held_until is not None and state.held_until > now:
        return None
    if state.stage is None:
        if not at_once and state.before is not None and now - state.before < ROUND:
            return None
        judging = retention.policy.judging
        before = state.before if state.judging == judging else None
        began = {"stage": _ORDER[0], "after": None, "began": now, "before": before, "judging": judging}
        state = state.model_copy(update=began)
    until = now + timedelta(seconds=2 * span.seconds + 60)
    state = state.model_copy(update={"holder": secrets.token_hex(8), "held_until": until})
    try:
        if found is not None:
            return Versioned(state, await states.replace(STATE, state, found.etag))
        etag = await retention.objects.put(STATE, state.model_dump_json(exclude_defaults=True).encode(), if_absent=True)
        return Versioned(state, etag)
    except PreconditionFailed:
        return None


async def _do(
    retention: Retention, state: State, times: Times, report: Report, spent: Callable[[], bool]
) -> str | None:
    """Go on with a pass; the result is where it stopped, None when it is complete."""
    async for looked in PASSES[state.stage or _ORDER[0]](retention, state.after, times):
        report.keys += looked.keys
        if looked.find is not None and await _removed(looked.find):
            report.count(looked.find)
        if looked.keys and spent():
            return looked.after
    return None


async def _removed(find: Find) -> bool:
    """Whether it was removed. What fails is left to a later round: what is behind it must have its turn."""
    try:
        return await find.remove()
    except StaleHead as error:
        log.info("%s: %s is left for now: %s", find.kind, find.name, error)
    except Exception:  # savers of graphs raise errors of their own
        log.exception("%s: %s could not be removed; a later round tries again", find.kind, find.name)
    return False


def _next(state: State) -> State:
    place = _ORDER.index(state.stage or _ORDER[0]) + 1
    if place < len(_ORDER):
        return state.model_copy(update={"stage": _ORDER[place], "after": None})
    return state.model_copy(update={"stage": None, "after": None, "before": state.began})
