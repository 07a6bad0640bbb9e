"""Messages to entities and their answers, and the batches that entity functions run. Pure.

Source: RequestMessage and ResponseMessage of the extension; the members and their order are recorded.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from durablegraph.host.hub.events import Event, Members, execution_started, turn_completed, turn_started
from durablegraph.host.hub.newtonsoft import dumps, quote
from durablegraph.host.hub.state import Entity, Message
from durablegraph.host.hub.wiretime import iso, iso_offset

_NAMESPACE = "Microsoft.Azure.WebJobs.Extensions.DurableTask"
_NEVER = "0001-01-01T00:00:00"


@dataclass(frozen=True, slots=True)
class Sender:
    """The orchestration that sends: its clock orders its messages."""

    instance_id: str
    execution_id: str
    clock: datetime


def request_text(
    *, operation: str, input_text: str | None, request_id: str, now: datetime, signal: bool, sender: Sender | None
) -> str:
    """What an entity is sent. `sender` None: a client."""
    members: Members = {"$type": f"{_NAMESPACE}.RequestMessage, {_NAMESPACE}", "op": operation}
    if signal:
        members["signal"] = True
    if input_text is not None:
        members["input"] = input_text
    members["id"] = request_id
    if sender is not None:
        members |= {
            "parent": sender.instance_id,
            "parentExecution": sender.execution_id,
            "Timestamp": iso(sender.clock),
            "Predecessor": _NEVER,
        }
    members["requestTime"] = iso_offset(now)
    return dumps(members)


def response_text(result: str, *, failed: bool) -> str:
    """What the caller of an operation is sent; `result` is JSON text."""
    tail = ',"exceptionType":"Error"' if failed else ""
    return f'{{"$type":"{_NAMESPACE}.ResponseMessage, {_NAMESPACE}","result":{quote(result)}{tail}}}'


def batch_request(entity: Entity, batch: Sequence[Message]) -> str:
    """The JSON text for the entity function. The SDK refuses any further member."""
    requests = [opened(message) for message in batch]
    items = [
        {"name": item["op"], "input": item.get("input"), "isSignal": item.get("signal", False), "id": item["id"]}
        for item in requests
    ]
    return dumps(
        {
            "self": {"name": entity.name, "key": entity.key},
            "exists": entity.exists,
            "state": entity.state,
            "batch": items,
        }
    )


def opened(message: Message) -> dict[str, Any]:
    """The request that a message carries."""
    members: dict[str, Any] = json.loads(message.event.members["Input"])
    return members


def scheduler_state(entity: Entity) -> str:
    """What shows as the input of an entity among the instances: its scheduler's state."""
    members: Members = {"exists": True} if entity.exists else {}
    if entity.state is not None:
        members["state"] = entity.state
    if entity.senders:
        first = min(item["Last"] for item in entity.senders.values())
        members["sorter"] = {"ReceivedFromInstance": entity.senders, "ReceiveHorizon": first}
    return dumps(members)


def shown_history(entity: Entity) -> list[Event]:
    """What shows as the history of an entity: it begins anew after each batch."""
    moment = entity.updated or datetime.min.replace(tzinfo=UTC)
    begun = execution_started(
        moment,
        instance_id=entity.id,
        execution_id="",
        name=entity.id,
        version=None,
        input_text=scheduler_state(entity),
        parent=None,
        tags=None,
        generation=None,
    )
    return [turn_started(moment), begun, turn_completed(moment)]
