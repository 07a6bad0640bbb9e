from tests.e2e.crashing import Death, run_again
from tests.support.plain import Execution


def ran(node, step, task, *where, base):
    return Execution(node, where, step, task, 1, base)


BEFORE = [
    ran("a", 1, "a:1", base="c0"),
    ran("sub", 2, "sub:2", base="c1"),
    ran("in", 1, "sub:2|in:9", "sub", base="c1"),
]


def test_the_super_step_in_flight_may_run_again():
    again = [ran("sub", 2, "sub:2", base="c1"), ran("in", 1, "sub:2|in:9", "sub", base="c1")]

    assert run_again([*BEFORE, *again, ran("b", 3, "b:3", base="c2")], [Death("c1", begun=3)]) == []


def test_a_committed_super_step_may_not():
    late = ran("a", 1, "a:1", base="c0")

    assert run_again([*BEFORE, late], [Death("c1", begun=3)]) == [late]


def test_neither_may_a_node_inside_it():
    late = ran("in", 1, "sub:2|in:9", "sub", base="c1")

    assert run_again([*BEFORE, late], [Death("c2", begun=3)]) == [late]


def test_before_anything_is_committed_everything_may():
    assert run_again([*BEFORE, *BEFORE], [Death("", begun=3)]) == []


def test_each_death_is_judged_by_what_was_committed_then():
    late = ran("sub", 2, "sub:2", base="c1")

    assert run_again([*BEFORE, late, late], [Death("c1", 3), Death("c2", 4)]) == [late]
