"""What a benchmark found: printed as a table, kept as JSON beside the code, shown on a page with a plot.

`python -m benchmarks.page` makes docs/explanation/benchmarks.md and its plots from what is kept.
"""

import json
import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "durablegraph",
    "langgraph",
    "azure-functions-durable",
    "durabletask",
    "dbos",
    "restate-sdk",
    "langgraph-api",
)


@dataclass(slots=True)
class Goal:
    """What was aimed at, what was found, and whether that is enough."""

    text: str
    found: str
    met: bool


@dataclass(slots=True)
class Lines:
    """A plot of figures along a way: the names of both axes, and for each line its points (x, y)."""

    across: str
    up: str
    points: dict[str, list[tuple[float, float]]]


@dataclass(slots=True)
class Report:
    """One benchmark's table.

    `bars` names the column that is plotted; a cell of it begins with its number. `lines` are plots of their own.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bars: str | None = None
    lines: list[Lines] = field(default_factory=list)
    machine: str = ""
    date: str = ""
    load: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    """Whose versions matter here, beside those that always do."""

    def row(self, *cells: str) -> None:
        """Add a row: its name, then a cell for each heading."""
        assert len(cells) == len(self.headings) + 1, (cells, self.headings)
        self.rows.append(cells)

    def goal(self, text: str, found: float, limit: float, *, unit: str = "", below: bool = True) -> None:
        """Judge a figure by a limit."""
        met = found <= limit if below else found >= limit
        self.goals.append(Goal(text, f"{found:.3g}{unit} (limit {limit:g})", met))

    @property
    def missed(self) -> int:
        """How many goals were missed."""
        return sum(not goal.met for goal in self.goals)

    def keep(self) -> int:
        """Print the report and keep it; the result is how many goals were missed."""
        self.machine = machine()
        self.date = datetime.now(UTC).date().isoformat()
        self.load = round(os.getloadavg()[2], 1)
        self.versions = versions((*PACKAGES, *self.packages))
        print(self.markdown(), flush=True)
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (RESULTS / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")
        return self.missed

    def markdown(self) -> str:
        """The table, the goals and the notes."""
        lines = [("", *self.headings), ("---", *("---:" for _ in self.headings)), *self.rows]
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        judged = [f"- {'reached' if goal.met else '**not reached**'}: {goal.text}: {goal.found}" for goal in self.goals]
        notes = [f"- {note}" for note in self.notes]
        return "\n".join([text, "", *judged, *notes])


def kept(name: str) -> Report:
    """A report as it was kept."""
    stored = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    stored["goals"] = [Goal(**goal) for goal in stored["goals"]]
    stored["lines"] = [Lines(**lines) for lines in stored.get("lines", [])]
    stored["rows"] = [tuple(row) for row in stored["rows"]]
    return Report(**{**stored, "headings": tuple(stored["headings"]), "packages": tuple(stored.get("packages", ()))})


def machine() -> str:
    """Processor, cores, system and Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of these packages, where they are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def spread(values: list[float], digits: int = 2) -> str:
    """The median and the range of rounds."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
