import stat

import pytest

from durablegraph.host.front.keys import DURABLE_SYSTEM_KEY, Caller, KeyRing


@pytest.fixture
def ring(tmp_path):
    return KeyRing.open(tmp_path / "secrets.json")


def test_keys_are_made_once_and_kept(ring, tmp_path):
    again = KeyRing.open(tmp_path / "secrets.json")
    assert (again.master, again.host, again.system) == (ring.master, ring.host, ring.system)
    assert len({ring.master, ring.host["default"], ring.system[DURABLE_SYSTEM_KEY]}) == 3


def test_only_the_owner_may_read_the_file(ring):
    assert stat.S_IMODE(ring.path.stat().st_mode) == 0o600


def test_a_function_gets_a_key_of_its_own_when_asked_for(ring, tmp_path):
    key = ring.function_keys("Start")["default"]
    assert KeyRing.open(tmp_path / "secrets.json").caller(key) == Caller(function="start")


@pytest.mark.parametrize(
    ("caller", "levels"),
    [
        (Caller(), {"anonymous"}),
        (Caller(system=DURABLE_SYSTEM_KEY), {"anonymous"}),
        (Caller(function="other"), {"anonymous"}),
        (Caller(function="start"), {"anonymous", "function"}),
        (Caller(host=True), {"anonymous", "function"}),
        (Caller(admin=True), {"anonymous", "function", "admin"}),
    ],
)
def test_who_may_call_a_function_of_which_level(caller, levels):
    assert {level for level in ("anonymous", "function", "admin") if caller.may_call("Start", level.upper())} == levels


def test_each_key_proves_what_it_is_for(ring):
    assert ring.caller(ring.master) == Caller(admin=True)
    assert ring.caller(ring.host["default"]) == Caller(host=True)
    assert ring.caller(ring.system[DURABLE_SYSTEM_KEY]) == Caller(system=DURABLE_SYSTEM_KEY)
    assert not ring.caller("guess").known
    assert not ring.caller(None).known
