"""Record the turns of a few runs: python -m tests.conformance.replay.record

Each file holds the orchestrator's requests and answers as the host exchanged them. Recordings are kept for ever: a run
in flight when a new version is deployed is one of these histories. Add files for new behaviour, replace none.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.support.drive import ROOT, Host
from tests.support.small import small_app

HISTORIES = ROOT / "tests" / "fixtures" / "histories"


def start(api: httpx.Client, graph: str, **body: Any) -> str:
    return str(api.post(f"/graphs/{graph}/runs", json={"input": {"out": []}, **body}).json()["id"])


def settled(api: httpx.Client, run: str) -> dict[str, Any]:
    return dict(api.get(f"/runs/{run}", params={"wait": 60}).json())


def answer(api: httpx.Client, run: str, body: Any, event: str = "resume") -> None:
    api.post(f"/runs/{run}/events/{event}", content=json.dumps(body))
    settled(api, run)


def runs(api: httpx.Client, host: Host) -> dict[str, str]:
    """The runs to record, by the name of their file."""
    made = {"straight": start(api, "echo"), "failed": start(api, "boom"), "answered": start(api, "ask")}
    made |= {"two_answers": start(api, "ask_two"), "breakpoint": start(api, "stop"), "cancelled": start(api, "ask")}
    made |= {"cut": start(api, "slow"), "raw_answer": start(api, "ask"), "doubled_bell": start(api, "ask")}
    made |= {"fan_out": start(api, "spread")}
    for run in made.values():
        settled(api, run)
    answer(api, made["answered"], {"approved": True})
    for item in settled(api, made["two_answers"])["interrupts"]:
        answer(api, made["two_answers"], {item["id"]: item["node"]})
    answer(api, made["breakpoint"], None)
    api.post(f"/runs/{made['cancelled']}/cancel")
    hook = f"{host.url}/runtime/webhooks/durabletask/instances"
    api.post(f"{hook}/{made['raw_answer']}/raiseEvent/approval", json={"by": "hand"})
    for _ in range(2):
        api.post(f"{hook}/{made['doubled_bell']}/raiseEvent/resume", json="durablegraph:doorbell")
    time.sleep(1)
    answer(api, made["doubled_bell"], "late")
    return made


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    app = small_app(folder / "app")
    trace = folder / "trace.ndjson"
    host = Host(app, {"DURABLEGRAPH_STEPS_PER_EXECUTION": "6"}, arguments=("--trace", str(trace)))
    host.start()
    try:
        with httpx.Client(base_url=f"{host.url}/api", timeout=90) as api:
            made = runs(api, host)
            time.sleep(1)
    finally:
        host.stop()
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    HISTORIES.mkdir(parents=True, exist_ok=True)
    for name, run in made.items():
        turns = [
            {"request": row["input"], "answer": row["output"]}
            for row in rows
            if row.get("kind") == "orchestrator" and row.get("instanceId") == run
        ]
        path = HISTORIES / f"{name}.json"
        if path.exists() and "--replace" not in sys.argv:
            path = HISTORIES / f"{name}-new.json"
        path.write_text(json.dumps(turns, indent=None, separators=(",", ":")))
        print(name, len(turns), "turns")  # noqa: T201 -- a command that tells what it made


if __name__ == "__main__":
    main()
