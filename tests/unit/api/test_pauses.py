import pytest

from durablegraph.api.pauses import pauses


@pytest.mark.parametrize("seconds", [0.005, 1.0, 200.0])
def test_pauses_add_up_to_the_time_that_may_be_waited(seconds):
    assert sum(pauses(seconds)) == pytest.approx(seconds)


def test_no_answer_is_later_than_a_fifth_of_the_time_waited_or_the_first_pause():
    passed = 0.0
    for pause in pauses(30):
        assert pause <= max(0.01, passed * 0.2) + 1e-9
        assert pause <= 0.5
        passed += pause


def test_who_may_not_wait_does_not_pause():
    assert list(pauses(0)) == []
