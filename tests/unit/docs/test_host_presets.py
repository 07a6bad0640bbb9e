"""infra/host-presets: what a user applies with one command is understood, and says the same things in every preset."""

import json
from pathlib import Path
from typing import Any

import pytest

from docs.makers.planning_page import DURABLE, PRESET_NAMES, PRESETS, host_json, hub_of, preset
from durablegraph.host.hub.options import DurableOptions
from durablegraph.host.settings import HostSettings, read_host_settings
from durablegraph.host.timespan import parse_timespan
from durablegraph.settings import Settings
from tests.unit.docs.pages import ROOT, blocks


def overlaid(settings: dict[str, str]) -> HostSettings:
    return read_host_settings(ROOT, settings)


def options(settings: dict[str, str]) -> DurableOptions:
    durable = overlaid(settings).durable
    return DurableOptions.from_host_json(durable, environ={"DURABLEGRAPH_HUB": "presets"})


def member(document: Any, path: str) -> Any:
    for name in path.removeprefix(DURABLE).split("__"):
        document = document[name]
    return document


@pytest.fixture(params=PRESET_NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_is_no_other_preset() -> None:
    files = {f"{name}{kind}" for name in PRESET_NAMES for kind in (".json", ".host.json")}
    assert {file.name for file in PRESETS.iterdir()} == files


def test_a_preset_is_what_the_command_line_of_azure_reads(name: str) -> None:
    listed = json.loads((PRESETS / f"{name}.json").read_text("utf-8"))
    assert all(set(item) == {"name", "value", "slotSetting"} for item in listed)
    assert all(isinstance(item["value"], str) and item["slotSetting"] is False for item in listed)
    assert len({item["name"] for item in listed}) == len(listed)


def test_every_preset_sets_the_same_settings_so_that_one_undoes_another(name: str) -> None:
    assert list(preset(name)) == list(preset("latency"))


def test_a_preset_overrides_only_what_host_json_has_and_with_the_same_type(name: str) -> None:
    ours = overlaid({}).durable
    settings = preset(name)
    changed = overlaid(settings).durable
    for path in (path for path in settings if path.startswith(DURABLE)):
        assert type(member(changed, path)) is type(member(ours, path)), path
        assert str(member(changed, path)) == settings[path]
    assert changed.keys() == ours.keys()


def test_the_embedded_host_starts_with_a_preset(name: str) -> None:
    settings = preset(name)
    read = options(settings)
    assert read.max_activities == int(settings[f"{DURABLE}maxConcurrentActivityFunctions"])
    span = parse_timespan(settings[f"{DURABLE}storageProvider__maxQueuePollingInterval"])
    assert span is not None
    assert span.total_seconds() == hub_of(name, batch=1).polling_seconds


def test_the_library_starts_with_a_preset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = preset(name)
    own = {key: value for key, value in settings.items() if key.startswith("DURABLEGRAPH_")}
    assert own.keys() | {path for path in settings if path.startswith(DURABLE)} == settings.keys()
    for key, value in own.items():
        assert key.removeprefix("DURABLEGRAPH_").lower() in Settings.model_fields
        monkeypatch.setenv(key, value)
    read = Settings()
    assert read.steps_per_activity == "auto"
    assert read.steps_budget_seconds == float(own["DURABLEGRAPH_STEPS_BUDGET_SECONDS"])
    assert read.steps_per_execution == 10
    assert read.fan_out == "auto"
    assert read.node_threads >= options(settings).max_activities, "a plain function occupies a thread while it waits"


def test_the_host_json_of_a_preset_says_what_its_app_settings_say(name: str, tmp_path: Path) -> None:
    text = (PRESETS / f"{name}.host.json").read_text("utf-8")
    assert text == host_json(name), "run `make docs`"
    (tmp_path / "host.json").write_text(text, "utf-8")
    assert read_host_settings(tmp_path, {}) == overlaid(preset(name))


def test_what_host_json_says_of_a_scheduler_is_understood(tmp_path: Path) -> None:
    (block,) = (one for one in blocks(ROOT / "docs/explanation/planning.md") if one.language == "json")
    document = json.loads((ROOT / "host.json").read_text("utf-8"))
    document["extensions"]["durableTask"] |= json.loads(block.text)["extensions"]["durableTask"]
    (tmp_path / "host.json").write_text(json.dumps(document), "utf-8")
    durable = read_host_settings(tmp_path, {}).durable
    read = DurableOptions.from_host_json(durable, environ={"DURABLEGRAPH_HUB": "presets"})
    assert (read.hub_name, read.max_activities) == ("presets", 20)
    assert set(durable["storageProvider"]) == {"type", "connectionStringName"}
