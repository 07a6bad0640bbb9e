import pytest

from durablegraph.model.status import TRANSITIONS, RunStatus, durable_status, may_become


def test_a_run_that_has_ended_moves_nowhere():
    for status in RunStatus:
        if status.ended:
            assert not any(may_become(status, then) for then in RunStatus)


def test_every_live_status_can_be_cancelled_and_terminated():
    for status in TRANSITIONS:
        assert may_become(status, RunStatus.CANCELLED)
        assert may_become(status, RunStatus.TERMINATED)


@pytest.mark.parametrize("status", list(RunStatus))
def test_every_status_has_a_name_that_durables_pollers_know(status):
    assert durable_status(status) in {"Pending", "Running", "Completed", "Failed", "Canceled", "Terminated"}


def test_a_status_never_moves_to_itself():
    assert not any(may_become(status, status) for status in RunStatus)
