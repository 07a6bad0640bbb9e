"""Which question an answer belongs to: pure decisions about the body of a `resume` event."""

import hashlib
import json
import re
from typing import Any

from durablegraph.errors import Conflict, InvalidRequest
from durablegraph.model.records import CONTINUE, WaitRecord

_INTERRUPT_ID = re.compile(r"[0-9a-f]{32}")
"""What LangGraph's interrupt ids look like: an object of such keys is an answer to questions, not an answer itself."""


def assign(wait: WaitRecord, body: Any) -> dict[str, Any]:
    """Answers by interrupt id. The body is the answer itself; where several interrupts wait, it is keyed by their ids.

    Raises Conflict that names the ids when the body does not say which question it answers, and InvalidRequest when a
    breakpoint, which asks nothing, is given an answer.
    """
    ids = [interrupt.id for interrupt in wait.interrupts]
    if wait.kind == "breakpoint":
        if body is not None:
            raise InvalidRequest(
                f"the run stopped at a breakpoint before {list(wait.next)} and asks nothing: "
                f"continue it with null, not with {_kind(body)}",
                status=422,
            )
        return {CONTINUE: None}
    if isinstance(body, dict) and body and set(body) <= set(ids):
        return body
    if isinstance(body, dict) and body and all(_INTERRUPT_ID.fullmatch(key) for key in body):
        raise Conflict(
            f"the body answers {sorted(body)}, but the run waits for {ids}: read the run and answer what it asks now",
            code="other_question",
            interrupts=ids,
        )
    if len(ids) == 1:
        return {ids[0]: body}
    raise Conflict(
        f"{len(ids)} interrupts wait and the body does not say which it answers: "
        f"send an object whose keys are their ids, {ids}",
        code="ambiguous_answer",
        interrupts=ids,
    )


def needed(wait: WaitRecord) -> list[str]:
    """The ids that must all be answered before the run goes on."""
    return [CONTINUE] if wait.kind == "breakpoint" else [interrupt.id for interrupt in wait.interrupts]


def digest(value: Any) -> str:
    """Equal for equal JSON values, whatever the order of members."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()


def heard(payload: Any) -> Any:
    """The value of a raw event: the SDK's `raise_event` sends JSON inside a string, a plain POST sends the value.

    A string that holds valid JSON is taken for the former; the two cannot be told apart.
    """
    if isinstance(payload, str):
        try:
            return json.loads(payload)
        except ValueError:
            return payload
    return payload


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {json.dumps(value, ensure_ascii=False)[:60]}"
