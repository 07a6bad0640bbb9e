"""Run the scoreboard: ``python -m proof.scoreboard [--peers NAME ...] [--cases NAME ...]``.

Writes `docs/explanation/peers.json` and makes `docs/explanation/peers.md` of it, unless only some cases or peers are
run. Exits 1 when our own columns are not all equal.
"""

import argparse
import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from proof.scoreboard.cases import chosen
from proof.scoreboard.judging import Outcome, Refused, Verdict, verdict
from proof.scoreboard.page import PAGE, Column, Results, page
from proof.scoreboard.peers import Peer, Running, azure_functions_langgraph, durablegraph, langgraph_dev
from tests.support.catalogue import Case
from tests.support.plain import PlainRun, run_plainly

OURS = (durablegraph.PEER, durablegraph.SPREAD)
PEERS = {each.name: each for each in (*OURS, azure_functions_langgraph.PEER, langgraph_dev.PEER)}
Cases = dict[str, Case]
ASKED = "Who runs graphs as LangGraph does?"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m proof.scoreboard", description=ASKED)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="columns (default: all)")
    parser.add_argument("--cases", nargs="+", choices=sorted(chosen()), default=list(chosen()), help="default: all")
    return parser.parse_args(given)


async def oracle(cases: Cases, folder: Path) -> dict[str, PlainRun]:
    """Every case with LangGraph alone."""
    return {name: await run_plainly(case, folder / name) for name, case in cases.items()}


async def judged(running: Running, case: Case, plain: PlainRun, gate: asyncio.Semaphore) -> Verdict:
    """One case on one peer."""
    async with gate:
        try:
            return verdict(plain, await running.run(case))
        except Refused as refused:
            return Verdict(Outcome.REFUSED, str(refused))


async def column(running: Running, peer: Peer, cases: Cases, plain: dict[str, PlainRun]) -> dict[str, Verdict]:
    """All cases on one peer, some at once."""
    gate = asyncio.Semaphore(peer.at_once)
    verdicts = await asyncio.gather(*(judged(running, case, plain[name], gate) for name, case in cases.items()))
    return dict(zip(cases, verdicts, strict=True))


def run(peers: list[str], cases: Cases, folder: Path) -> Results:
    """The whole board, in an empty folder."""
    (folder / "plain").mkdir()
    plain = asyncio.run(oracle(cases, folder / "plain"))
    columns = {}
    for name in peers:
        peer = PEERS[name]
        with peer.start(folder / name.replace(", ", "-").replace(" ", "-"), cases) as running:
            found = asyncio.run(column(running, peer, cases, plain))
        columns[name] = Column({package: version(package) for package in peer.packages}, peer.about, found)
    python = ".".join(map(str, sys.version_info[:3]))
    return Results(datetime.now(UTC).date().isoformat(), python, version("langgraph"), columns)


def main() -> None:
    """Run, write, tell."""
    given = arguments()
    with tempfile.TemporaryDirectory(prefix="scoreboard-") as folder:
        results = run(given.peers, {name: chosen()[name] for name in given.cases}, Path(folder))
    for name, found in results.columns.items():
        for case, each in found.verdicts.items():
            if each.outcome is not Outcome.EQUAL:
                sys.stdout.write(f"{name}: {case}: {each.outcome}: {each.seen}\n")
        sys.stdout.write(f"{name}: {found.told()}\n")
    if set(given.peers) == set(PEERS) and set(given.cases) == set(chosen()):
        PAGE.with_suffix(".json").write_text(results.to_json(), encoding="utf-8")
        PAGE.write_text(page(results), encoding="utf-8")
    ours = [results.columns[peer.name] for peer in OURS if peer.name in results.columns]
    sys.exit(any(each.outcome is not Outcome.EQUAL for column in ours for each in column.verdicts.values()))


if __name__ == "__main__":
    main()
