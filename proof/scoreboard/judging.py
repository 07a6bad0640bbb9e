"""What a peer was seen to do with a case, and how that compares with LangGraph alone."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.support.drive import as_json
from tests.support.plain import Execution, PlainRun, in_order

MOST_SHOWN = 160
"""Characters of a value on the page."""


class Outcome(StrEnum):
    """How a case went."""

    EQUAL = "equal"
    DIFFERS = "differs"
    REFUSED = "refused"


class Refused(Exception):  # noqa: N818 -- what the peer did
    """The peer said clearly that it does not do this; the text is its own."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and in words what was seen where it is not equal."""

    outcome: Outcome
    seen: str = ""


@dataclass(slots=True)
class Seen:
    """A case's run on a peer.

    `error` is the type of the error, "" where the peer says that there was one but not which. `values` is the thread's
    state at the end, as JSON; `ran` is what the nodes themselves noted.
    """

    asked: list[list[Any]] = field(default_factory=list)
    stops: list[tuple[str, ...]] = field(default_factory=list)
    error: str | None = None
    values: Any = None
    ran: list[Execution] = field(default_factory=list)


def verdict(plain: PlainRun, seen: Seen) -> Verdict:
    """Equal when errors, questions, stops, final state and the order of executions are."""
    found = list(differences(plain, seen))
    return Verdict(Outcome.DIFFERS, "; ".join(found)) if found else Verdict(Outcome.EQUAL)


def differences(plain: PlainRun, seen: Seen) -> Iterator[str]:
    """What is not as in LangGraph's own run, the grossest first."""
    expected = plain.error[0] if plain.error else None
    if (seen.error is None) != (expected is None) or (seen.error or expected) != expected:
        yield f"{ended(seen.error)}, LangGraph {ended(expected)}"
        return
    asked = [as_json(each) for each in plain.asked]
    if in_text(seen.asked) != in_text(asked):
        yield f"asked {short(seen.asked)}, LangGraph {short(asked)}"
    if seen.stops != plain.stops:
        yield f"stopped before {short(seen.stops)}, LangGraph before {short(plain.stops)}"
    if plain.state is not None and not same_values(seen.values, plain.state.values):
        yield f"ended with {short(as_json(seen.values))}, LangGraph with {short(as_json(plain.state.values))}"
    if in_order(seen.ran) != in_order(plain.ran):
        yield f"ran {short(names(seen.ran))}, LangGraph {short(names(plain.ran))}"


def same_values(seen: Any, expected: Any) -> bool:
    """Whether two states are the same; nothing may be written as null or as an empty object."""
    return as_json(seen) == as_json(expected) or (not expected and seen in (None, {}))


def in_text(stops: list[list[Any]]) -> list[list[str]]:
    """Questions as text in a fixed order: those of one stop have none among themselves."""
    return [sorted(json.dumps(as_json(question), sort_keys=True) for question in questions) for questions in stops]


def ended(error: str | None) -> str:
    """How a run ended, as a verb."""
    return "ends well" if error is None else f"fails with {error}" if error else "fails"


def names(ran: list[Execution]) -> list[str]:
    """The nodes in the order in which they began."""
    return [each.node for each in ran]


def short(value: Any) -> str:
    """A value on a line."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
