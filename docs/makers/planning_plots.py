"""The plots of docs/explanation/planning.md: `python -m docs.makers.planning_plots` (matplotlib: group `peers`).

Each file names the points it shows by a digest, so that a test tells an old plot without drawing it.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from docs.makers import planning as model
from docs.makers.planning import Hub
from docs.makers.planning_page import BACKENDS, BATCHES, CHAIN

PLOTS = Path(__file__).parents[1] / "explanation" / "plots"
Points = dict[str, list[float]]


def money() -> Points:
    """USD for a million super-steps, by how many an activity executes."""
    usages = [model.of_steps(CHAIN, Hub(steps_per_activity=batch)).times(1_000) for batch in BATCHES]
    return {
        "the object store (ours)": [round(usage.blobs.usd, 2) for usage in usages],
        "Durable on Azure Storage": [round(usage.durable_usd, 2) for usage in usages],
    }


def capacity() -> Points:
    """Super-steps a second that one task hub's published targets allow, by how many an activity executes."""
    return {
        backend.name: [
            round(model.bottleneck(backend, CHAIN, Hub(steps_per_activity=batch)).steps) for batch in BATCHES
        ]
        for backend in BACKENDS
    }


PLOTTED = {"planning-money": money, "planning-capacity": capacity}
"""File -> its points."""


def digest(points: Points) -> str:
    """Names the points that a file shows."""
    return "points " + hashlib.sha256(json.dumps([BATCHES, points]).encode()).hexdigest()[:16]


def main() -> int:
    """Draw both."""
    import matplotlib as mpl  # noqa: PLC0415 -- the tests read this module and have no matplotlib

    mpl.use("svg")
    PLOTS.mkdir(exist_ok=True)
    for name, points in PLOTTED.items():
        mpl.rcParams["svg.hashsalt"] = name  # the same points give the same file
        _draw(name, points())
    return 0


def _draw(name: str, points: Points) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415 -- as above

    figure, axes = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    if name == "planning-money":
        _bars(axes, points)
    else:
        _lines(axes, points)
    axes.set_xticks(range(len(BATCHES)), [str(batch) for batch in BATCHES])
    axes.set_xlabel("super-steps an activity (DURABLEGRAPH_STEPS_PER_ACTIVITY)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    described = {"Date": None, "Description": digest(points)}
    figure.savefig(PLOTS / f"{name}.svg", metadata=described)
    plt.close(figure)


def _bars(axes: Any, points: Points) -> None:
    below = [0.0] * len(BATCHES)
    for color, (label, values) in zip(("#3b6ea8", "#c9772b"), points.items(), strict=True):
        axes.bar(range(len(BATCHES)), values, bottom=below, label=label, color=color, width=0.6)
        below = [low + value for low, value in zip(below, values, strict=True)]
    axes.set_ylabel("USD a million super-steps")


def _lines(axes: Any, points: Points) -> None:
    for style, (label, values) in zip(("o-", "s--", "^--", "v--"), points.items(), strict=True):
        axes.plot(range(len(BATCHES)), values, style, label=label)
    axes.set_yscale("log")
    axes.set_ylabel("super-steps a second, one hub")


if __name__ == "__main__":
    sys.exit(main())
