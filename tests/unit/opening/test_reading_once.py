"""The settings and langgraph.json of an app are read once: when it loads, for all that it does."""

import logging

import pytest

from durablegraph import opening
from durablegraph.errors import ConfigurationError
from durablegraph.graphs import registry

NOTICE = 'langgraph.json: "dockerfile_lines" is not used'


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app with one graph and a notice, as the process's own."""
    (tmp_path / "mine.py").write_text("def graph(): ...\n")
    (tmp_path / "langgraph.json").write_text('{"graphs": {"mine": "./mine.py:graph"}, "dockerfile_lines": []}')
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    monkeypatch.setenv("AzureWebJobsStorage", "local")
    before = registry.registered()
    opening.use(None)
    yield tmp_path
    opening.use(None)
    registry.register_only(before)


def notices(caplog) -> int:
    return sum(NOTICE in record.getMessage() for record in caplog.records)


async def test_what_was_read_when_the_app_loaded_is_not_read_again(app, caplog, monkeypatch):
    with caplog.at_level(logging.WARNING):
        opening.check()
        monkeypatch.setenv("DURABLEGRAPH_ALLOWED_TYPES", "no type")
        (app / "langgraph.json").write_text("not JSON")
        services = await opening.services()
    assert services.graphs.names == ("mine",)
    assert notices(caplog) == 1
    await services.objects.aclose()


async def test_without_a_check_all_is_read_at_the_first_use(app, caplog):
    with caplog.at_level(logging.WARNING):
        services = await opening.services()
        assert await opening.services() is services
    assert notices(caplog) == 1
    await services.objects.aclose()


async def test_a_graph_that_is_registered_after_the_check_is_served(app):
    opening.check()
    registry.register("late", object())
    services = await opening.services()
    assert services.graphs.names == ("late", "mine")
    await services.objects.aclose()


async def test_a_setting_in_the_env_of_langgraph_json_counts(app, monkeypatch):
    monkeypatch.setenv("DURABLEGRAPH_PREFIX", "none")  # so that whatever the file sets is taken back
    monkeypatch.delenv("DURABLEGRAPH_PREFIX")
    (app / "langgraph.json").write_text(
        '{"graphs": {"mine": "./mine.py:graph"}, "env": {"DURABLEGRAPH_PREFIX": "from-the-file"}}'
    )
    opening.check()
    assert opening.configuration().settings.prefix == "from-the-file"


async def test_services_that_are_given_are_used_until_they_are_taken_away(app):
    opening.check()
    own = await opening.services()
    other = opening.services_on(opening.configuration(), own.objects)
    opening.use(other)
    assert await opening.services() is other
    opening.use(None)
    (app / "langgraph.json").write_text("not JSON")
    with pytest.raises(ConfigurationError, match=r"langgraph\.json"):
        await opening.services()
    await own.objects.aclose()


def test_only_the_given_graphs_stay_registered(app):
    before = registry.registered()
    registry.register("mine", object())
    registry.register_only(before)
    assert registry.registered() == before
