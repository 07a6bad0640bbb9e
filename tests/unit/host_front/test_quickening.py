import collections
import importlib.util
import sys

import azure.durable_functions  # noqa: F401 -- the SDK's modules must be there to be changed
import dateutil.parser
import pytest

from durablegraph.host.app import quickening


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:11:02.1247312Z",
        "2026-11-21T10:11:02.124731Z",
        "2026-11-21T10:11:02.12473Z",
        "2026-11-21T10:11:02.1Z",
        "2026-11-21T10:11:02Z",
        "2026-11-21T10:11:02+02:00",
        "2026-11-21T10:11:02",
        "21 Nov 2026 10:11",
    ],
)
def test_the_quick_parser_gives_exactly_what_the_slow_one_gives(text):
    slow = dateutil.parser.parse(text)
    quick = quickening.quick_parser(dateutil.parser.parse)(text)
    assert (quick, repr(quick.tzinfo)) == (slow, repr(slow.tzinfo))


@pytest.mark.parametrize(
    ("module", "name", "known"),
    [
        (quickening._EVENTS, "dt_parse", dateutil.parser.parse),
        (quickening._EXECUTOR, "namedtuple", collections.namedtuple),  # noqa: PYI024 -- the SDK calls this function
    ],
)
def test_the_sdk_is_still_slow_where_it_is_quickened(monkeypatch, module, name, known):
    fresh = freshly_loaded(module, monkeypatch)
    assert getattr(fresh, name) is known, "the SDK changed: look whether it became quick by itself"
    quickening.quicken_replay()
    quick = getattr(fresh, name)
    assert quick is not known
    quickening.quicken_replay()
    assert getattr(fresh, name) is quick


def test_the_executors_of_two_turns_share_a_class(monkeypatch):
    fresh = freshly_loaded(quickening._EXECUTOR, monkeypatch)
    quickening.quicken_replay()
    first, second = (fresh.TaskOrchestrationExecutor().event_to_SetTaskValuePayload for _ in range(2))
    assert first == second
    assert {type(each) for each in first.values()} == {type(each) for each in second.values()}


def freshly_loaded(module, monkeypatch):
    spec = importlib.util.find_spec(module)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    monkeypatch.setitem(sys.modules, module, fresh)
    return fresh
