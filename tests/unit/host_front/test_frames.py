import pytest

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
from durablegraph.host.worker.frames import (
    Unpacker,
    call_from_wire,
    call_to_wire,
    index_from_wire,
    index_to_wire,
    pack,
    result_from_wire,
    result_to_wire,
)


def unpacked(pieces):
    unpacker, found = Unpacker(), []
    for piece in pieces:
        unpacker.room[: len(piece)] = piece
        found += unpacker.messages(len(piece))
    return found


def over_the_wire(message, size=7):
    frame = pack(message)
    (got,) = unpacked(frame[start : start + size] for start in range(0, len(frame), size))
    return got


def test_several_frames_in_one_piece_come_apart():
    assert unpacked([pack(("a", 1)) + pack(("b", 2)) + pack(("c",))[:3]]) == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100, 1 << 16, 1 << 18])
def test_frames_of_any_size_come_whole_however_they_are_cut(size):
    messages = [("a", 1), ("b", "x" * 3), (), ("c", b"y" * (700_000 if size > 100 else 700)), ("d", 2)]
    stream = b"".join(map(pack, messages))
    assert unpacked(stream[start : start + size] for start in range(0, len(stream), size)) == messages


def test_the_room_may_be_overwritten_between_the_parts_of_a_frame():
    first, second = pack(("first", b"1" * 50)), pack(("second", b"2" * 50))
    assert unpacked([first + second[:10], second[10:30], second[30:]]) == [("first", b"1" * 50), ("second", b"2" * 50)]


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": Datum("string", '"\ud800 é \U0001f600"')},
        {"req": Datum("http", HttpRequestData("GET", "u", {"a": "1"}, {}, {"id": "7"}, b"\x00"))},
        {"t": Datum("json", "{}"), "none": Datum("none", None)},
    ],
)
def test_a_call_arrives_as_it_was(inputs):
    call = Invocation("i", "f", "activity", inputs, "instance", "00-trace")
    assert call_from_wire(over_the_wire(call_to_wire(3, call))) == (3, call)


@pytest.mark.parametrize(
    "result",
    [
        InvocationResult(output=Datum("json", "1")),
        InvocationResult(output=Datum("none", None)),
        InvocationResult(output=Datum("http", HttpResponseData(200, [("a", "b")], b"x"))),
        InvocationResult(error=InvocationError("ValueError: x", "stack", "ValueError")),
    ],
)
def test_a_result_arrives_as_it_was(result):
    assert result_from_wire(over_the_wire(result_to_wire(4, result))) == (4, result)


def test_an_index_arrives_as_it_was():
    trigger = Binding("req", "httpTrigger", "in", {"methods": ["GET"], "route": "x"})
    function = FunctionInfo("f", "http", "f", trigger, (trigger, Binding("$return", "http", "out")), is_async=True)
    index = FunctionIndex((function,), {"bad": "why"})
    assert index_from_wire(over_the_wire(index_to_wire(index))) == index
