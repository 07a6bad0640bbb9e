"""The textbook patterns of Durable Functions, as anybody would write them: nothing here knows this project."""

import json
import time

import pytest

from tests.support.embedded import hosting, write_app

START = """
    @app.route(route="start/{name}")
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client):
        given = json.loads(req.get_body() or b"null")
        instance = await client.start_new(req.route_params["name"], req.params.get("id"), given)
        return client.create_check_status_response(req, instance)
"""
HEAD = """
    import json, os
    from datetime import timedelta
    from pathlib import Path
    import azure.durable_functions as df
    import azure.functions as func

    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    def note(text):
        with (Path(os.environ["NOTES"]) / "notes").open("a") as file:
            file.write(text + "\\n")
"""
HUMAN = (
    HEAD
    + START
    + """
    @app.orchestration_trigger(context_name="context")
    def ask_for_approval(context: df.DurableOrchestrationContext):
        request = context.get_input()
        yield context.call_activity("send_request", request)
        deadline = context.current_utc_datetime + timedelta(seconds=request["seconds"])
        timer = context.create_timer(deadline)
        answer = context.wait_for_external_event("ApprovalEvent")
        winner = yield context.task_any([answer, timer])
        if winner is answer:
            timer.cancel()
            return (yield context.call_activity("record", {"approved": answer.result}))
        return (yield context.call_activity("escalate", request))

    @app.activity_trigger(input_name="request")
    def send_request(request: dict):
        note("sent to " + request["manager"])

    @app.activity_trigger(input_name="answer")
    async def record(answer: dict):
        return f"recorded {answer['approved']}"

    @app.activity_trigger(input_name="request")
    def escalate(request):
        return f"escalated past {request['manager']}"
"""
)
MONITOR = (
    HEAD
    + START
    + """
    @app.orchestration_trigger(context_name="context")
    def watch(context):
        job = context.get_input()
        expiry = context.current_utc_datetime + timedelta(seconds=job["seconds"])
        looks = 0
        while context.current_utc_datetime < expiry:
            looks += 1
            status = yield context.call_activity("look", job["path"])
            context.set_custom_status({"looks": looks, "status": status})
            if status == "done":
                yield context.call_activity("alert", job["path"])
                return {"looks": looks}
            yield context.create_timer(context.current_utc_datetime + timedelta(seconds=2))
        return "expired"

    @app.activity_trigger(input_name="path")
    def look(path: str):
        return Path(path).read_text() if Path(path).exists() else "missing"

    @app.activity_trigger(input_name="path")
    def alert(path):
        note("alert")
"""
)
ETERNAL = (
    HEAD
    + START
    + """
    @app.orchestration_trigger(context_name="context")
    def clean_up(context):
        state = context.get_input()
        state["rounds"] += 1
        yield context.call_activity("sweep", state["rounds"])
        context.set_custom_status(state["rounds"])
        if state["rounds"] >= 60:
            return state
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=200))
        context.continue_as_new(state)

    @app.activity_trigger(input_name="round")
    def sweep(round):
        note(str(round))
"""
)


def notes(folder):
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def start(host, name, given, instance):
    answer = host.post(f"/api/start/{name}?id={instance}", json=given)
    assert answer.status_code == 202, host.log
    return answer


def test_an_approval_goes_through_the_links_that_the_starter_gave(tmp_path):
    with hosting(write_app(tmp_path / "app", HUMAN), NOTES=str(tmp_path)) as host:
        answer = start(host, "ask_for_approval", {"manager": "Ann", "seconds": 300}, "a")
        links = answer.json()
        assert answer.headers["location"] == links["statusQueryGetUri"]
        assert links["sendEventPostUri"].startswith(host.base)
        host.until("a", "Running")
        event = links["sendEventPostUri"].removeprefix(host.base).replace("{eventName}", "ApprovalEvent")
        assert host.post(event, json=True).status_code == 202
        assert host.until("a", seconds=5)["output"] == "recorded True"
        assert notes(tmp_path) == ["sent to Ann"]


def test_an_approval_that_nobody_gives_is_escalated(tmp_path):
    with hosting(write_app(tmp_path / "app", HUMAN), NOTES=str(tmp_path)) as host:
        start(host, "ask_for_approval", {"manager": "Ann", "seconds": 2}, "a")
        assert host.until("a")["output"] == "escalated past Ann"


def test_an_approval_outlives_kills_of_the_host(tmp_path):
    app = write_app(tmp_path / "app", HUMAN)
    with hosting(app, NOTES=str(tmp_path)) as host:
        start(host, "ask_for_approval", {"manager": "Ann", "seconds": 300}, "a")
        host.until("a", "Running")
        deadline = time.monotonic() + 10
        while not notes(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        host.kill()
    with hosting(app, NOTES=str(tmp_path)) as host:
        host.kill()
    with hosting(app, NOTES=str(tmp_path)) as host:
        webhook = "/runtime/webhooks/durabletask/instances/a/raiseEvent/ApprovalEvent"
        assert host.post(webhook, json={"by": "Ann"}).status_code == 202
        assert host.until("a", seconds=10)["output"] == "recorded {'by': 'Ann'}"


def test_a_monitor_looks_until_the_job_is_done(tmp_path):
    job = tmp_path / "job"
    with hosting(write_app(tmp_path / "app", MONITOR), NOTES=str(tmp_path)) as host:
        start(host, "watch", {"path": str(job), "seconds": 600}, "m")
        seen = host.until("m", "Running")
        deadline = time.monotonic() + 15
        while (seen["customStatus"] or {}).get("looks", 0) < 2 and time.monotonic() < deadline:
            seen = host.until("m", "Running")
        assert seen["customStatus"] == {"looks": 2, "status": "missing"}
        job.write_text("done")
        output = host.until("m")["output"]
        assert output["looks"] > 2
        assert notes(tmp_path) == ["alert"]


def test_an_eternal_orchestration_keeps_its_place_over_kills_and_its_history_short(tmp_path):
    app = write_app(tmp_path / "app", ETERNAL)
    with hosting(app, NOTES=str(tmp_path)) as host:
        start(host, "clean_up", {"rounds": 0}, "e")
    for _ in range(3):
        with hosting(app, NOTES=str(tmp_path)) as host:
            before = len(notes(tmp_path))
            deadline = time.monotonic() + 20
            while len(notes(tmp_path)) < before + 5 and time.monotonic() < deadline:
                time.sleep(0.02)
    with hosting(app, NOTES=str(tmp_path)) as host:
        assert host.until("e", seconds=90)["output"] == {"rounds": 60}
        shown = host.get("/runtime/webhooks/durabletask/instances/e?showHistory=true").json()
        assert len(shown["historyEvents"]) < 10
    rounds = [int(each) for each in notes(tmp_path)]
    assert sorted(set(rounds)) == list(range(1, 61))
    assert rounds == sorted(rounds)
    assert len(rounds) <= 60 + 4, "only an activity in flight at a kill may run again"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_samples_run_with_no_and_with_several_worker_processes(tmp_path, workers):
    with hosting(write_app(tmp_path / "app", HUMAN), "--workers", workers, NOTES=str(tmp_path)) as host:
        start(host, "ask_for_approval", {"manager": "Bo", "seconds": 300}, "a")
        host.until("a", "Running")
        host.post("/runtime/webhooks/durabletask/instances/a/raiseEvent/ApprovalEvent", json="yes")
        assert json.dumps(host.until("a")["output"]) == '"recorded yes"'
