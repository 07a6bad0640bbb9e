"""What entities receive, run and answer."""

from datetime import datetime

from durablegraph.host.hub import commands as c
from durablegraph.host.hub import entities, events, newtonsoft
from durablegraph.host.hub.changes import DropMessages, PutEntity, PutMessage
from durablegraph.host.hub.state import Entity, Message
from durablegraph.host.hub.work import Work


def signal(work: Work, command: c.Signal) -> None:
    """An operation that a client sends."""
    text = entities.request_text(
        operation=command.operation,
        input_text=command.input,
        request_id=work.new_id(),
        now=work.now,
        signal=True,
        sender=None,
    )
    post(work, command.entity_id, text, None)


def post(work: Work, entity_id: str, text: str, due: datetime | None) -> None:
    """Sends a request to an entity, at once or at a moment."""
    work.entity(entity_id)
    message = Message(work.state.next_seq(), entity_id, None, events.event_raised(work.now, "op", text), due)
    if due is not None:
        work.deliver_at(message, due)
        return
    work.change(PutMessage(message))
    work.deliver(message)


def begin_batch(work: Work, entity_id: str) -> None:
    """Takes the waiting requests, in order, for one call of the entity's function."""
    entity = work.state.entities.get(entity_id)
    if entity is None or entity.batch is not None or not entity.queue:
        return
    entity.announced = False
    entity.batch = [entity.queue.popleft() for _ in range(min(len(entity.queue), work.options.max_entity_batch))]
    name = work.functions.function(entity.name, "entity")
    if name is None:
        batch_ended(work, c.BatchEnded(entity_id, error=work.functions.unknown(entity.name, "entity")))
    else:
        work.ask(c.RunBatch(entity_id, name, entities.batch_request(entity, entity.batch)))


def batch_ended(work: Work, command: c.BatchEnded) -> None:
    """Stores the new state and answers the callers. A batch that failed as a whole fails each of its operations."""
    entity = work.state.entities.get(command.entity_id)
    if entity is None or entity.batch is None:
        return
    batch, entity.batch = entity.batch, None
    if command.response is not None:
        entity.exists, entity.state = bool(command.response["entityExists"]), command.response["entityState"]
        results = [(str(item["result"]), bool(item["isError"])) for item in command.response["results"]]
    else:
        results = [(newtonsoft.quote(command.error or ""), True)] * len(batch)
    entity.updated = work.now
    for message, (result, failed) in zip(batch, results, strict=False):
        _answer(work, entity, message, entities.response_text(result, failed=failed))
    work.change(DropMessages(tuple(message.seq for message in batch)), PutEntity(entity))
    work.announce_entity(entity)


def _answer(work: Work, entity: Entity, message: Message, text: str) -> None:
    asked = entities.opened(message)
    if "parent" in asked:
        entity.senders[asked["parent"]] = {"Last": asked["Timestamp"], "ExecutionId": asked["parentExecution"]}
    if not asked.get("signal"):
        work.tell(asked["parent"], events.event_raised(work.now, asked["id"], text))
