"""JSON, times, versions, options and error texts as the real host has them."""

import random
from datetime import UTC, datetime

import pytest

from durablegraph.host.errors import HostConfigurationError
from durablegraph.host.hub import newtonsoft, versions
from durablegraph.host.hub.options import DurableOptions, VersionMatch
from durablegraph.host.hub.wiretime import iso, parse_date_query
from durablegraph.host.sanitizer import sanitize


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('[1, "a", null]', '[1,"a",null]'),
        ("1e+308", "1E+308"),
        ("1.0", "1.0"),
        ("-0.0", "-0.0"),
        ("1180591620717411303424", "1180591620717411303424"),
        ("NaN", '"NaN"'),
        ('"\\u00e9\\u2028\\u0000"', '"é\\u2028\\u0000"'),
        ('"\\ud800"', '"\ufffd"'),
        ("null", None),
        ('{"$ref": "#/a"}', None),
        ('{"$id": "1", "x": 1}', '{"x":1}'),
        ('{"$type": "T", "v": 1}', '{"v":1}'),
        ('{"$type": "T[]", "$values": [1, 2]}', "[1,2]"),
        ('{"a": 1, "$ref": "1"}', '{"a":1,"$ref":"1"}'),
        ('{"p": {"$ref": "#/a"}}', '{"p":{"$ref":"#/a"}}'),
        ("[" * 64 + "]" * 64, "[" * 64 + "]" * 64),
    ],
)
def test_results_are_read_as_dotnet_reads_them(given, expected):
    assert newtonsoft.read_object(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            '{"$ref": 1}',
            "JSON reference $ref property must have a string or null value. Path '$ref', line 1, position 10.",
        ),
        ('{"$ref": "a", "title": "x"}', "Path 'title', line 1, position 22."),
        ("[" * 65 + "]" * 65, "MaxDepth of 64 has been exceeded. Path '" + "[0]" * 64 + "', line 1, position 65."),
        ('{"a":[1,' + "[" * 63 + "]" * 63 + "]}", "Path 'a[1]" + "[0]" * 62 + "'"),
    ],
)
def test_results_that_dotnet_refuses_are_refused_with_its_words(given, message):
    with pytest.raises(newtonsoft.JsonError) as refused:
        newtonsoft.read_object(given)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("{'a':1}", '{"a":1}'), ('{"a":1} x', '{"a":1}'), (" 5 ", "5"), ("NaN", '"NaN"'), ("[1]", "[1]")],
)
def test_event_bodies_are_read_leniently(given, expected):
    assert newtonsoft.one_value(given) == expected


@pytest.mark.parametrize("given", ["", "{", "abc", "["])
def test_event_bodies_that_are_no_json_are_refused(given):
    with pytest.raises(newtonsoft.JsonError):
        newtonsoft.one_value(given)


def test_credentials_are_cut_to_the_next_delimiter():
    assert sanitize("for AccountKey=abc;x Password=y <end>") == "for [Hidden Credential]<end>"
    assert sanitize("nothing secret") == "nothing secret"


def test_times_have_no_trailing_zeros():
    assert iso(datetime(2026, 1, 2, 3, 4, 5, 120000, UTC)) == "2026-01-02T03:04:05.12Z"
    assert iso(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    "given",
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1234567Z", "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05 00:00"],
)
def test_date_filters_take_what_clients_send(given):
    found = parse_date_query(given)
    assert found is not None
    assert found.replace(microsecond=0) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_date_filter_that_is_none_is_ignored():
    assert parse_date_query("garbage") is None


@pytest.mark.parametrize(
    ("theirs", "mine", "taken"),
    [
        ("", "1.0", True),
        ("1.0", "2.0", True),
        ("2.0.0", "2.0", False),
        ("10", "9", True),
        ("v1", "1.0", False),
        ("A1B2", "a1b2", True),
        ("1.0", None, False),
    ],
)
def test_current_or_older_compares_versions_as_dotnet_does(theirs, mine, taken):
    assert versions.accepts(DurableOptions(default_version=mine), theirs) is taken


def test_strict_compares_texts():
    options = DurableOptions(default_version="2.0", version_match=VersionMatch.STRICT)
    assert versions.accepts(options, "2.0")
    assert not versions.accepts(options, None)


@pytest.mark.parametrize(
    ("durable", "names"),
    [
        ({"versionMatchStrategy": "Newest"}, "versionMatchStrategy"),
        ({"extendedSessionsEnabled": True}, "extendedSessionsEnabled"),
        ({"storageProvider": {"workItemQueueVisibilityTimeout": "00:00:30"}}, "workItemQueueVisibilityTimeout"),
        ({"storageProvider": {"type": "nosuch"}}, "type"),
        ({"hubName": "1bad-name"}, "hubName"),
        ({"maxConcurrentActivityFunctions": 0}, "maxConcurrentActivityFunctions"),
        ({"storageProvider": {"partitionCount": 17}}, "partitionCount"),
    ],
)
def test_a_bad_option_keeps_the_host_from_starting_and_is_named(durable, names):
    with pytest.raises(HostConfigurationError, match=names):
        DurableOptions.from_host_json(durable, environ={})


def test_options_are_read_without_case_and_with_their_defaults():
    options = DurableOptions.from_host_json(
        {"HubName": "%HUB%", "versionfailurestrategy": "fail"}, environ={"HUB": "mine"}, cpus=2
    )
    assert (options.hub_name, options.version_failure, options.max_activities) == ("mine", "Fail", 20)


def test_the_quick_way_to_compact_json_gives_what_the_thorough_one_gives():
    pieces = (
        '"', '"a b"', '"1.5"', '"\\u00e9"', '"x\u2028"', '"\xa0"', '"NaN"', "'", "\\", " ", "  ", "\n", "\xa0",
        ",", ":", "[", "]", "{", "}", "1", "-0", ".5", "2.50", "1e5", "3E+2", "NaN", "-Infinity", "null", "true",
        "Abc", "\x1f", "\x85",
    )  # fmt: skip
    choose = random.Random(7)  # noqa: S311 -- texts for a test
    for _ in range(20_000):
        text = "".join(choose.choices(pieces, k=choose.randrange(1, 12)))
        try:
            thorough = newtonsoft._TOKEN.sub(newtonsoft._rewrite, text)
        except ValueError:  # an escape that is none
            continue
        assert newtonsoft.compact(text) == thorough, text
