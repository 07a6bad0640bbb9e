from datetime import timedelta

import pytest

from durablegraph.engine.run import LONGEST_TIMER, PAUSES
from durablegraph.model.messages import Advance, Cursor, FanOut, Finish, Ticket, Wait, decision_json
from durablegraph.model.names import ADVANCE_ACTIVITY, DOORBELL
from durablegraph.model.status import RunStatus
from tests.unit.engine.scripted import NOON, Played


def advance(checkpoint, step=1):
    return decision_json(Advance(cursor=Cursor(checkpoint=checkpoint, step=step, stop=26), next=("b",)))


def wait(number=1, checkpoint="c1", due=None):
    return decision_json(Wait(cursor=Cursor(checkpoint=checkpoint, step=1, stop=26), wait=number, due=due))


FINISHED = decision_json(Finish(status=RunStatus.COMPLETED, step=3))


def begun(**ticket):
    return Played(Ticket(run_id="r1", **ticket))


def test_the_first_call_names_the_run_and_nothing_else():
    run = begun()
    assert run.waiting.name == ADVANCE_ACTIVITY
    assert run.waiting.call == {"run_id": "r1"}


def test_each_call_starts_from_the_cursor_of_the_decision_before():
    run = begun()
    run.play(advance("c1"))
    assert run.waiting.call["cursor"] == {"checkpoint": "c1", "step": 1, "stop": 26}


def test_a_finish_ends_the_instance_with_the_runs_status():
    run = begun()
    run.play(FINISHED)
    assert run.ended
    assert run.output == {"run_id": "r1", "status": "completed"}


def test_after_as_many_activities_as_the_ticket_allows_it_continues_as_new_from_the_cursor():
    run = begun(cut=3)
    for checkpoint in ("c1", "c2", "c3"):
        run.play(advance(checkpoint))
    assert run.ended
    assert Ticket.model_validate(run.context.next_ticket).cursor.checkpoint == "c3"
    assert run.output is None


def test_a_wait_listens_for_every_bell_and_a_timer_of_at_most_a_day():
    run = begun()
    run.play(wait())
    assert [item.name or item.kind for item in run.waiting.among] == ["resume", "approval", "cancel", "timer"]
    assert run.waiting.among[-1].at == NOON + LONGEST_TIMER


def test_a_deadline_sooner_than_a_day_sets_the_timer():
    run = begun()
    run.play(wait(due=NOON + timedelta(minutes=5)))
    assert run.waiting.among[-1].at == NOON + timedelta(minutes=5)


def test_after_a_bell_the_timer_is_cancelled_and_the_store_is_looked_into():
    run = begun()
    run.play(wait())
    timer = run.waiting.among[-1]
    run.wake("resume", DOORBELL)
    assert timer.cancelled
    assert run.waiting.name == ADVANCE_ACTIVITY
    assert "heard" not in run.waiting.call


@pytest.mark.parametrize("bell", [DOORBELL, f'"{DOORBELL}"'])
def test_a_doorbell_is_known_by_both_encodings(bell):
    run = begun()
    run.play(wait())
    run.wake("resume", bell)
    assert "heard" not in run.waiting.call


@pytest.mark.parametrize("event", ["resume", "approval"])
@pytest.mark.parametrize("payload", [{"approved": True}, None, "yes", 0])
def test_an_answer_inside_an_event_is_handed_to_the_activity(event, payload):
    run = begun()
    run.play(wait())
    run.wake(event, payload)
    assert run.waiting.call["heard"] == {"value": payload}


def test_a_cancel_bell_only_makes_the_activity_look():
    run = begun()
    run.play(wait())
    run.wake("cancel", {"anything": 1})
    assert "heard" not in run.waiting.call


def test_a_look_that_finds_nothing_ends_the_execution_and_the_next_one_looks_first():
    run = begun()
    run.play(wait())
    run.wake("resume", DOORBELL)
    run.play(wait())
    assert run.ended
    again = Played(Ticket.model_validate(run.context.next_ticket))
    assert again.waiting.name == ADVANCE_ACTIVITY
    again.play(wait())
    assert again.waiting.kind == "first"


def test_a_timer_that_fires_makes_the_activity_look():
    run = begun()
    run.play(wait())
    run.wake("timer")
    assert run.waiting.name == ADVANCE_ACTIVITY
    run.play(wait())
    assert run.ended


def test_another_question_after_an_answer_is_waited_for_in_the_same_execution():
    run = begun()
    run.play(wait(1))
    run.wake("resume", DOORBELL)
    run.play(wait(2))
    assert run.waiting.kind == "first"


def test_a_wake_on_the_last_allowed_call_still_hands_the_answer_over():
    run = begun(cut=1)
    run.play(wait())
    run.wake("resume", "the answer")
    assert run.waiting.call["heard"] == {"value": "the answer"}


def test_a_failed_activity_is_called_again_after_growing_pauses_and_gives_up_in_the_end():
    run = begun()
    for pause in PAUSES:
        call = run.waiting.call
        run.fail(RuntimeError("storage"))
        assert run.waiting.at == NOON + timedelta(seconds=pause)
        run.play(None)
        assert run.waiting.call == call
    with pytest.raises(RuntimeError, match="storage"):
        run.fail(RuntimeError("storage"))


def test_a_failed_activity_keeps_what_was_heard():
    run = begun()
    run.play(wait())
    run.wake("resume", "the answer")
    run.fail(RuntimeError("storage"))
    run.play(None)
    assert run.waiting.call["heard"] == {"value": "the answer"}


def test_the_custom_status_is_shown_before_every_activity_and_while_waiting():
    run = begun()
    assert run.context.shown[-1] == {"status": "pending", "step": None, "next": []}
    run.play(advance("c1"))
    assert run.context.shown[-1] == {"status": "running", "step": 1, "next": ["b"]}
    run.play(wait())
    assert run.context.shown[-1] == {"status": "interrupted", "step": 1, "next": [], "interrupts": 1}


def fan_out(chunks):
    return decision_json(FanOut(cursor=Cursor(checkpoint="c1", step=1, stop=26), chunks=chunks))


def test_a_fan_out_calls_one_activity_a_chunk_and_then_asks_for_the_commit():
    run = begun()
    run.play(fan_out(3))
    assert [(item.name, item.call["chunk"]) for item in run.waiting.among] == [("run_tasks", at) for at in range(3)]
    run.play([{"done": 1}] * 3)
    assert (run.waiting.name, run.waiting.call["fanned"]) == (ADVANCE_ACTIVITY, True)
    run.play(advance("c2", 2))
    assert "fanned" not in run.waiting.call


def test_what_a_fan_out_decided_is_handed_on_to_its_tasks_and_its_commit():
    run = begun()
    run.play({**fan_out(2), "size": 4, "at_once": 2, "failures": "at_least:5"})
    for item in run.waiting.among:
        assert (item.call["size"], item.call["at_once"], item.call["failures"]) == (4, 2, "at_least:5")
    run.play([{}] * 2)
    assert run.waiting.call["failures"] == "at_least:5"


def test_chunks_that_had_no_time_for_all_of_their_tasks_go_on_in_an_activity_more():
    run = begun()
    run.play(fan_out(4))
    run.play([{"done": 2}, {"done": 1, "left": True}, {"done": 2}, {"done": 1, "left": True}])
    assert [item.call["chunk"] for item in run.waiting.among] == [1, 3]
    run.play([{"done": 1}, {"done": 0, "left": True}])
    assert (run.waiting.name, run.waiting.call["chunk"]) == ("run_tasks", 3)
    run.play({"done": 1, "left": False})
    assert (run.waiting.name, run.waiting.call["fanned"]) == (ADVANCE_ACTIVITY, True)


def test_chunks_that_failed_for_good_are_called_again_after_a_pause():
    run = begun()
    run.play(fan_out(2))
    run.fail(RuntimeError("storage"))
    assert run.waiting.kind == "timer"
    run.play(None)
    assert [item.call["chunk"] for item in run.waiting.among] == [0, 1]


def test_a_wide_fan_out_counts_towards_the_cut():
    run = begun(cut=10)
    run.play(fan_out(12))
    run.play([{}] * 12)
    run.play(advance("c2", 2))
    assert run.ended
    assert run.context.next_ticket["cursor"]["checkpoint"] == "c2"
