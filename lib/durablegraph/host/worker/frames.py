"""Messages between the host and a child worker: a four-byte length, then a marshalled tuple of plain values.

Both ends are the same interpreter on the same machine, so `marshal` fits and costs a few microseconds a message, where
JSON would escape JSON texts of hundreds of kilobytes a second time.
"""

import marshal
from typing import Any

from durablegraph.host.invocation import (
    Binding,
    Datum,
    FunctionIndex,
    FunctionInfo,
    HttpRequestData,
    HttpResponseData,
    Invocation,
    InvocationError,
    InvocationResult,
)

_HEAD = 4
_ROOM = 1 << 18


def pack(message: tuple[Any, ...]) -> bytes:
    """One frame."""
    body = marshal.dumps(message)
    return len(body).to_bytes(_HEAD, "big") + body


class Unpacker:
    """Collects bytes, gives whole messages. `room` is where the bytes are read to: a new buffer a read costs more."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(_ROOM))
        self._pending = bytearray()

    def messages(self, count: int) -> list[tuple[Any, ...]]:
        """Every message that the first `count` bytes of `room` complete."""
        pending, found, start = self._pending, [], 0
        if pending:
            pending += self.room[:count]
        with memoryview(pending) if pending else self.room[:count] as view:
            while len(view) - start >= _HEAD:
                end = start + _HEAD + int.from_bytes(view[start : start + _HEAD], "big")
                if len(view) < end:
                    break
                found.append(marshal.loads(view[start + _HEAD : end]))  # noqa: S302 -- the peer is our own child
                start = end
            if not pending and start < count:
                self._pending = bytearray(view[start:])
        if pending:
            del pending[:start]
        return found


def call_to_wire(number: int, call: Invocation) -> tuple[Any, ...]:
    """A call as a message."""
    inputs = {name: _datum_to_wire(datum) for name, datum in call.inputs.items()}
    return ("call", number, call.id, call.function, call.kind, inputs, call.instance_id, call.traceparent)


def call_from_wire(message: tuple[Any, ...]) -> tuple[int, Invocation]:
    """The other way."""
    _, number, id_, function, kind, inputs, instance_id, traceparent = message
    data = {name: _datum_from_wire(datum) for name, datum in inputs.items()}
    return number, Invocation(id_, function, kind, data, instance_id, traceparent)


def result_to_wire(number: int, result: InvocationResult) -> tuple[Any, ...]:
    """A result as a message."""
    error = result.error and (result.error.message, result.error.stack, result.error.type)
    return ("result", number, result.output and _datum_to_wire(result.output), error)


def result_from_wire(message: tuple[Any, ...]) -> tuple[int, InvocationResult]:
    """The other way."""
    _, number, output, error = message
    return number, InvocationResult(
        output and _datum_from_wire(output),
        InvocationError(*error) if error else None,
    )


def index_to_wire(index: FunctionIndex) -> tuple[Any, ...]:
    """An index as a message."""
    functions = [_function_to_wire(each) for each in index.functions]
    return ("ready", functions, dict(index.errors))


def index_from_wire(message: tuple[Any, ...]) -> FunctionIndex:
    """The other way."""
    _, functions, errors = message
    return FunctionIndex(
        tuple(
            FunctionInfo(
                name, kind, durable_name, Binding(*trigger), tuple(Binding(*each) for each in bindings), is_async
            )
            for name, kind, durable_name, trigger, is_async, bindings in functions
        ),
        errors,
    )


def _function_to_wire(function: FunctionInfo) -> tuple[Any, ...]:
    bindings = [_binding_to_wire(binding) for binding in function.bindings]
    trigger = _binding_to_wire(function.trigger)
    return (function.name, function.kind, function.durable_name, trigger, function.is_async, bindings)


def _binding_to_wire(binding: Binding) -> tuple[Any, ...]:
    return (binding.name, binding.type, binding.direction, dict(binding.settings))


def _datum_to_wire(datum: Datum) -> tuple[Any, ...]:
    value = datum.value
    if isinstance(value, HttpRequestData):
        members = (
            value.method,
            value.url,
            dict(value.headers),
            dict(value.params),
            dict(value.route_params),
            value.body,
        )
        return ("request", members)
    if isinstance(value, HttpResponseData):
        return ("response", (value.status, value.headers, value.body))
    return (datum.kind, value)


def _datum_from_wire(wire: tuple[Any, ...]) -> Datum:
    kind, value = wire
    if kind == "request":
        return Datum("http", HttpRequestData(*value))
    if kind == "response":
        return Datum("http", HttpResponseData(*value))
    return Datum(kind, value)
