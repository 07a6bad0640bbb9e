"""A private PostgreSQL for tests and benchmarks: a cluster in a temporary folder, reached through a socket in it."""

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_SERVER_USER = "postgres"
_DEBIAN_PROGRAMS = "/usr/lib/postgresql/*/bin"
_SECONDS = 60
_MISSING = "PostgreSQL is not installed here: `apt-get install -y postgresql` installs it on Debian"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a private PostgreSQL, shared by the session's tests; skips where none is installed."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with running() as address:
        yield address


def why_not() -> str | None:
    """What keeps `running` from working on this machine, or None."""
    if _programs() is None:
        return _MISSING
    if os.name != "posix":
        return "a private PostgreSQL is reached through a Unix socket, which this system does not have"
    if os.geteuid() == 0 and (shutil.which("runuser") is None or not _exists(_SERVER_USER)):
        return f"PostgreSQL refuses to run as root, and there is no user {_SERVER_USER!r} (or no runuser) to run it as"
    return None


@contextmanager
def running() -> Iterator[str]:
    """A PostgreSQL of one's own with one empty database; yields its address (``postgresql://…``), no password needed.

    It listens on no port. Its durability is PostgreSQL's default, so measurements are honest. Raises RuntimeError with
    what the server's programs said when it does not start.
    """
    programs = _programs()
    if programs is None:
        raise RuntimeError(_MISSING)
    # Not pytest's folder: the path of a socket may have about 100 bytes only.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, _SERVER_USER)
        cluster, log = f"{folder}/cluster", f"{folder}/log"
        _call(programs, "initdb", "-D", cluster, "-U", _SERVER_USER, "-A", "trust", "-E", "UTF8", "--locale=C")
        options = f"-k {folder} -c listen_addresses="
        try:
            _call(programs, "pg_ctl", "-D", cluster, "-l", log, "-o", options, "-w", "-t", str(_SECONDS), "start")
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{_read(log)}") from error
        try:
            yield f"postgresql://{_SERVER_USER}@/postgres?host={folder}"
        finally:
            _call(programs, "pg_ctl", "-D", cluster, "-m", "immediate", "-w", "-t", str(_SECONDS), "stop")


def _programs() -> Path | None:
    """The folder of initdb and pg_ctl: Debian keeps it out of the PATH; the newest version wins."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [Path(found) for found in sorted(glob.glob(_DEBIAN_PROGRAMS), key=_version, reverse=True)]  # noqa: PTH207 -- an absolute pattern
    return next((found for found in folders if all((found / name).exists() for name in ("initdb", "pg_ctl"))), None)


def _version(folder: str) -> float:
    try:
        return float(Path(folder).parent.name)
    except ValueError:
        return 0


def _exists(user: str) -> bool:
    import pwd  # not on every system

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _call(programs: Path, name: str, *arguments: str) -> None:
    command: Sequence[str] = [str(programs / name), *arguments]
    if os.geteuid() == 0:
        command = ["runuser", "-u", _SERVER_USER, "--", *command]
    # The server inherits the outputs of pg_ctl: files, because a pipe would stay open and be waited for.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", timeout=_SECONDS * 2, check=False
        )
        if done.returncode != 0:
            said.seek(0)
            raise RuntimeError(f"{name} ended with {done.returncode}:\n{said.read()}")


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
