"""What Linux tells of a host and its workers: who they are, their processor time, their resident memory."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process: seconds of processor time since it began (its threads' too), resident memory in MB."""

    seconds: float
    megabytes: float


def processes(url: str) -> list[int]:
    """The process ids of the host that listens at `url`, and of its workers."""
    port = url.rpartition(":")[2]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f"\0--port\0{port}\0" in _read(entry / "cmdline"):
            return [int(entry.name), *(int(pid) for pid in _read(entry / "task" / entry.name / "children").split())]
    raise RuntimeError(f"no host with --port {port} is running")


def usage(pid: int) -> Usage:
    """What a process has used up to now."""
    after_name = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    user, system, pages = int(after_name[11]), int(after_name[12]), int(after_name[21])
    return Usage((user + system) / _TICK, pages * _PAGE / 1e6)


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
