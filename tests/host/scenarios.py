"""Drive the recorded scenarios against a host, and against an embedded one, and compare case by case."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.host.test_recordings import MAY_DIFFER
from tests.host.transcripts import Compared, compare
from tests.support.recorded import FIXTURES, RecordedRun, recorded_names

DRIVER = FIXTURES / "recorded_app" / "driver"
SECONDS = {"main": 1800, "options": 900, "crash": 1800, "versions": 2400}


@dataclass(frozen=True, slots=True)
class Target:
    """A host with the recorded app. `folder` receives transcripts; `more` are variables of the driver."""

    url: str
    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)


def drive(target: Target, which: str, only: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The raw transcripts of a set's scenarios. RuntimeError with the driver's output when it fails."""
    out = target.folder / "transcripts"
    environment = {
        **os.environ,
        "REC_BASE": target.url,
        "REC_RUN": str(target.folder),
        "REC_TRACE": str(target.folder / "no-trace.ndjson"),
        "REC_OUT": str(out),
        "PYTHONDONTWRITEBYTECODE": "1",
        **target.more,
    }
    done = subprocess.run(
        [sys.executable, "run.py", "--set", which, *only],
        cwd=DRIVER, env=environment, capture_output=True, text=True, timeout=SECONDS[which], check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the driver of the scenarios failed:\n{done.stdout}{done.stderr}")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))}


def embedded(folder: Path, which: str, only: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same scenarios on an embedded host that is started for it."""
    run = RecordedRun(folder, options=which == "options")
    run.start()
    try:
        run.drive(which, *only, seconds=SECONDS[which])
    finally:
        run.stop()
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "recorded").glob("*.json"))
    }


def compared(got: Mapping[str, Any], beside: Mapping[str, Any]) -> list[Compared]:
    """Every transcript with what there is to compare it with."""
    recordings = recorded_names()
    return [compare(name, raw, beside.get(name), recorded=name in recordings) for name, raw in got.items()]


def table(found: Sequence[Compared]) -> str:
    """A line a scenario, the differences below it."""
    lines = [f"{'scenario':34} {'recording':11} embedded host"]
    for each in found:
        lines.append(f"{each.name:34} {_word(each.recording):11} {_word(each.embedded)}")
        if each.name in MAY_DIFFER and not each.equal:
            lines.append(f"    does not count: {MAY_DIFFER[each.name]}")
        for against, differences in (("recording", each.recording), ("embedded host", each.embedded)):
            lines += [f"    from the {against}: {line}".replace("\n", "\n    ") for line in differences or ()]
    return "\n".join(lines)


def failing(found: Sequence[Compared]) -> list[str]:
    """The scenarios whose differences count."""
    return [each.name for each in found if not each.equal and each.name not in MAY_DIFFER]


def _word(differences: tuple[str, ...] | None) -> str:
    return "none" if differences is None else f"{len(differences)} differ" if differences else "equal"
