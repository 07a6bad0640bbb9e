"""The plan of the kills follows from its seed and keeps its promises for every seed."""

import random

from hypothesis import given
from hypothesis import strategies as st

from proof.plan import AT_QUESTIONS, Moment, plan

ASKS = [11, 23, 35]


def planned(seed, kills=25, inside=8):
    chance = random.Random(seed)  # noqa: S311 -- repeatable, not secret
    return plan(chance, kills, 40, ASKS, inside=inside, pace=0.3)


def test_the_same_seed_gives_the_same_plan_and_another_another():
    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


@given(seed=st.integers(), kills=st.integers(1, 40), inside=st.integers(0, 12))
def test_every_plan_has_its_kills_in_order_and_enough_of_them_inside(seed, kills, inside):
    found = planned(seed, kills, inside)
    assert len(found) == kills
    assert [each.step for each in found] == sorted(each.step for each in found)
    assert sum(each.moment is Moment.INSIDE for each in found) >= min(inside, kills)
    assert all(1 <= each.step <= 36 and each.delay >= 0 for each in found)


@given(seed=st.integers())
def test_no_question_gets_two_kills_at_the_same_moment(seed):
    at_questions = [(each.moment, each.step) for each in planned(seed) if each.moment in AT_QUESTIONS]
    assert len(at_questions) == len(set(at_questions)) == 6
    assert {step for _, step in at_questions} <= set(ASKS)
