"""What the settings say, and the command that rotates."""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from durablegraph import BlobCheckpointSaver, cli, opening
from durablegraph import settings as settings_module
from durablegraph.errors import ConfigurationError
from durablegraph.storage.encryption import (
    EncryptedStore,
    EncryptionKeyMissingError,
    KeyRing,
    LocalKeys,
    NotEncryptedError,
)
from durablegraph.storage.encryption.store import KeylessStore
from tests.conformance.storage.checkpoints.savers import at, put
from tests.unit.encryption.rings import V1, V2, ring

SECRETS = {"v1": base64.b64encode(V1).decode(), "v2": base64.b64encode(V2).decode()}

RING = """
from tests.unit.encryption.rings import ring
vault = ring("v2", "v1")
def made():
    return vault
something = "else"
class Bare:
    active = "v1"
"""


def keys(*ids: str) -> str:
    return ",".join(f"{id_}={SECRETS[id_]}" for id_ in ids)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app's folder, as the current one; the environment is left as it was."""
    (tmp_path / "langgraph.json").write_text('{"graphs": {"unused": "./unused.py:graph"}}')
    (tmp_path / "ring_of_the_app.py").write_text(RING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ring_of_the_app", raising=False)
    for name in ("AzureWebJobsStorage", "DURABLEGRAPH_STATE", "AzureWebJobsScriptRoot"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def content(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in ("KEYS", "KEY_RING", "READ_PLAINTEXT"):
        monkeypatch.delenv(f"DURABLEGRAPH_ENCRYPTION_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"DURABLEGRAPH_ENCRYPTION_{name.upper()}", value)


def store_of(app: Path, environment: Mapping[str, str] | None = None) -> object:
    return opening.open_services(settings_module.load(), environment or {}, app).objects


def test_keys_turn_encryption_on_and_none_leaves_it_off(app, monkeypatch) -> None:
    given(monkeypatch, keys=keys("v1"))
    assert isinstance(store_of(app), EncryptedStore)
    opening.check()
    opening.use(None)
    for off in ({}, {"keys": ""}, {"keys": "  ", "key_ring": " "}):
        given(monkeypatch, **off)
        assert isinstance(store_of(app), KeylessStore)


async def test_an_apps_keys_encrypt_what_its_services_store(app, monkeypatch) -> None:
    given(monkeypatch, keys=keys("v1"))
    monkeypatch.setenv("DURABLEGRAPH_PREFIX", "mine")
    services = opening.open_services(settings_module.load(), {}, app)
    await services.objects.put("a", b"a secret", note="a secret note")
    await services.objects.aclose()
    below = opening.stored_objects(settings_module.load(), {}, app)
    found = await below.get("a")
    assert found is not None
    assert found.data[:10] == b"DGE\x01\x00\x02\x28\x00v1"
    assert b"mine/a" in content(app / ".durablegraph")
    assert b"secret" not in content(app / ".durablegraph")
    await below.aclose()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"keys": "v1=nonsense"}, "entry 1 is not base64"),
        ({"keys": keys("v1"), "key_ring": "ring_of_the_app:vault"}, "found both"),
        ({"key_ring": "ring_of_the_app"}, "expected module:attribute"),
        ({"key_ring": "ring_of_the_app:missing"}, "AttributeError"),
        ({"read_plaintext": "true"}, "nothing would be encrypted"),
        ({"key_ring": "no_such_module:vault"}, "ModuleNotFoundError"),
        ({"key_ring": "ring_of_the_app:something"}, "is a str: expected a KeyRing"),
        ({"key_ring": "ring_of_the_app:Bare"}, "is a Bare: expected a KeyRing"),
    ],
)
def test_wrong_settings_are_refused_at_the_start(app, monkeypatch, variables, said) -> None:
    given(monkeypatch, **variables)
    for start in (opening.check, lambda: store_of(app)):
        with pytest.raises(ConfigurationError, match=said) as refused:
            start()
        assert SECRETS["v1"] not in str(refused.value)


@pytest.mark.parametrize("name", ["vault", "made"])
async def test_a_key_ring_of_the_apps_own_is_taken(app, monkeypatch, name) -> None:
    given(monkeypatch, key_ring=f"ring_of_the_app:{name}")
    found = opening.ring_of(settings_module.load())
    assert isinstance(found, KeyRing)
    assert found.active == "v2"


def test_no_text_of_the_settings_shows_a_key(app, monkeypatch) -> None:
    given(monkeypatch, keys=keys("v2", "v1"))
    monkeypatch.setenv("DURABLEGRAPH_STEPS_PER_ACTIVITY", "many")
    with pytest.raises(ConfigurationError) as refused:
        settings_module.load()
    monkeypatch.delenv("DURABLEGRAPH_STEPS_PER_ACTIVITY")
    settings = settings_module.load()
    texts = [str(refused.value), repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    assert not any(secret in text for secret in SECRETS.values() for text in texts)


async def test_a_saver_alone_takes_a_ring(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with BlobCheckpointSaver.from_path(path, encryption=ring("v1")) as saver:
        await put(saver, "thread", {"word": "marked" * 20})
    assert b"marked" not in content(tmp_path)
    async with BlobCheckpointSaver.from_path(path, encryption=ring("v2", "v1")) as saver:
        found = await saver.aget_tuple(at("thread"))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"word": "marked" * 20}
    async with BlobCheckpointSaver.from_path(path) as saver:
        with pytest.raises(EncryptionKeyMissingError, match=r"has no keys.*encryption="):
            await saver.aget_tuple(at("thread"))
    other = tmp_path / "clear.db"
    async with BlobCheckpointSaver.from_path(other) as saver:
        await put(saver, "thread", {"word": "clear"})
    async with BlobCheckpointSaver.from_path(other, encryption=ring("v1")) as saver:
        with pytest.raises(NotEncryptedError):
            await saver.aget_tuple(at("thread"))


class Command:
    """The command line on an app in this process."""

    def __init__(self, app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._app, self._monkeypatch, self._capsys = app, monkeypatch, capsys

    def rotate(self, *arguments: str, **variables: str) -> tuple[int, str]:
        given(self._monkeypatch, **variables)
        code = cli.main(["rotate-keys", "--app", str(self._app), *arguments])
        said = self._capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
def command(app, monkeypatch, capsys) -> Command:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Command(app, monkeypatch, capsys)


async def fill(app: Path, ring_: LocalKeys | None, state: str = ".durablegraph") -> None:
    async with BlobCheckpointSaver.from_path(app / state / "objects.db", encryption=ring_) as saver:
        for number in range(5):
            await put(saver, f"thread-{number}", {"number": number})


def test_the_command_rotates_and_the_old_key_may_go(app, command) -> None:
    import asyncio

    asyncio.run(fill(app, ring("v1")))
    code, said = command.rotate("--dry-run", keys=keys("v2", "v1"))
    assert (code, said) == (0, "5 objects; the active key is v2.\n  5 under v1\n5 would be encrypted anew.\n")
    code, said = command.rotate(keys=keys("v2", "v1"))
    assert code == 0
    assert "5 encrypted anew, 0 changed by others, 0 left." in said
    code, said = command.rotate(keys=keys("v2"))
    assert (code, said.splitlines()[:3]) == (
        0,
        ["5 objects; the active key is v2.", "  5 under v2", "0 encrypted anew, 0 changed by others, 0 left."],
    )

    async def read() -> list[object]:
        async with BlobCheckpointSaver.from_path(app / ".durablegraph/objects.db", encryption=ring("v2")) as saver:
            found = [await saver.aget_tuple(at(f"thread-{number}")) for number in range(5)]
            return [one.checkpoint["channel_values"]["number"] for one in found if one is not None]

    assert asyncio.run(read()) == list(range(5))


def test_the_command_encrypts_what_is_from_before_encryption(app, command) -> None:
    import asyncio

    asyncio.run(fill(app, None, state="elsewhere"))
    code, said = command.rotate("--state", str(app / "elsewhere"), keys=keys("v1"))
    assert code == 1
    assert "  5 under (not encrypted)" in said
    assert "left: h/" in said
    code, said = command.rotate("--state", str(app / "elsewhere"), keys=keys("v1"), read_plaintext="true")
    assert code == 0
    assert "5 encrypted anew" in said


def test_the_command_takes_the_settings_of_local_settings_json(app, command, monkeypatch) -> None:
    import asyncio

    asyncio.run(fill(app, ring("v1")))
    monkeypatch.setenv("DURABLEGRAPH_ENCRYPTION_KEYS", "removed by given(), so that it is put back at the end")
    (app / "local.settings.json").write_text(
        '{"Values": {"DURABLEGRAPH_ENCRYPTION_KEYS": "%s"}}' % keys("v2", "v1")  # noqa: UP031 -- braces of JSON
    )
    code, said = command.rotate()
    assert code == 0
    assert "5 encrypted anew" in said


@pytest.mark.parametrize(
    ("variables", "file", "said"),
    [
        ({}, "{}", "there is no key to rotate to"),
        ({"keys": "v1"}, "{}", "entry 1 does not begin"),
        ({}, "{", "local.settings.json"),
    ],
)
def test_the_command_says_what_is_wrong(app, command, variables, file, said) -> None:
    (app / "local.settings.json").write_text(file)
    code, told = command.rotate(**variables)
    assert code == 1
    assert said in told
