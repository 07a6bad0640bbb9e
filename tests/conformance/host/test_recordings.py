"""The embedded host does what the real engine did, scenario by scenario.

The recordings are of extension 3.19 on Azure Storage; `tests/fixtures/recordings/README.md` says how they were made and
compared, and why the ones below may differ.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recorded import RecordedRun, recorded_names

QUICK = (
    "s01_", "s02_", "s12_", "s13_", "s18_", "s18b", "s20_", "s25_", "s26_odd", "s27_", "s31_", "s32_", "s33_", "s35_",
)  # fmt: skip
QUICK_OPTIONS = ("s40_", "s41_")

MAY_DIFFER = {
    "s03_timer": "Azure Storage's polling fired a 2 s timer late; here timers are early by that rule, never late",
    "s16_suspend": "an activity's result was still in a queue when a suspend was posted; here it is first",
    "s34_version": "the body of /admin/host/status is the recording rig's own",
    "s47f_rollback": "an activity in flight at a stop comes again after 5 minutes there; here it ends in the drain",
    "s47g_bad_option": "the text of the refusal is in a note of the recording rig",
    "s47d_none_fail": "recorded before the driver noted one of its waits",
    "s47d_none_reject": "recorded before the driver noted one of its waits",
    "s47d_strict_fail": "recorded before the driver noted one of its waits",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


def recorded(folder: Path, which: str, *prefixes: str, seconds: float) -> Iterator[RecordedRun]:
    run = RecordedRun(folder / which, options=which == "options")
    run.start()
    try:
        run.drive(which, *prefixes, seconds=seconds)
        yield run
    finally:
        run.stop()


def judge(run: RecordedRun, which: str) -> None:
    """Every scenario that has a recording is equal, but for the listed ones.

    Many run at once and some look at the clock: one that differs is driven once more by itself, and must be equal then.
    """
    names = [name for name in run.names() if name in recorded_names()]
    assert names, "nothing was recorded"
    doubtful = [name for name in names if name not in MAY_DIFFER and run.differences(name)]
    if doubtful:
        run.drive(which, "-j", "1", *doubtful, seconds=60 * len(doubtful) + 60)
    differing = {name: found for name in doubtful if (found := run.differences(name))}
    assert not differing, "\n".join(f"{name}:\n" + "\n".join(found) for name, found in differing.items())


@pytest.mark.timeout(240)
def test_the_quick_scenarios_equal_the_real_engines(folder):
    for run in recorded(folder / "quick", "main", *QUICK, seconds=200):
        judge(run, "main")
        assert len(run.names()) >= len(QUICK)


@pytest.mark.timeout(120)
def test_the_quick_scenarios_with_other_options_equal_the_real_engines(folder):
    for run in recorded(folder / "quick", "options", *QUICK_OPTIONS, seconds=100):
        judge(run, "options")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("which", "seconds"), [("main", 600), ("options", 300), ("crash", 300), ("versions", 600)])
def test_every_recorded_scenario_equals_the_real_engines(folder, which, seconds):
    for run in recorded(folder, which, seconds=seconds):
        judge(run, which)
        if which == "main":
            expected = (Path(__file__).parent / "claims.txt").read_text(encoding="utf-8").splitlines()
            assert set(expected) <= run.claims()


def test_at_most_a_handful_of_recordings_may_differ_and_each_exists():
    assert set(MAY_DIFFER) <= recorded_names()
    assert len(MAY_DIFFER) <= 8
