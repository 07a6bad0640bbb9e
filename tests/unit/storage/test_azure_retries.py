"""When a request is repeated, and how long that waits."""

import pytest

from durablegraph.storage.azure_retries import RetryPolicy


@pytest.mark.parametrize(("fraction", "seconds"), [(0.0, 0.2), (0.5, 0.3), (0.999999, 0.4)])
def test_a_wait_is_thrown_between_half_of_its_length_and_all(fraction: float, seconds: float) -> None:
    assert RetryPolicy().wait(1, None, fraction) == pytest.approx(seconds, abs=0.001)


def test_the_first_waits_are_short_and_the_last_failure_is_final() -> None:
    policy = RetryPolicy()
    waits = [policy.wait(failures, None, 0.999) for failures in range(1, 9)]
    assert all(wait is not None and 0.2 <= wait <= 0.8 for wait in waits[:4])
    assert waits[6:] == [None, None]
    assert sum(wait for wait in waits if wait is not None) < 10


def test_a_services_retry_after_lengthens_a_wait_and_never_shortens_it() -> None:
    policy = RetryPolicy()
    assert policy.wait(1, 5.0, 0.0) == 5.0
    assert policy.wait(1, 0.0, 0.0) == 0.2
    assert policy.wait(1, 3600.0, 0.0) == policy.longest_wait
