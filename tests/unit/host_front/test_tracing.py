import json
from datetime import UTC, datetime

from durablegraph.host.invocation import Datum, Invocation, InvocationError, InvocationResult, WorkerExited
from durablegraph.host.tracing import TraceFile, invocation_row

BEGAN = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
ENDED = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
ACTIVITY = Invocation("i", "say", "activity", {"name": Datum("string", '"Tokyo"')}, "a")


def row(call, outcome):
    return invocation_row(call, outcome, BEGAN, ENDED)


def test_an_activitys_line_has_both_the_wire_and_the_value():
    got = row(ACTIVITY, InvocationResult(output=Datum("json", '"Hello Tokyo"')))
    assert got == {
        "ev": "invocation",
        "function": "say",
        "kind": "activity",
        "instanceId": "a",
        "invocationId": "i",
        "t0": "2026-01-02T03:04:05.000006Z",
        "t1": "2026-01-02T03:04:06.000000Z",
        "status": "Success",
        "input": "Tokyo",
        "inputData": {"name": {"kind": "string", "value": '"Tokyo"'}},
        "outputKind": "json",
        "output": "Hello Tokyo",
        "outputRaw": {"kind": "json", "value": '"Hello Tokyo"'},
    }


def test_an_orchestrators_line_has_its_context_parsed():
    call = Invocation("i", "o", "orchestrator", {"context": Datum("string", '{"history": []}')}, "a")
    got = row(call, InvocationResult(output=Datum("json", '{"isDone": true}')))
    assert (got["input"], got["output"]) == ({"history": []}, {"isDone": True})
    assert "inputData" not in got


def test_a_failure_carries_what_the_host_makes_of_it():
    got = row(ACTIVITY, InvocationResult(error=InvocationError("ValueError: boom", "  at", "ValueError")))
    assert got["status"] == "Failure"
    assert got["error"] == {
        "message": "ValueError: boom",
        "stack": "  at",
        "type": "",
        "hostText": "Result: Failure\nException: ValueError: boom\nStack:   at",
    }


def test_a_worker_that_ended_is_an_exception():
    got = row(ACTIVITY, WorkerExited(137))
    assert got["status"] == "Exception"
    assert got["error"]["type"] == "WorkerProcessExitException"
    assert got["error"]["message"].endswith("exited with code 137 (0x89)")


def test_a_result_that_the_real_host_could_not_read_is_an_exception_with_its_text():
    got = row(ACTIVITY, InvocationResult(output=Datum("json", '{"$ref": 1}')))
    assert got["status"] == "Exception"
    assert got["error"]["type"] == "JsonSerializationException"
    assert got["output"] == {"$ref": 1}


def test_lines_are_numbered_and_compact(tmp_path):
    trace = TraceFile(tmp_path / "t.ndjson")
    trace.invocation(ACTIVITY, WorkerExited(1), BEGAN, ENDED)
    trace.rpc({"method": "GET"})
    lines = (tmp_path / "t.ndjson").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]
    assert b'"ev":"invocation",' in lines[0]
    assert b'"ev":"http",' in lines[1]
    assert b'"channel":"rpc"' in lines[1]
    trace.close()
