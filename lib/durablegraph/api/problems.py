"""Every error as one kind of answer: RFC 9457 problem details, with the members our callers rely on."""

import logging
import uuid

from durablegraph.api.http import ApiResponse
from durablegraph.errors import DurableGraphError, RequestError, TransientError

log = logging.getLogger(__name__)

_TITLES = {
    400: "Bad request",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Too large",
    422: "Unprocessable",
    500: "Internal error",
    503: "Try again",
}


def problem(error: Exception, *, run_id: str | None = None) -> ApiResponse:
    """The answer to a request that raised `error`; the text of unknown exceptions goes to the log alone."""
    if isinstance(error, RequestError):
        return _answer(error.status, error.code, str(error), run_id, facts=error.facts)
    correlation = uuid.uuid4().hex
    if isinstance(error, TransientError):
        log.warning("request failed for now, correlation id %s", correlation, exc_info=error)
        detail = f"Storage or the task hub did not answer; send the request again (correlation id {correlation})"
        return _answer(503, error.code, detail, run_id, facts={"retry_after": 2})
    log.error("request failed, correlation id %s", correlation, exc_info=error)
    code = error.code if isinstance(error, DurableGraphError) else "internal"
    detail = f"Something went wrong on our side; the log has the details under correlation id {correlation}"
    return _answer(500, code, detail, run_id)


def _answer(
    status: int, code: str, detail: str, run_id: str | None, *, facts: dict[str, object] | None = None
) -> ApiResponse:
    facts = dict(facts or {})
    headers = {"Cache-Control": "no-store"}
    if retry_after := facts.pop("retry_after", None):
        headers["Retry-After"] = str(retry_after)
    body = {
        "type": f"urn:durablegraph:problem:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": status in {409, 503} and bool(headers.get("Retry-After")),
        **({"run_id": run_id} if run_id else {}),
        **facts,
    }
    return ApiResponse(status, body, headers, "application/problem+json")
