"""Hosts that are up at once: each is forked from a process that has imported what a host imports, and no more.

Most of a host's start is importing: about 2.5 s, twice for each kill. A forked host is a process and a process group of
its own as well. Its memory is that of a process in which nothing has been loaded, opened or started yet, and SIGKILL
ends it as it ends any other. Only the app's own files are imported by each host for itself. One thing all of them share
that hosts do not: the seed of hashes. The tests with few kills start their hosts anew.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from durablegraph.cli import main as command_line
from tests.support.drive import IMPORT_PATH

IMPORTED = (
    "azure.durable_functions",
    "durablegraph.opening",
    "langchain.agents",
    "tests.support.catalogue_graphs.served_shipped",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    *(f"graphs.{name}" for name in ("document_pipeline", "expense_approval", "tool_agent")),
    *(f"durablegraph.{name}" for name in ("cli", "execution.advance", "host.dev", "services", "threads")),
)
"""What every host of these tests imports. Libraries and definitions of graphs: nothing that reads its environment."""

LOOK_SECONDS = 0.005


@dataclass(slots=True)
class Forked:
    """A process that is another process's child; as much of `subprocess.Popen` as a host needs."""

    pid: int
    ended: bool = False

    def poll(self) -> int | None:
        """None while it lives. Its parent reaps it at once, so a pid that is gone means that it has ended."""
        if not self.ended:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                self.ended = True
        return 0 if self.ended else None

    def wait(self, timeout: float) -> int:
        """Return when it has ended. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(LOOK_SECONDS)
        return code


@dataclass(slots=True)
class Nursery:
    """The process that hosts are forked from."""

    process: "subprocess.Popen[str]"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spawn(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Forked:
        """Start ``durablegraph ARGUMENTS`` in this folder, with this environment and no other; output goes to `log`."""
        asked = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder), "log": str(log)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.lock:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            return Forked(int(self.process.stdout.readline()))


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """A nursery whose processes have the crash hook, to which each one's own environment then speaks."""
    command = [sys.executable, "-m", "tests.support.warm"]
    environment = {**os.environ, "PYTHONPATH": IMPORT_PATH, "CRASH_COUNTS": os.devnull}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


def main() -> int:
    """Fork for each line of the standard input. The fork leaves by the usual way out, as a host's process does."""
    for name in IMPORTED:
        importlib.import_module(name)
    if (threads := threading.active_count()) > 1:
        raise RuntimeError(f"found {threads} threads after the imports, expected one: a fork gets no more")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaped at once, see Forked.poll
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return live(**json.loads(line))
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # in both processes, so that it is true whichever goes on first
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    return 0


def live(arguments: list[str], environment: dict[str, str], folder: str, log: str) -> int:
    """Be the process that was asked for; the exit code."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with Path(log).open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source.fileno(), target)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder  # as `python -m` has it
    sys.argv = ["durablegraph", *arguments]
    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
