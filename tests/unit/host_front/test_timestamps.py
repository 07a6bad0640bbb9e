import importlib.util
import sys

import azure.durable_functions  # noqa: F401 -- the SDK's modules must be there to be changed
import dateutil.parser
import pytest

from durablegraph.host.app import timestamps


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
    quick = timestamps.quick_parser(dateutil.parser.parse)(text)
    assert (quick, repr(quick.tzinfo)) == (slow, repr(slow.tzinfo))


def test_the_sdk_still_parses_where_it_is_quickened(monkeypatch):
    spec = importlib.util.find_spec(timestamps._MODULE)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    monkeypatch.setitem(sys.modules, timestamps._MODULE, fresh)
    assert fresh.dt_parse is dateutil.parser.parse, "the SDK changed: look whether it became quick by itself"
    assert timestamps.quicken_history()
    assert not timestamps.quicken_history()
