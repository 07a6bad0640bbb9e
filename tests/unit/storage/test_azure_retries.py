"""When a request is repeated, and how long that waits."""

from types import SimpleNamespace

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

from durablegraph.errors import ConfigurationError, TransientError
from durablegraph.storage.azure_retries import RequestFailed, RetryPolicy, Sends, explained, with_retries


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


def answer(status: int, **headers: str) -> SimpleNamespace:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(status_code=status, reason="", headers=named)


@pytest.mark.parametrize("response", [None, answer(403)], ids=["no endpoint", "the token endpoint refused"])
def test_a_missing_token_is_not_taken_for_a_missing_role(response: SimpleNamespace | None) -> None:
    failed = RequestFailed(ClientAuthenticationError("no token", response=response), unanswered=False)
    error = explained(failed, "container c")
    assert isinstance(error, ConfigurationError)
    assert "no token could be had" in str(error)


def test_a_refusal_by_storage_names_the_role() -> None:
    refused = HttpResponseError("sig=secret", response=answer(403, x_ms_request_id="7"))
    error = explained(RequestFailed(refused, unanswered=False), "container c")
    assert isinstance(error, ConfigurationError)
    assert "Storage Blob Data Contributor" in str(error)
    assert "request 7" in str(error)
    assert "secret" not in str(error)


def test_an_answer_that_nobody_knows_is_transient_and_names_its_code() -> None:
    odd = HttpResponseError("?", response=answer(409, x_ms_error_code="ContainerBeingDeleted"))
    error = explained(RequestFailed(odd, unanswered=False), "container c")
    assert isinstance(error, TransientError)
    assert "409 ContainerBeingDeleted" in str(error)


QUICK = RetryPolicy(waits=(0.0, 0.0))


@pytest.mark.parametrize(
    ("first", "unanswered"),
    [
        (ServiceRequestError("broken"), True),
        (HttpResponseError("", response=answer(500)), True),
        (HttpResponseError("", response=answer(429)), False),
    ],
    ids=["no answer", "500", "429"],
)
async def test_a_refusal_after_an_unclear_attempt_is_marked(first: Exception, unanswered: bool) -> None:
    attempts = iter([first, HttpResponseError("", response=answer(412, x_ms_error_code="ConditionNotMet"))])

    async def send() -> None:
        raise next(attempts)

    with pytest.raises(RequestFailed) as failed:
        await with_retries(send, QUICK, Sends())
    assert failed.value.status == 412
    assert failed.value.unanswered is unanswered


async def test_a_request_that_the_http_client_sent_twice_is_marked_though_it_was_one_attempt() -> None:
    sends = Sends()

    async def send() -> None:
        sends.count += 2
        raise HttpResponseError("", response=answer(412, x_ms_error_code="ConditionNotMet"))

    with pytest.raises(RequestFailed) as failed:
        await with_retries(send, QUICK, sends)
    assert failed.value.unanswered
