"""Prove it: python -m proof [--seed N] [--kills N] [--html FILE] [--keep DIR].

Exits 1 unless the run, killed at random, ends with plain invoke's state and every answer was used exactly once.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

from proof.app.forty_steps import ASKS, STEPS
from proof.evidence import Evidence, Kill
from proof.host import AppHost, copy_app
from proof.judge import accepted, judge
from proof.oracle import plain
from proof.page import page
from proof.plan import plan
from proof.table import heading, row, summary
from proof.trial import Trial

KILLS, INSIDE, PACE = 25, 5, 0.35
GIVEN = {"log": ["begin"]}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m proof", description="Kill a run at random and judge how it ends.")
    parser.add_argument("--seed", type=int, default=None, help="of the plan of the kills (default: a new one)")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how many (default: {KILLS})")
    parser.add_argument(
        "--html", type=Path, default=Path("build/proof.html"), help="the report (default: build/proof.html)"
    )
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder for app, state, notes and log")
    return parser.parse_args(given)


def say(*lines: str) -> None:
    """Print, even where the output is not a terminal."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


async def prove(folder: Path, seed: int, kills: int) -> Evidence:
    """One trial in `folder`; each kill is printed when the run is under way again."""
    inside = min(INSIDE, -(-kills // 2))
    chance = random.Random(seed)  # noqa: S311 -- repeatable, not secret
    planned = plan(chance, kills, STEPS, list(ASKS), inside=max(inside, kills // 3), pace=PACE)
    host = AppHost(copy_app(folder / "app"), PACE)
    began = time.time()

    def watch(kill: Kill) -> None:
        say(row(kill))

    trial = Trial(host, planned, inside=inside, watch=watch)
    outcome = await trial.carry(GIVEN)
    ended = time.time()
    answers = {question: next(iter(accepted(trial.replies, question)), None) for question in ASKS.values()}
    return Evidence(
        seed=seed,
        began=began,
        ended=ended,
        planned=kills,
        inside=inside,
        kills=tuple(trial.kills),
        notes=tuple(trial.notebook.read()),
        questions={question: trial.questions.get(question, frozenset()) for question in ASKS.values()},
        replies=tuple(trial.replies),
        outcome=outcome,
        plain=await plain(GIVEN, answers),
    )


def main(given: list[str] | None = None) -> int:
    """The exit code: 0 when nothing was found."""
    asked = arguments(given)
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    say(heading(seed, asked.kills))
    with tempfile.TemporaryDirectory(prefix="durablegraph-proof-") as temporary:
        seen = asyncio.run(prove(asked.keep or Path(temporary), seed, asked.kills))
    findings = judge(seen)
    asked.html.parent.mkdir(parents=True, exist_ok=True)
    asked.html.write_text(page(seen, findings), encoding="utf-8")
    say(summary(seen, findings), f"The report with the timeline: {asked.html}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
