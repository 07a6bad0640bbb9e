from tests.e2e.crashing import Death, run_again
from tests.support.plain import Execution


def ran(node, step, task, *where):
    return Execution(node, where, step, task, 1)


BEFORE = [ran("a", 1, "a:1"), ran("sub", 2, "sub:2"), ran("in", 1, "sub:2|in:9", "sub")]


def test_the_super_step_in_flight_may_run_again():
    after = [ran("sub", 2, "sub:2"), ran("in", 1, "sub:2|in:9", "sub"), ran("b", 3, "b:3")]

    assert run_again([*BEFORE, *after], [Death(committed=1, begun=3)]) == []


def test_a_committed_super_step_may_not():
    late = ran("a", 1, "a:1")

    assert run_again([*BEFORE, late], [Death(committed=1, begun=3)]) == [late]


def test_neither_may_a_node_inside_it():
    late = ran("in", 1, "sub:2|in:9", "sub")

    assert run_again([*BEFORE, late], [Death(committed=2, begun=3)]) == [late]


def test_each_death_is_judged_by_what_was_committed_then():
    late = ran("sub", 2, "sub:2")

    assert run_again([*BEFORE, late, late], [Death(1, 3), Death(2, 4)]) == [late]
