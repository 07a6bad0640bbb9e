"""What a run of LangGraph's suite came to, and why what fails, fails."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

EXPLAINED = {
    "test_send_with_untracked_value[": (
        "puts an object that cannot be serialised into an UntrackedValue channel. Between super-steps there may be "
        "another process, so the value has to be stored; the run fails and says so"
    ),
    "test_stream_subgraphs_during_execution[": (
        "measures when a subgraph's steps are shown beside a function that sleeps: in nested mode a subgraph that is "
        "stopped goes on when the function has ended"
    ),
    "test_send_to_nested_graphs[": (
        "counts the root runs that a tracer sees, and wants one: a run in several calls has one root run a call"
    ),
}
"""Beginnings of test names, with the reason why they cannot pass."""


@dataclass(frozen=True, slots=True)
class Score:
    """`several` is the number of passed tests in which a run took two calls or more.

    `stood` is how many calls went on with a loop that stood.
    """

    mode: str
    passed: int
    failed: tuple[tuple[str, str], ...]
    skipped: int
    runs: int
    calls: int
    tasks: int
    stood: int
    several: int

    def after_repeating(self, repeated: "Score") -> "Score":
        """The score when what failed was repeated alone."""
        return replace(self, passed=self.passed + repeated.passed, failed=repeated.failed)

    @property
    def line(self) -> str:
        return f"{self.mode}: {self.passed}/{self.passed + len(self.failed)}"

    @property
    def unexplained(self) -> list[tuple[str, str]]:
        return [(name, reason) for name, reason in self.failed if not explanation(name)]


def explanation(name: str) -> str | None:
    """Why a test fails, where we know."""
    return next((reason for begin, reason in EXPLAINED.items() if name.startswith(begin)), None)


def read(mode: str, report: Path) -> Score:
    """The score that a JUnit report of our plugin holds."""
    passed = skipped = several = 0
    totals = {"runs": 0, "calls": 0, "tasks": 0, "stood": 0}
    failed: list[tuple[str, str]] = []
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- our own report
        counts = {
            name.removeprefix("conformance_"): int(each.get("value", "0"))
            for each in case.iter("property")
            if (name := each.get("name", "")).startswith("conformance_")
        }
        for name in totals:
            totals[name] += counts.get(name, 0)
        problem = case.find("failure")
        problem = problem if problem is not None else case.find("error")
        if problem is not None:
            failed.append((case.get("name", ""), (problem.get("message") or "")[:200]))
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
            several += counts.get("calls", 0) > counts.get("runs", 0)
    return Score(mode=mode, passed=passed, failed=tuple(failed), skipped=skipped, several=several, **totals)


def table(scores: Sequence[Score], version: str) -> str:
    """The scores as Markdown, and what does not pass with its reason."""
    lines = [
        f"LangGraph {version}",
        "",
        "| mode | passed | of | skipped | runs stepped | calls | standing | tasks run apart | with two calls or more |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.mode} | {each.passed} | {each.passed + len(each.failed)} | {each.skipped} | {each.runs} "
        f"| {each.calls} | {each.stood} | {each.tasks} | {each.several} |"
        for each in scores
    ]
    for score in scores:
        if score.failed:
            lines += ["", f"Not passed in {score.mode} mode:", ""]
            lines += [f"- `{name}`: {explanation(name) or ' '.join(reason.split())}" for name, reason in score.failed]
    return "\n".join(lines)
