import json

import pytest

from durablegraph.errors import InvariantBroken
from durablegraph.storage.events import Event, Limits
from durablegraph.storage.events.segment import Segment, Tail
from tests.support.events import told

SMALL = Limits(events=3, size=1000, kept=3)


def test_a_segment_is_read_as_it_was_written() -> None:
    events = [told(1, data={"text": "line\nbreak \u2028 \ud800 ü"}), Event("end", "end", None)]
    segment, _ = Segment(first=7, earlier=(1, 4)).grown(events, Limits())
    assert Segment.decode("key", segment.encode()) == segment
    assert (segment.sealed, segment.closed, segment.end, segment.oldest) == (True, True, 9, 1)


def test_each_event_is_one_line() -> None:
    segment, _ = Segment().grown([told(1, data="a\nb\r\n\u2029"), told(2)], Limits())
    assert len(segment.encode().split(b"\n")) == 3


def test_a_segment_takes_no_more_than_it_holds_and_says_that_it_is_full() -> None:
    segment, taken = Segment().grown([told(n) for n in range(5)], SMALL)
    assert (taken, segment.sealed, segment.end) == (3, True, 4)


def test_one_large_event_fills_a_segment() -> None:
    segment, taken = Segment().grown([told(1, data="x" * 2000), told(2)], SMALL)
    assert (taken, segment.sealed) == (1, True)


def test_nothing_comes_after_the_end() -> None:
    segment, taken = Segment().grown([Event("end", "end"), told(1)], SMALL)
    assert (taken, segment.closed) == (1, True)
    assert Tail(segment, "etag").unknown("run", [told(2)]) == []


def test_the_next_segment_knows_those_that_are_kept() -> None:
    at = Segment().after(3)
    for _ in range(4):
        at = at.grown([told(n) for n in range(3)], SMALL)[0].after(3)
    assert (at.first, at.earlier, at.oldest) == (13, (7, 10), 7)


@pytest.mark.parametrize("data", [b"", b"{}", b"no json", b'{"v":1,"first":1}', b"\xff", b'{"v":2,"first":1}'])
def test_what_is_no_segment_is_named(data: bytes) -> None:
    with pytest.raises(InvariantBroken, match="runs/x/events/1"):
        Segment.decode("runs/x/events/1", data)


def test_members_of_a_newer_version_are_left_aside() -> None:
    head = {"v": 1, "first": 1, "earlier": [], "sealed": False, "closed": False, "later": 1}
    text = f"{json.dumps(head)}\n{json.dumps({'id': 'a', 'event': 'updates', 'data': 1, 'later': 2})}"
    assert Segment.decode("key", text.encode()).events == (Event("a", "updates", 1),)


def tail_of(*events: Event) -> Tail:
    tail = Tail(Segment(), None)
    tail.learn(tail.unknown("run", events))
    return tail


def test_an_event_that_is_known_is_not_new() -> None:
    assert tail_of(told(1), told(2)).unknown("run", [told(2), told(3), told(3)]) == [told(3)]


def test_the_second_execution_of_the_same_step_is_announced_once_and_numbered() -> None:
    tail = tail_of(told(1, by="first"))
    again = tail.unknown("run", [told(1, by="second"), told(2, by="second")])
    assert [(event.name, event.attempt) for event in again] == [("metadata", 2), ("updates", 2), ("updates", 2)]
    assert again[0].data == {"run_id": "run", "attempt": 2, "step": "c1"}
    tail.learn(again)
    assert [event.attempt for event in tail.unknown("run", [told(3, by="second"), told(2, by="first")])] == [2, 1]
    assert [event.attempt for event in tail.unknown("run", [told(1, by="third")])] == [3, 3]


def test_another_step_begins_with_the_first_attempt() -> None:
    tail = tail_of(told(1, by="first"))
    assert tail.unknown("run", [told(9, by="second", step="c2")]) == [told(9, by="second", step="c2")]
