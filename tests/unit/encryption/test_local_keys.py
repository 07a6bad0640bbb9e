import base64
import sys

import pytest

from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption import LocalKeys, Refused
from tests.unit.encryption.rings import V1, V2, ring

SECRET = base64.b64encode(V1).decode()
OTHER = base64.b64encode(V2).decode()


async def test_the_first_key_is_active_and_every_key_unwraps_what_it_wrapped() -> None:
    keys = LocalKeys.from_text(f" v2={OTHER}, v1={SECRET} ")
    assert keys.active == "v2"
    for key_id in ("v1", "v2"):
        wrapped = await keys.wrap(key_id, b"d" * 32)
        assert await keys.unwrap(key_id, wrapped) == b"d" * 32


async def test_a_key_refuses_what_another_wrapped() -> None:
    wrapped = await ring("v1").wrap("v1", b"d" * 32)
    with pytest.raises(Refused):
        await ring("v2", "v1").unwrap("v2", wrapped)
    with pytest.raises(LookupError):
        await ring("v2").unwrap("v1", wrapped)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "entry 1 does not begin with an id"),
        (SECRET, "entry 1 does not begin with an id"),  # a key whose id was forgotten
        (f"v2={OTHER},{SECRET}", "entry 2 does not begin with an id"),
        (f"v2={OTHER},", "entry 2 does not begin with an id"),
        (f"v 1={SECRET}", "entry 1 does not begin with an id"),
        ("v1=", r"entry 1 is not base64 of 32 bytes \(0 characters"),
        (f"v1={SECRET[:-4]}", "entry 1 is not base64 of 32 bytes"),
        (f"v1={base64.b64encode(V1[:16]).decode()}", "entry 1 is not base64 of 32 bytes"),
        (f"v1={SECRET[:-2]}!=", "entry 1 is not base64 of 32 bytes"),
        (f"v1={SECRET},v1={OTHER}", "entry 2 repeats the id or the key"),
        (f"v1={SECRET},v2={SECRET}", "entry 2 repeats the id or the key"),
    ],
)
def test_a_wrong_setting_is_told_by_its_place_and_never_shown(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        LocalKeys.from_text(text)
    told = f"{refused.value!r} {refused.value} {refused.value.__cause__!r}"
    assert "openssl rand -base64 32" in told
    assert not any(part in told for part in (SECRET[:8], OTHER[:8]))


@pytest.mark.parametrize("keys", [{}, {"v1": b"short"}, {"": V1}, {"x" * 33: V1}])
def test_keys_given_in_code_are_checked_too(keys: dict[str, bytes]) -> None:
    with pytest.raises(ConfigurationError, match="encryption key"):
        LocalKeys(keys)


def test_its_repr_shows_ids_and_no_keys() -> None:
    assert repr(ring("v2", "v1")) == "LocalKeys(active='v2', ids=['v2', 'v1'])"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigurationError, match=r"install durablegraph\[encryption\]"):
        ring("v1")
