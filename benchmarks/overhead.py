"""What durability costs a super-step: python -m benchmarks.overhead [super-steps] [rounds].

Overhead = (the durable run - plain `invoke` on SqliteSaver) / super-steps, of one graph that counts. Peers in the same
rounds, interleaved: DBOS on SQLite with the node as a step, durabletask's in-memory backend with the node as an
activity and continue-as-new every 20. Neither keeps LangGraph's checkpoints, and the second keeps nothing on disk.
"""

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from dbos import DBOS

from benchmarks.apps.loop.loop import step
from benchmarks.host_throughput import of_graph, of_plain
from benchmarks.in_memory import completed, durabletask_in_memory
from benchmarks.peers import dbos_on_sqlite
from benchmarks.report import Report, spread
from benchmarks.serving import host

CUT = 20
OURS = "durablegraph"
PEERS = ("durabletask in memory", "DBOS on SQLite")

Case = Callable[[], float]


def node(_: object, state: dict[str, int]) -> dict[str, int]:
    """The graph's node as a durabletask activity."""
    return {**state, **step(state)}  # type: ignore[arg-type]  # a plain dictionary has the state's members


def loop(context, state):  # noqa: ANN001, ANN201 -- durabletask's own untyped protocol
    """The graph's loop as a durabletask orchestration."""
    for _ in range(CUT):
        state = yield context.call_activity(node, input=state)
        if state["n"] >= state["until"]:
            return state
    context.continue_as_new(state)
    return None


@contextlib.contextmanager
def durabletask_case(steps: int) -> Iterator[Case]:
    """Milliseconds a super-step on durabletask's in-memory backend."""
    with durabletask_in_memory(loop, node) as hub:

        def run() -> float:
            began = time.perf_counter()
            completed(hub, hub.schedule_new_orchestration(loop, input={"n": 0, "until": steps}))
            return (time.perf_counter() - began) / steps * 1000

        yield run


@contextlib.contextmanager
def dbos_case(steps: int) -> Iterator[Case]:
    """Milliseconds a super-step of the graph's loop as a DBOS workflow on SQLite, the node as a step."""
    with dbos_on_sqlite("overhead"):

        @DBOS.step()
        def durable_node(state: dict[str, int]) -> dict[str, int]:
            return node(None, state)

        @DBOS.workflow()
        def durable_loop(state: dict[str, int]) -> dict[str, int]:
            while state["n"] < state["until"]:
                state = durable_node(state)
            return state

        DBOS.launch()

        def run() -> float:
            began = time.perf_counter()
            durable_loop({"n": 0, "until": steps})
            return (time.perf_counter() - began) / steps * 1000

        yield run


def main(steps: int, rounds: int) -> int:
    """Print and keep the table; the result is how many goals were missed."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(host("loop", ours=True))
        batched = stack.enter_context(host("loop", ours=True, DURABLEGRAPH_STEPS_PER_ACTIVITY="5"))
        cases: dict[str, Case] = {
            "plain": lambda: 1000 / of_plain(steps),
            OURS: lambda: 1000 / of_graph(ours, steps),
            f"{OURS}, 5 super-steps an activity": lambda: 1000 / of_graph(batched, steps),
            PEERS[0]: stack.enter_context(durabletask_case(steps)),
            PEERS[1]: stack.enter_context(dbos_case(steps)),
        }
        found: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, run in cases.items():
                found[name].append(run())
    overheads = {
        name: statistics.median(a - b for a, b in zip(times, found["plain"], strict=True))
        for name, times in found.items()
    }
    mine = overheads[OURS]
    report = Report(
        "overhead",
        "What durability costs a super-step",
        ("ms a super-step", "overhead", "ours / theirs"),
        bars="overhead",
    )
    for name, times in found.items():
        ratio = f"{mine / overheads[name]:.2f}" if name in PEERS else ""
        report.row(name, spread(times), "" if name == "plain" else f"{overheads[name]:.2f}", ratio)
    for name in PEERS:
        report.goal(f"our overhead at most that of {name}", mine / overheads[name], 1.0, unit=" x")
        report.goal(f"our overhead at most twice that of {name}", mine / overheads[name], 2.0, unit=" x")
    report.notes.append(
        f"{steps} super-steps a run, medians of {rounds} interleaved rounds, each minus its own plain run"
    )
    return report.keep()


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    sys.exit(main(*(arguments + [250, 25][len(arguments) :])))
