"""The rules of who may commit, without any storage."""

import pytest

from durablegraph.storage.checkpoints.fencing import ConflictPolicy, HeadFacts, Replaces, View, Wanted, refusal

KEY = "h"
AT_A = HeadFacts(b"c1", "a")
WRITES_ADDED = HeadFacts(b"c2", "a")
MOVED_ON = HeadFacts(b"c3", "b")
PUT_ON_A = Wanted("a", is_checkpoint=True)
WRITE_TO_A = Wanted("a", is_checkpoint=False)


def _view(policy: ConflictPolicy, *, pinned: bool) -> View:
    view = View(policy, pinned=pinned)
    view.saw(KEY, AT_A)
    return view


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("policy", list(ConflictPolicy))
def test_nothing_is_refused_while_nobody_else_commits(policy: ConflictPolicy, pinned: bool) -> None:
    view = _view(policy, pinned=pinned)
    assert refusal(view, KEY, PUT_ON_A, AT_A) is None
    assert refusal(view, KEY, WRITE_TO_A, AT_A) is None


@pytest.mark.parametrize(
    ("policy", "pinned", "checkpoint", "writes"),
    [
        (ConflictPolicy.MERGE, False, True, True),
        (ConflictPolicy.FENCE, False, False, True),
        (ConflictPolicy.FENCE, True, False, False),
        (ConflictPolicy.SHARE, True, False, True),
    ],
)
def test_what_may_follow_writes_of_another_writer(
    policy: ConflictPolicy, pinned: bool, checkpoint: bool, writes: bool
) -> None:
    view = _view(policy, pinned=pinned)
    assert (refusal(view, KEY, PUT_ON_A, WRITES_ADDED) is None) == checkpoint
    assert (refusal(view, KEY, WRITE_TO_A, WRITES_ADDED) is None) == writes


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("policy", [ConflictPolicy.FENCE, ConflictPolicy.SHARE])
def test_nothing_may_follow_a_checkpoint_of_another_writer(policy: ConflictPolicy, pinned: bool) -> None:
    view = _view(policy, pinned=pinned)
    assert refusal(view, KEY, PUT_ON_A, MOVED_ON)
    assert refusal(view, KEY, WRITE_TO_A, MOVED_ON)


def test_a_pinned_view_does_not_learn_from_reading_again() -> None:
    view = _view(ConflictPolicy.FENCE, pinned=True)
    view.saw(KEY, MOVED_ON)
    assert refusal(view, KEY, Wanted("b", is_checkpoint=True), MOVED_ON)


def test_a_commit_whose_answer_was_lost_is_still_ones_own() -> None:
    view = _view(ConflictPolicy.FENCE, pinned=True)
    view.tries(KEY, AT_A, b"mine")
    assert refusal(view, KEY, Wanted("m", is_checkpoint=True), HeadFacts(b"mine", "m")) is None
    assert refusal(view, KEY, PUT_ON_A, AT_A) is None  # it did not arrive


def test_a_commit_that_was_overtaken_is_not_current_any_more() -> None:
    view = _view(ConflictPolicy.FENCE, pinned=True)
    view.tries(KEY, AT_A, b"mine")
    view.wrote(KEY, HeadFacts(b"mine", "m"))
    assert refusal(view, KEY, PUT_ON_A, HeadFacts(b"theirs", "m"))


@pytest.mark.parametrize("policy", list(ConflictPolicy))
def test_the_head_that_a_put_names_is_binding_under_every_policy(policy: ConflictPolicy) -> None:
    view = _view(policy, pinned=False)
    assert refusal(view, KEY, Wanted("a", is_checkpoint=True, replaces=Replaces("a")), AT_A) is None
    assert refusal(view, KEY, Wanted("a", is_checkpoint=True, replaces=Replaces(None)), AT_A)
    beginner, nothing = View(policy, pinned=False), HeadFacts(b"", None)
    assert refusal(beginner, KEY, Wanted(None, is_checkpoint=True, replaces=Replaces(None)), nothing) is None


def test_a_view_forgets_heads_that_it_deleted_itself() -> None:
    view = _view(ConflictPolicy.FENCE, pinned=False)
    view.forget([KEY])
    assert refusal(view, KEY, Wanted(None, is_checkpoint=True), HeadFacts(b"", None)) is None


def test_a_long_lived_view_remembers_a_bounded_number_of_heads() -> None:
    view = View(ConflictPolicy.FENCE, pinned=False)
    for number in range(5000):
        view.saw(str(number), AT_A)
    assert view.seen("0") is None
    assert view.seen("4999") is not None
