"""The e2e suite and the recorded scenarios on any Functions host: python -m tests.host [--lay-out DIR] [scenario ...].

FUNCTIONS_HOST   address of a host that is there, or several with commas: one with the project's app laid out by
                 --lay-out, one with the recorded app; what is served is found out by asking
FUNCTIONS_APP    that app's folder, when it is on this machine; FUNCTIONS_STORAGE the connection string of its storage
FUNCTIONS_KEY    a function key, when the host asks for one

Without FUNCTIONS_HOST, `func` on the PATH is started on both apps. Exits 0 when all that could run is equal, 1 when
something differs, 2 when there is no host.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.host.core_tools import CoreTools, storage
from tests.host.layout import lay_out
from tests.host.places import ADVICE, Place, core_tools, given, served
from tests.host.scenarios import Target, compared, drive, embedded, failing, table
from tests.support.drive import ROOT

DEVELOPMENT = "UseDevelopmentStorage=true"
NEED_STOPS = ("options", "crash", "versions")


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def suite(place: Place, *, fresh: bool = False) -> bool:
    """The e2e suite and every case over HTTP; whether all passed."""
    say(f"\n== The project's app at {place.url}: the e2e suite")
    environment = {**os.environ, "FUNCTIONS_HOST": place.url}
    environment |= {"FUNCTIONS_APP": str(place.folder)} if place.folder else {}
    environment |= {"FUNCTIONS_STORAGE": place.storage} if place.storage else {}
    environment |= {"FUNCTIONS_FRESH": "1"} if fresh else {}
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-p", "tests.host.plugin", "-p", "no:cacheprovider"]
    command += ["-m", "not slow", "--timeout", "600", "tests/e2e", "tests/host/test_runs.py"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def scenarios(target: Target, which: str, only: Sequence[str], folder: Path) -> bool:
    """One set of recorded scenarios, there and on an embedded host; whether nothing that counts differs."""
    say(f"\n== The recorded app at {target.url}: scenarios of the set {which!r}")
    got = drive(target, which, only)
    if not got:
        say("no scenario of this set has such a name")
        return True
    found = compared(got, embedded(folder / "together", which, only))
    if doubtful := failing(found):
        say(f"once more, one at a time, for many at once depend on the clock: {' '.join(doubtful)}")
        alone = ("-j", "1", *doubtful)
        got = {name: raw for name, raw in drive(target, which, alone).items() if name in doubtful}
        again = {each.name: each for each in compared(got, embedded(folder / "alone", which, alone))}
        found = [again.get(each.name, each) for each in found]
    say(table(found))
    return not failing(found)


def at_addresses(places: Sequence[Place], only: Sequence[str], folder: Path) -> int:
    """Everything that an address allows."""
    good, ran = True, False
    for place in places:
        try:
            what = served(place.url)
        except httpx.TransportError as error:
            say(f"nothing answers at {place.url}: {error}")
            return 2
        if what.product and not only:
            good, ran = suite(place) and good, True
        if what.recorded:
            run = place.folder.parent / "recorded-run" if place.folder else folder / "there"
            run.mkdir(parents=True, exist_ok=True)
            good, ran = scenarios(Target(place.url, run), "main", only, folder / "embedded") and good, True
            say(f"not run: the sets {', '.join(NEED_STOPS)}: they start and stop the host, which has only an address")
    if not ran:
        say(
            "found neither the project's app nor the recorded app: lay them out with python -m tests.host --lay-out DIR"
        )
        return 2
    return 0 if good else 1


def on_core_tools(command: str, only: Sequence[str], folder: Path) -> int:
    """Everything, on hosts that are started and stopped here."""
    product, recorded = lay_out(folder / "apps")
    with storage():
        good = only or _hosted(CoreTools(command, product, _free_port()), product)
        host = CoreTools(command, recorded, _free_port())
        words = f"{sys.executable} -m tests.host.core_tools"
        more = {
            "REC_START": f"cd {ROOT} && {words} start {command} {recorded} {host.port}",
            "REC_STOP": f"cd {ROOT} && {words} stop {command} {recorded} {host.port}",
            "REC_APP": str(recorded),
        }
        run = recorded.parent / "recorded-run"
        run.mkdir(exist_ok=True)
        host_json = (recorded / "host.json").read_text()
        for which in ("main", *NEED_STOPS):
            options = recorded / ("host.options.json" if which == "options" else "host.json")
            (recorded / "host.json").write_text(options.read_text())
            good = _driven(host, Target(host.url, run, more), which, only, folder / which) and good
            (recorded / "host.json").write_text(host_json)
    return 0 if good else 1


def _hosted(host: CoreTools, app: Path) -> bool:
    host.start()
    try:
        return suite(Place(host.url, app, DEVELOPMENT), fresh=True)
    finally:
        host.stop()


def _driven(host: CoreTools, target: Target, which: str, only: Sequence[str], folder: Path) -> bool:
    host.start()
    try:
        return scenarios(target, which, only, folder)
    finally:
        host.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.host", description=__doc__.splitlines()[0])  # type: ignore[union-attr] # there is one
    parser.add_argument("--lay-out", type=Path, metavar="DIR", help="write the two apps to DIR and end")
    parser.add_argument("only", nargs="*", help="beginnings of scenarios' names; the e2e suite is left out then")
    asked = parser.parse_args(arguments)
    if asked.lay_out:
        for app in lay_out(asked.lay_out.absolute()):
            say(str(app))
        return 0
    with tempfile.TemporaryDirectory(prefix="durablegraph-host-") as temporary:
        if places := given(environment):
            return at_addresses(places, asked.only, Path(temporary))
        if command := core_tools():
            return on_core_tools(command, asked.only, Path(temporary))
    say(ADVICE)
    return 2


if __name__ == "__main__":
    sys.exit(main())
