"""Make docs/explanation/benchmarks.md and its plots from the kept results: python -m benchmarks.page."""

import re
import sys

import matplotlib as mpl

from benchmarks.report import RESULTS, Report, kept
from benchmarks.serving import ROOT

mpl.use("svg")
from matplotlib import pyplot as plt  # the backend is chosen first
from matplotlib.figure import Figure  # as above

PAGE = ROOT / "docs/explanation/benchmarks.md"
PLOTS = ROOT / "docs/explanation/plots"
ORDER = (
    "overhead",
    "host_throughput",
    "throughput",
    "latency",
    "fan_out",
    "long_run",
    "memory",
    "start_up",
    "object_stores",
    "checkpointers",
    "listings",
    "encryption",
    "escalation",
)
HEAD = """# Benchmarks

Each table is one command's output, with peers in the same run: rounds are interleaved, medians are shown with the range
of the rounds. `make bench` makes them all, and `python -m benchmarks.page` this page from what they kept. Milliseconds
belong to the machine that is named; ratios travel. Peers are called as their own documentation says, on their defaults;
what they keep durable is not always the same, and is said beside them. Why what was not reached was not:
[where the time goes](where-time-goes.md).

*Made by `python -m benchmarks.page`; do not edit.*
"""


def number(cell: str) -> float:
    """The number that a cell begins with."""
    found = re.match(r"-?[\d.]+", cell)
    return float(found[0]) if found else 0.0


def plot(report: Report) -> str:
    """Draw the bars or the lines of a report; the result is the Markdown that shows them."""
    if report.bars is None and not report.lines:
        return ""
    figure = lines_of(report) if report.lines else bars_of(report, report.bars or "")
    PLOTS.mkdir(exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = report.name  # the same numbers give the same file
    figure.savefig(PLOTS / f"{report.name}.svg", metadata={"Date": None})
    plt.close(figure)
    return f"\n![{report.title}](plots/{report.name}.svg)\n"


def bars_of(report: Report, heading: str) -> Figure:
    """A bar for each row that has a number under this heading."""
    column = report.headings.index(heading) + 1
    rows = [row for row in reversed(report.rows) if row[column]]
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.42 * len(rows)), layout="constrained")
    bars = axes.barh([row[0] for row in rows], [number(row[column]) for row in rows], color="#3b6ea8", height=0.6)
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.set_xlabel(heading)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    return figure


def lines_of(report: Report) -> Figure:
    """A plot for each set of lines, one below the other, all from zero up."""
    figure, plots = plt.subplots(
        len(report.lines), figsize=(8, 2.4 * len(report.lines)), layout="constrained", squeeze=False
    )
    for axes, lines in zip(plots[:, 0], report.lines, strict=True):
        for name, points in lines.points.items():
            axes.plot([x for x, _ in points], [y for _, y in points], label=name, linewidth=1.2)
        axes.set_xlabel(lines.across)
        axes.set_ylabel(lines.up)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def section(report: Report) -> str:
    """One benchmark on the page."""
    made = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return (
        f"\n## {report.title}\n\n`python -m benchmarks.{report.name}`, {report.date}; {report.machine}; "
        f"load average {report.load}; {made}.\n\n{report.markdown()}\n{plot(report)}"
    )


def main() -> int:
    """Write the page and the plots."""
    names = sorted(
        (file.stem for file in RESULTS.glob("*.json")),
        key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name),
    )
    PAGE.write_text(HEAD + "".join(section(kept(name)) for name in names), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
