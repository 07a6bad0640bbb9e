"""The table of money in docs/explanation/costs.md: the requests that the page tells of, at the sample prices.

The requests are no guesses: tests/unit/docs/test_costs.py counts each of them. Durable's own share is not in here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from docs.makers.markdown import table

PRICES = {"reads": 0.0044, "writes": 0.055, "lists": 0.055, "deletes": 0.0}
"""USD per 10,000 requests: Microsoft's sample prices of the hot tier (a listing is priced as a write)."""

BEGIN, END = "<!-- made by docs/makers/costs.py: `make docs` -->", "<!-- end of what is made -->"

_COUNTED = re.compile(r"^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
_LOOKS_A_DAY = 24 * 6
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests of each kind something takes."""

    reads: float = 0
    writes: float = 0
    lists: float = 0
    deletes: float = 0

    def times(self, number: float) -> "Requests":
        """As many of it."""
        return Requests(self.reads * number, self.writes * number, self.lists * number, self.deletes * number)

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(
            self.reads + other.reads, self.writes + other.writes, self.lists + other.lists, self.deletes + other.deletes
        )

    @property
    def total(self) -> float:
        """All requests."""
        return self.reads + self.writes + self.lists + self.deletes

    @property
    def usd(self) -> float:
        """What they cost at the sample prices."""
        return sum(getattr(self, kind) * price for kind, price in PRICES.items()) / 10_000


def counted(page: str) -> dict[str, Requests]:
    """What the page says that each thing asks of the object store."""
    return {name.strip(): Requests(*map(int, numbers)) for name, *numbers in _COUNTED.findall(page)}


def with_costs(page: str) -> str:
    """The page with its table of money made anew."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table(_HEAD, _rows(_priced(counted(page))))}\n\n{END}{rest.split(END)[1]}"


_HEAD = ("", "requests", "reads", "writes", "lists", "USD")


def _priced(one: Mapping[str, Requests]) -> Iterator[tuple[str, Requests]]:
    look = one["a look at a waiting run"]
    run = one["a start"] + one["a super-step"].times(10) + one["to turn to running, and to end"]
    day = look.times(_LOOKS_A_DAY)
    yield "a million super-steps", one["a super-step"].times(_MILLION)
    yield "a million runs of 10 super-steps", run.times(_MILLION)
    yield "the same, each with an approval that waits a day", (run + one["an approval"] + day).times(_MILLION)
    yield "an approval: to ask, to be answered, to go on", one["an approval"]
    yield "an approval that waits a day, looked at every ten minutes", one["an approval"] + day
    yield "an approval that waits 30 days", one["an approval"] + day.times(30)


def _rows(priced: Iterable[tuple[str, Requests]]) -> Iterator[tuple[str, ...]]:
    for name, requests in priced:
        numbers = (requests.total, requests.reads, requests.writes, requests.lists)
        yield name, *(f"{number:,.0f}" for number in numbers), _usd(requests.usd)


def _usd(amount: float) -> str:
    """With as many decimals as it takes to say something."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"
