"""The proof fails when the state differs, an answer is used twice, a node is repeated, or kills are missing."""

from dataclasses import replace

import pytest

from proof.evidence import Evidence, Kill, Outcome, Reply
from proof.judge import judge
from proof.notes import Note
from proof.plan import Moment, Planned

GO = "Go on?"
A, B = {"by": "A"}, {"by": "B"}
VALUES = {"n": 3, "answers": [{"question": GO, "answer": A}]}
OUTCOME = Outcome("completed", VALUES, ((1, {"n": 1}), (2, {"n": 2}), (3, VALUES)))


def begin(step, task, node="work"):
    return Note("begin", node, step, task, float(step))


def end(step, task, node="work"):
    return Note("end", node, step, task, step + 0.5)


def used(answer):
    return Note("used", "ask", 3, "t3", 3.4, GO, answer)


NOTES = (
    begin(1, "t1"), end(1, "t1"), begin(2, "t2"),
    begin(2, "t2"), end(2, "t2"), begin(3, "t3", "ask"), end(3, "t3", "ask"),
    begin(3, "t3", "ask"), used(A), end(3, "t3", "ask"),
)  # fmt: skip
KILL = Kill(1, Planned(Moment.INSIDE, 2, 0.1), 2.2, "inside", True, 1, frozenset(), 3, 0.1, 0.2)
TAKEN = Reply("A", GO, A, 202, "", 0, 3.2)
REFUSED = Reply("B", GO, B, 409, "already_answered", 0, 3.3)
GOOD = Evidence(
    seed=1, began=0, ended=9, planned=1, inside=1, kills=(KILL,), notes=NOTES,
    questions={GO: frozenset({"i1"})}, replies=(TAKEN, REFUSED), outcome=OUTCOME, plain=OUTCOME,
)  # fmt: skip


def findings(**changed):
    return judge(replace(GOOD, **changed))


def ended(**changed):
    return replace(OUTCOME, values={**VALUES, **changed})


def test_nothing_is_found_where_all_is_well():
    assert judge(GOOD) == []


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (ended(n=4), "'n' is 4"),
        (ended(more=1), "'more'"),
        (replace(OUTCOME, status="failed"), "failed"),
        (replace(OUTCOME, history=OUTCOME.history[:2]), "2 checkpoints"),
        (replace(OUTCOME, history=((1, {"n": 0}), *OUTCOME.history[1:])), "checkpoint of super-step 1"),
    ],
)
def test_a_state_that_differs_is_found(outcome, word):
    (finding,) = findings(outcome=outcome)
    assert word in finding


def test_an_answer_that_stands_in_the_state_twice_is_found():
    twice = ended(answers=VALUES["answers"] * 2)
    assert findings(outcome=twice, plain=twice) == [f"the state holds 2 answers to {GO!r}, expected one"]


def test_an_answer_that_is_used_after_another_is_found():
    assert any("two answers" in finding for finding in findings(notes=(*NOTES, used(B))))


def test_two_terminals_that_both_won_are_found():
    both = (TAKEN, replace(REFUSED, status=202))
    assert any("both told" in finding for finding in findings(replies=both))


def test_the_use_of_an_answer_that_was_refused_is_found():
    notes = tuple(used(B) if note.kind == "used" else note for note in NOTES)
    assert any("none that was taken" in finding for finding in findings(notes=notes))


def test_a_winner_whose_reply_was_lost_with_the_host_is_no_finding():
    lost = replace(TAKEN, status=409, code="nothing_pending", broken=1)
    assert findings(replies=(lost, REFUSED)) == []
    assert findings(replies=(replace(lost, broken=0), REFUSED)) != []


@pytest.mark.parametrize("status", [0, 404, 422, 500])
def test_a_terminal_that_was_told_something_else_is_found(status):
    (finding,) = findings(replies=(TAKEN, replace(REFUSED, status=status)))
    assert "terminal B" in finding


def test_a_question_that_changed_its_id_is_found():
    (finding,) = findings(questions={GO: frozenset({"i1", "i2"})})
    assert "2 ids" in finding


def test_a_question_that_nobody_answered_is_found():
    notes = tuple(note for note in NOTES if note.kind != "used")
    assert findings(replies=(), notes=notes) == [f"no answer to {GO!r} was used"]


def test_a_node_of_a_committed_super_step_that_ran_again_is_found():
    (finding,) = findings(kills=(replace(KILL, committed=2),))
    assert finding.startswith("'work' of super-step 2 ran again after kill 1, before which super-step 2")


def test_a_task_whose_writes_were_stored_and_that_ran_again_is_found():
    (finding,) = findings(kills=(replace(KILL, stored=frozenset({"t2"})),))
    assert "writes had been stored" in finding


def test_a_task_that_ran_twice_though_nobody_killed_the_host_is_found():
    (finding,) = findings(notes=(*NOTES, begin(2, "t2")))
    assert finding == "'work' of super-step 2 ran 2 times in one life of the host"


def test_fewer_kills_than_planned_are_found():
    short = findings(planned=2, inside=2)
    assert [finding.split(",")[0] for finding in short] == [
        "the host was killed 1 times before the run had ended",
        "1 kills were inside an activity",
    ]
