"""What a list is asked for in a query, and cursors."""

from datetime import UTC, datetime

import pytest

from durablegraph.api.listing import cursor_of, filter_of, limit_of, position_of
from durablegraph.errors import InvalidRequest
from durablegraph.model.status import RunStatus
from durablegraph.storage.indexes import Filter
from durablegraph.storage.indexes.positions import position

AT = position(datetime(2026, 1, 1, tzinfo=UTC), "run:with/an odd id")


def test_a_query_becomes_a_filter():
    query = {
        "status": "failed", "graph": "g", "thread_id": "t", "metadata.team": "blue", "metadata.a.b": "",
        "created_after": "2026-01-01T00:00:00Z", "created_before": "2026-01-01T02:00:00 02:00", "limit": "3",
    }  # fmt: skip
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    assert filter_of(query, RunStatus) == Filter(
        status="failed",
        graph="g",
        thread_id="t",
        metadata=(("team", "blue"), ("a.b", "")),
        created_after=midnight,
        created_before=midnight,
    )
    assert limit_of(query) == 3
    assert limit_of({}) == 20


@pytest.mark.parametrize("name", ["created_after", "created_before"])
@pytest.mark.parametrize("text", ["yesterday", "2026-01-01T00:00:00", "", "1767225600", "2026-13-01T00:00:00Z"])
def test_a_time_without_an_offset_or_none_at_all_is_refused(name, text):
    with pytest.raises(InvalidRequest, match=f"{name}=.*2026-01-31T12:00:00Z"):
        filter_of({name: text}, RunStatus)


@pytest.mark.parametrize("text", ["0", "101", "-1", "x", "1.5", "٣"])
def test_a_limit_outside_1_to_100_is_refused(text):
    with pytest.raises(InvalidRequest, match="from 1 to 100"):
        limit_of({"limit": text})


def test_a_cursor_leads_back_to_its_position():
    cursor = cursor_of("runs", AT)
    assert position_of({"cursor": cursor}, "runs") == AT
    assert AT not in cursor
    assert cursor_of("runs", None) is None
    assert position_of({}, "runs") is None


@pytest.mark.parametrize(
    "cursor",
    [cursor_of("threads", AT), cursor_of("runs", "../x"), cursor_of("runs", AT)[:-4], "x", "!", "é", "a" * 500],
)
def test_a_cursor_of_another_list_or_none_at_all_is_refused(cursor):
    with pytest.raises(InvalidRequest, match="is none of a list of runs: give the `next`"):
        position_of({"cursor": cursor}, "runs")
