"""What three days of waiting cost a test: python -m benchmarks.escalation [rounds].

The human-interaction sample of Durable Functions and a graph with an interrupt, in memory, by `durablegraph.testing`.
A round is what a test does with an open app: start, let 72 hours pass, read how it ended.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from benchmarks.report import Report, spread
from durablegraph.testing import DurableApp

GOAL_MS = 50.0
APP = """
from datetime import timedelta
import azure.durable_functions as df

app = df.DFApp()

@app.orchestration_trigger(context_name="context")
def approval(context):
    yield context.call_activity("ask", context.get_input())
    deadline = context.create_timer(context.current_utc_datetime + timedelta(hours=72))
    answer = context.wait_for_external_event("Approval")
    if (yield context.task_any([answer, deadline])) is deadline:
        return (yield context.call_activity("escalate", context.get_input()))
    deadline.cancel()
    return f"approved by {answer.result}"

@app.activity_trigger(input_name="claim")
def ask(claim: dict) -> None:
    pass

@app.activity_trigger(input_name="claim")
def escalate(claim: dict) -> str:
    return f"escalated past {claim['manager']}"
"""


class State(TypedDict, total=False):
    """Of the graph that asks."""

    answer: str


def graph() -> StateGraph:
    """A graph of one question."""
    builder = StateGraph(State)
    builder.add_node("ask", lambda _: {"answer": interrupt("Pay?")})
    builder.add_edge(START, "ask")
    return builder


def escalated(app: DurableApp) -> None:
    """Nobody answers for 72 hours."""
    run = app.orchestrate("approval", {"manager": "kim"})
    app.clock.advance(hours=72)
    assert run.output == "escalated past kim"


def answered(app: DurableApp) -> None:
    """A person answers after 72 hours."""
    run = app.start("asks", {}).until_interrupt()
    app.clock.advance(hours=72)
    assert run.answer("yes").until_end().output == {"answer": "yes"}


def rounds(app: DurableApp, once: Callable[[DurableApp], None], count: int) -> list[float]:
    """Milliseconds of each round; the first one, which imports, is not among them."""
    took = []
    for _ in range(count + 1):
        began, now = time.perf_counter(), app.clock.now
        once(app)
        took.append((time.perf_counter() - began) * 1000)
        assert app.clock.now - now >= timedelta(hours=72)
    return took[1:]


def main(count: int) -> int:
    """Measure, print and keep; the result is how many goals were missed."""
    report = Report("escalation", "72 hours of waiting in a test", ("ms a test, median (range)", "ms to open the app"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "function_app.py").write_text(APP)
        (Path(folder) / "host.json").write_text('{"version": "2.0"}')
        began = time.perf_counter()
        with DurableApp(folder) as app:
            opened = (time.perf_counter() - began) * 1000
            took = rounds(app, escalated, count)
    report.row("a Durable app: escalation after 72 hours", spread(took, 1), f"{opened:.0f}")
    report.goal(
        f"a 72-hour escalation test, median, under {GOAL_MS:g} ms", statistics.median(took), GOAL_MS, unit=" ms"
    )
    began = time.perf_counter()
    with DurableApp(graphs={"asks": graph()}) as app:
        opened = (time.perf_counter() - began) * 1000
        took = rounds(app, answered, count)
    report.row("a graph: answered after 72 hours", spread(took, 1), f"{opened:.0f}")
    return report.keep()


if __name__ == "__main__":
    sys.exit(main(*(int(given) for given in sys.argv[1:] or ["20"])))
