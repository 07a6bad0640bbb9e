"""When a request to Azure Storage is made again, after how long, and what a final failure means.

The SDK's own policy waits 15 s before the first repetition and never repeats a 429; a run would stand still meanwhile.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError

from durablegraph.errors import ConfigurationError, DurableGraphError, TransientError

T = TypeVar("T")

_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_SURELY_NOT_CARRIED_OUT: Final = frozenset({429})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The longest wait before each repetition, in seconds; the wait is at random between half of it and all of it.

    A `Retry-After` of the service lengthens a wait, up to `longest_wait` seconds.
    """

    waits: tuple[float, ...] = (0.4, 0.8, 0.8, 0.8, 1.6, 3.2)
    longest_wait: float = 30.0

    def wait(self, failures: int, retry_after: float | None, fraction: float) -> float | None:
        """Seconds to wait after so many failures; None: give up. `fraction` in [0, 1) is the throw of the dice."""
        if failures > len(self.waits):
            return None
        own = self.waits[failures - 1] * (1 + fraction) / 2
        return min(max(own, retry_after or 0.0), self.longest_wait)


class RequestFailed(Exception):  # noqa: N818 -- the siblings in errors.py are named like this; internal to the adapter
    """A request that failed for good: with HTTP `status` and the service's `code`, or without an answer (None, "").

    `unanswered` says that an attempt ended without a clear answer, so that it may have been carried out.
    """

    def __init__(self, cause: Exception, *, unanswered: bool) -> None:
        super().__init__(str(cause))
        response = getattr(cause, "response", None)
        self.status: int | None = None if response is None else response.status_code
        self.code: str = "" if response is None else response.headers.get("x-ms-error-code", "")
        self.request_id: str = "" if response is None else response.headers.get("x-ms-request-id", "")
        self.cause = cause
        self.unanswered = unanswered


@dataclass(slots=True)
class Sends:
    """How often a request left this machine: the HTTP client repeats some by itself, so attempts do not tell.

    Where nobody counts (`counted` is False), every attempt may have been several.
    """

    count: int = 0
    counted: bool = True

    def repeated_since(self, before: int) -> bool:
        """Whether an attempt that began at this count may have been sent more than once."""
        return not self.counted or self.count - before > 1


async def with_retries(send: Callable[[], Awaitable[T]], policy: RetryPolicy, sends: Sends) -> T:
    """The result of `send`, called again while the failure may pass; raises RequestFailed.

    Whatever waits, waits on the running event loop. `sends` is counted up by the transport.
    """
    failures, unanswered = 0, False
    while True:
        before = sends.count
        try:
            return await send()
        except (AzureError, OSError) as error:
            failures += 1
            failed = RequestFailed(error, unanswered=unanswered or sends.repeated_since(before))
            wait = policy.wait(failures, _retry_after(error), random.random())  # noqa: S311 -- spreads load, guards nothing
            if not _may_pass(error, failed) or wait is None:
                raise failed from error
            unanswered = failed.unanswered or failed.status not in _SURELY_NOT_CARRIED_OUT
        await asyncio.sleep(wait)


def explained(failed: RequestFailed, where: str) -> DurableGraphError:
    """The error that callers see for a failure that no condition explains; it never quotes the service's own text.

    That text may contain a signature or a URL with a token.
    """
    found = f"{where}: the storage service answered {failed.status} {failed.code}".rstrip()
    if failed.request_id:
        found += f" (request {failed.request_id})"
    from_storage = bool(
        failed.code or failed.request_id
    )  # else the endpoint that gives out tokens answered, if any did
    if isinstance(failed.cause, ClientAuthenticationError) and not from_storage:
        return ConfigurationError(
            f"{where}: no token could be had for the identity ({type(failed.cause).__name__}); expected a managed "
            "identity or a developer's sign-in; assign an identity to the app, or correct the __clientId setting"
        )
    if failed.status is None or failed.status in _AGAIN:
        seen = f"no answer ({type(failed.cause).__name__})" if failed.status is None else found
        return TransientError(f"{where}: {seen} after several attempts; is the service up and the address right?")
    advice = _ADVICE.get(failed.code) or _ADVICE_BY_STATUS.get(failed.status)
    if advice is None:
        return TransientError(f"{found}; expected success, or a failure this library knows")
    return ConfigurationError(f"{found}; {advice}")


_ROLE: Final = (
    "expected the role 'Storage Blob Data Contributor' on the account or its container; assign it to the app's "
    "identity (an assignment takes up to ten minutes to work)"
)
_ADVICE: Final = {
    "AuthorizationPermissionMismatch": _ROLE,
    "AuthorizationFailure": (
        "expected access from this network and, with a shared access signature, all of its permissions (rwdlc); "
        "correct the account's firewall or the signature"
    ),
    "AuthenticationFailed": "expected a valid account key or signature, and a clock that is right; correct them",
    "InvalidAuthenticationInfo": "expected a valid account key, signature or token; correct the connection setting",
    "KeyBasedAuthenticationNotPermitted": (
        "the account refuses account keys; configure an identity (AzureWebJobsStorage__accountName) instead"
    ),
    "InvalidHeaderValue": (
        "the service does not know this SDK's protocol version; start Azurite with --skipApiVersionCheck, or update it"
    ),
    "AccountIsDisabled": "expected an enabled storage account; enable it",
    "BlobImmutableDueToPolicy": "expected a container without an immutability policy; use another container",
    "LeaseIdMissing": "expected a blob that nobody holds a lease on; break the lease",
    "FeatureNotSupportedForAccount": "expected a general-purpose v2 account without hierarchical namespace; use one",
}
_ADVICE_BY_STATUS: Final = {
    400: "expected the request to be valid for this service; check the address of the service",
    401: _ROLE,
    403: _ROLE,
}


def _may_pass(error: Exception, failed: RequestFailed) -> bool:
    if failed.status is None:
        return not isinstance(error, ClientAuthenticationError)
    return failed.status in _AGAIN


def _retry_after(error: Exception) -> float | None:
    response: Any = getattr(error, "response", None)  # the SDK's type for it lacks the headers
    value = "" if response is None else response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
