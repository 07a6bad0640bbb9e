from datetime import UTC, datetime

import pytest

from durablegraph.errors import Conflict, InvalidRequest
from durablegraph.model.assign import assign, digest, heard, needed
from durablegraph.model.messages import Cursor
from durablegraph.model.records import CONTINUE, PendingInterrupt, WaitRecord


def waits_for(*ids, kind="interrupt"):
    return WaitRecord(
        wait=1,
        kind=kind,
        cursor=Cursor(checkpoint="c"),
        next=("book",),
        interrupts=tuple(PendingInterrupt(id=item) for item in ids),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("body", [True, None, "yes", 0, [], {}, {"approved": True}, {"a": 1, "b": 2}])
def test_a_single_interrupt_takes_the_body_as_its_answer(body):
    assert assign(waits_for("a"), body) == {"a": body}


def test_a_single_interrupt_may_be_named():
    assert assign(waits_for("a"), {"a": {"approved": True}}) == {"a": {"approved": True}}


def test_an_answer_to_an_earlier_question_is_not_taken_for_this_one():
    earlier, now = "0" * 32, "f" * 32
    with pytest.raises(Conflict, match=now):
        assign(waits_for(now), {earlier: True})
    assert assign(waits_for(now), {now: True}) == {now: True}


def test_several_interrupts_take_answers_keyed_by_their_ids_some_or_all():
    assert assign(waits_for("a", "b"), {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert assign(waits_for("a", "b"), {"b": 2}) == {"b": 2}


@pytest.mark.parametrize("body", [True, None, {}, {"c": 1}, {"a": 1, "c": 1}])
def test_several_interrupts_refuse_a_body_that_does_not_name_them(body):
    with pytest.raises(Conflict, match="'a', 'b'") as caught:
        assign(waits_for("a", "b"), body)
    assert caught.value.facts["interrupts"] == ["a", "b"]


def test_a_breakpoint_is_continued_with_null_and_nothing_else():
    assert assign(waits_for(kind="breakpoint"), None) == {CONTINUE: None}
    with pytest.raises(InvalidRequest, match="continue it with null"):
        assign(waits_for(kind="breakpoint"), {"approved": True})
    assert needed(waits_for(kind="breakpoint")) == [CONTINUE]


def test_equal_json_has_equal_digests_whatever_the_order_of_members():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})


@pytest.mark.parametrize(
    ("payload", "value"), [('{"a": 1}', {"a": 1}), ('"yes"', "yes"), ("yes", "yes"), ({"a": 1}, {"a": 1}), (None, None)]
)
def test_an_event_from_the_sdks_client_is_decoded_and_a_raw_one_is_taken_as_it_is(payload, value):
    assert heard(payload) == value
