"""The host dies where the test says, activities run twice, storage fails: what the app makes of it."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from durablegraph.testing import (
    CrashNeverCame,
    HostDied,
    after_activity,
    after_commit,
    before_activity,
    before_commit,
)

SAMPLES = Path(__file__).parent / "samples"


def ran(app):
    return [call.name for call in app.activities]


def test_a_crash_before_an_activity_lets_it_run_once(samples):
    samples.crash(at=before_activity(1, "send_request"))
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    assert (samples.crashes, ran(samples)) == (1, ["send_request"])
    assert run.raise_event("Approval", "kim").output == "approved by kim"


def test_a_crash_after_an_activity_lets_it_run_again(samples):
    samples.crash(at=after_activity(1, "send_request"))
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    assert (samples.crashes, ran(samples)) == (1, ["send_request", "send_request"])
    assert run.raise_event("Approval", "kim").output == "approved by kim"


def test_the_second_activity_is_another_moment_than_the_first(samples):
    samples.crash(at=after_activity(2))
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    assert samples.crashes == 0
    run.until_end()
    assert ran(samples) == ["send_request", "escalate", "escalate"]


@pytest.mark.parametrize("when", [before_commit, after_commit])
@pytest.mark.parametrize("number", range(1, 13))
def test_whatever_commit_the_host_dies_at_the_orchestration_ends_as_without(samples, when, number):
    samples.crash(at=when(number))
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    samples.clock.advance(hours=1)
    run.raise_event("Approval", "kim")
    assert run.output == "approved by kim"
    samples.orchestrate("transfer", [1, 2]).until_end()
    assert samples.entity("account", "ada").state == 3
    assert samples.crashes == 1


def test_a_crash_while_an_orchestration_waits_loses_its_process_and_nothing_else(samples):
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"})
    first = importlib.import_module("ledger")
    samples.clock.advance(hours=71)
    samples.crash()
    assert importlib.import_module("ledger") is not first
    assert importlib.import_module("ledger").notes == []
    assert run.status == "Running"
    samples.clock.advance(hours=1)
    assert run.output == "escalated past kim"


def test_the_tests_own_patches_outlive_a_crash(monkeypatch, durable_app):
    spec = importlib.util.spec_from_file_location("ledger", SAMPLES / "ledger.py")
    ledger = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ledger)
    monkeypatch.setitem(sys.modules, "ledger", ledger)  # undone after the app is closed: it was asked for first
    heard = []
    monkeypatch.setattr(ledger, "note", heard.append)
    app = durable_app(SAMPLES)
    run = app.orchestrate("ask_for_approval", {"manager": "kim"})
    app.crash()
    run.until_end()
    assert heard == ["asked kim", "escalated"]


def test_a_crash_that_never_comes_fails_the_test(durable_app):
    app = durable_app(SAMPLES)
    app.crash(at=after_activity(3, "send_request"))
    app.orchestrate("ask_for_approval", {"manager": "kim"}).until_end()
    with pytest.raises(CrashNeverCame, match=r"after activity 3 of 'send_request' \(counted 1\)"):
        app.close()


def test_a_request_during_which_the_host_dies_has_no_response(samples):
    samples.crash(at=before_commit(1))
    with pytest.raises(HostDied, match="POST /api/start/monitor"):
        samples.request("POST", "/api/start/monitor", json={"done_at_look": 1})
    answer = samples.request("POST", "/api/start/monitor", json={"done_at_look": 1})
    assert samples.orchestration(answer.json()["id"]).output == 1


def test_a_crash_in_an_activity_that_the_test_calls_is_told(samples):
    samples.crash(at=after_activity(1, "escalate"))
    with pytest.raises(HostDied, match="while it ran escalate"):
        samples.activity("escalate", {"manager": "kim"})
    assert samples.activity("escalate", {"manager": "kim"}) == "escalated past kim"
    assert ran(samples) == ["escalate", "escalate"]


def test_an_activity_that_is_delivered_twice_runs_twice(samples):
    samples.deliver_twice("escalate")
    run = samples.orchestrate("ask_for_approval", {"manager": "kim"}).until_end()
    assert ran(samples) == ["send_request", "escalate", "escalate"]
    assert run.output == "escalated past kim"


def test_an_activity_that_does_not_exist_cannot_be_delivered_twice(samples):
    with pytest.raises(LookupError, match="activity function 'escalated'"):
        samples.deliver_twice("escalated")


def test_moments_are_counted_from_one():
    with pytest.raises(ValueError, match="counted from 1"):
        before_commit(0)
