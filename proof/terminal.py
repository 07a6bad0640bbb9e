"""A person at a terminal, as a process: python -m proof.terminal URL NAME.

Each line on stdin is an answer to post at a given time: ``{"run", "question", "body", "at"}``. It is sent until the
host replies, for a host that dies meanwhile comes back. Each line on stdout is the reply.
"""

import json
import sys
import time
from typing import Any

import httpx

SECONDS = 90


def post(client: httpx.Client, url: str, told: dict[str, Any]) -> dict[str, Any]:
    """Send the answer at its time, again after a broken connection; what became of it."""
    time.sleep(max(0.0, told["at"] - time.time()))
    broken, deadline = 0, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            reply = client.post(f"{url}/api/runs/{told['run']}/events/resume", json=told["body"])
        except httpx.ConnectError:
            time.sleep(0.05)  # nothing was sent: the host is down
            continue
        except httpx.TransportError:
            broken += 1
            continue
        if reply.content:  # every reply of the app has a body; one without is the host's word for a dead worker
            return {"status": reply.status_code, "code": reply.json().get("code", ""), "broken": broken}
        broken += 1
    return {"status": 0, "code": f"no reply in {SECONDS} s", "broken": broken}


def main(url: str, name: str) -> None:
    """Answer until stdin ends."""
    with httpx.Client(timeout=30) as client:
        for line in sys.stdin:
            told = json.loads(line)
            reply = {"terminal": name, "question": told["question"], "body": told["body"], **post(client, url, told)}
            sys.stdout.write(json.dumps({**reply, "at": time.time()}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
