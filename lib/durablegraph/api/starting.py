"""The door: check a request, store the run, claim the thread, start the instance. No node ever runs here."""

import logging
import uuid
from datetime import datetime
from typing import Any

from durablegraph.api.bodies import parse, read_json
from durablegraph.api.context import Call
from durablegraph.api.http import ApiResponse
from durablegraph.api.instances import Instances
from durablegraph.api.resources import RunStart, StreamMode
from durablegraph.errors import Conflict, InvalidRequest, NotFound
from durablegraph.model import ids
from durablegraph.model.assign import digest
from durablegraph.model.messages import Ticket
from durablegraph.model.records import RunRecord, RunRequest
from durablegraph.services import Services
from durablegraph.storage import lifecycle
from durablegraph.storage.events import created

log = logging.getLogger(__name__)

POLL_SECONDS = 1
RESERVED = ("__pregel_", "__durable", "checkpoint_map")
_LONGEST_KEY = 256


async def start_run(call: Call) -> ApiResponse:
    """POST /graphs/{graph}/runs: 202 with Durable's own links; the same Idempotency-Key gives the same run."""
    graph = call.request.path["graph"]
    body = read_json(call.request, call.services.settings, default={})
    wanted = parse(RunStart, body)
    await check_graph(call, graph, wanted)
    request = request_of(graph, wanted, uuid.uuid4().hex, call.now)
    if key := call.request.headers.get("idempotency-key"):
        request = await keyed(call, request, key, digest([graph, body]))
    return await launch(call, request)


async def launch(call: Call, request: RunRequest) -> ApiResponse:
    """Store and start a run, and tell where to find it; see `bring`."""
    record = await bring(call.services, call.instances, request, call.now)
    links = call.links.management(record.run_id)
    headers = {"Location": links["statusQueryGetUri"], "Retry-After": str(POLL_SECONDS)}
    return ApiResponse(202, {**links, "thread_id": record.thread_id}, headers)


async def bring(services: Services, instances: Instances, request: RunRequest, now: datetime) -> RunRecord:
    """Store and start a run; repeated with the same run id it completes what the first call began."""
    record = RunRecord(
        run_id=request.run_id,
        graph=request.graph,
        thread_id=request.thread_id,
        created_at=request.created_at,
        updated_at=request.created_at,
        metadata=request.metadata,
        graph_version=(await services.load(request.graph)).version,
        streams=bool(request.stream_mode),
    )
    new = await services.runs.create(request, record)
    if not new:
        found = await services.runs.load(request.run_id)
        record = found.value if found else record
    if not record.status.ended and await _claim(services, record, now):
        if record.streams:
            await services.events.begin(record.run_id, created(request))
        await _start(services, instances, record, new=new)
    return record


async def check_graph(call: Call, graph: str, wanted: RunStart) -> None:
    """Raise 404 for an unknown graph, 422 for an input that no graph of its schema can take."""
    names = call.services.graphs.names
    if graph not in names:
        raise NotFound(
            f"there is no graph {graph!r}: use one of {sorted(names)}, or add it to langgraph.json",
            code="graph_not_found",
            available=sorted(names),
        )
    if wanted.command is not None and wanted.input is not None:
        raise InvalidRequest("a run takes either input or command: leave one of them out", status=422)
    loaded = await call.services.load(graph)
    kind = loaded.input_schema.get("type")
    if kind == "object" and wanted.command is None and not isinstance(wanted.input, dict | None):
        raise InvalidRequest(
            f"the input of graph {graph!r} is an object, not a {type(wanted.input).__name__}: "
            f"give the members {sorted(loaded.input_schema.get('properties', {}))}",
            status=422,
        )


async def _claim(services: Services, record: RunRecord, now: datetime) -> bool:
    """Whether the thread is the run's; False when another starter of the same run was faster, and it has ended."""
    try:
        await lifecycle.claim(services.runs, record, now)
    except Conflict as error:
        found = await services.runs.load(record.run_id)
        if found is not None and found.value.status.ended:
            return False
        error.facts["retry_after"] = POLL_SECONDS
        await services.runs.delete(record)
        raise
    return True


async def _start(services: Services, instances: Instances, record: RunRecord, *, new: bool) -> None:
    """Start the instance. The run is stored already: if the task hub does not answer, the supervisor starts it.

    The instance of a `new` run could only be there if a supervisor was faster, and then the hub refuses this start.
    """
    ticket = Ticket(run_id=record.run_id, cut=services.settings.steps_per_execution)
    try:
        await instances.start(record.run_id, ticket.to_json(), new=new)
    except Exception:  # whatever the hub's client raises, the run is accepted
        log.exception("run %s is stored but could not be started yet; the supervisor will", record.run_id)


def request_of(
    graph: str, wanted: RunStart, run_id: str, now: datetime, *, own_thread: str | None = None
) -> RunRequest:
    """The request as it is stored, its config checked; its thread is `own_thread`, or a new one, if none is named."""
    config = dict(wanted.config)
    configurable = dict(_object(config.get("configurable"), "config.configurable"))
    limit = config.pop("recursion_limit", None)
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise InvalidRequest(f"config.recursion_limit is {limit!r}: give a whole number from 1 up", status=422)
    if refused := [name for name in configurable if name.startswith(RESERVED)]:
        raise InvalidRequest(f"config.configurable has the reserved keys {refused}: leave them out", status=422)
    thread = _thread(wanted.thread_id, configurable.pop("thread_id", None))
    return RunRequest(
        run_id=run_id,
        graph=graph,
        thread_id=(uuid.uuid4().hex if own_thread is None else own_thread) if thread is None else ids.thread_id(thread),
        input=wanted.input,
        command=wanted.command,
        config={**config, "configurable": configurable},
        context=wanted.context,
        metadata=wanted.metadata,
        recursion_limit=limit,
        interrupt_before=wanted.interrupt_before,
        interrupt_after=wanted.interrupt_after,
        stream_mode=_modes(wanted.stream_mode),
        stream_subgraphs=wanted.stream_subgraphs,
        fan_out=wanted.fan_out,
        created_at=now,
    )


def _thread(top: str | None, configured: Any) -> str | None:
    if top is not None and configured is not None and top != configured:
        raise InvalidRequest(
            f"thread_id is {top!r} and config.configurable.thread_id is {configured!r}: give one of them", status=422
        )
    return top if top is not None else configured


def _modes(wanted: str | list[StreamMode] | None) -> tuple[str, ...]:
    """The modes without repetition, `messages-tuple` (LangGraph's API) as what it is called in a graph's `stream`."""
    modes = [wanted] if isinstance(wanted, str) else wanted or []
    return tuple(dict.fromkeys("messages" if mode == "messages-tuple" else mode for mode in modes))


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{what} is a {type(value).__name__}: give an object", status=422)
    return value


async def keyed(call: Call, request: RunRequest, key: str, body_digest: str) -> RunRequest:
    """The request under the run id that its idempotency key was given to."""
    if len(key) > _LONGEST_KEY:
        raise InvalidRequest(f"the Idempotency-Key has {len(key)} characters, at most {_LONGEST_KEY} are accepted")
    run_id, same = await call.services.runs.claim_key(key, request.run_id, body_digest)
    if not same:
        raise InvalidRequest(
            f"the Idempotency-Key {key!r} belongs to another request, run {run_id}: use a new key",
            code="idempotency_key_reused",
            status=422,
        )
    if run_id == request.run_id:
        return request
    return (await call.services.runs.request(run_id)) or request.model_copy(update={"run_id": run_id})
