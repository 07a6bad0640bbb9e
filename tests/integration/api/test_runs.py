import re
import time

import pytest

MANAGEMENT = {
    "id",
    "statusQueryGetUri",
    "sendEventPostUri",
    "terminatePostUri",
    "suspendPostUri",
    "resumePostUri",
    "purgeHistoryDeleteUri",
    "restartPostUri",
    "thread_id",
}


def start(api, graph, body=None, **headers):
    return api.post(f"/graphs/{graph}/runs", json={"input": {"out": []}} if body is None else body, headers=headers)


def run_of(api, graph, body=None, until="completed"):
    started = start(api, graph, body).json()
    run = api.get(f"/runs/{started['id']}", params={"wait": 30}).json()
    assert run["status"] == until, run
    return started, run


def ended(api, run_id):
    """The run once it has ended; for one that was only just told through Durable's own door, look more than once."""
    for _ in range(200):
        run = api.get(f"/runs/{run_id}", params={"wait": 30}).json()
        if run["status"] != "interrupted":
            return run
        time.sleep(0.05)
    raise AssertionError(f"the run still waits: {run}")


def test_waiting_for_a_run_outlasts_the_moment_between_its_answer_and_its_resumption(api):
    started, _ = run_of(api, "ask", until="interrupted")
    assert api.post(f"/runs/{started['id']}/events/resume", json="yes").status_code == 202
    assert api.get(f"/runs/{started['id']}", params={"wait": 30}).json()["status"] == "completed"


def test_a_start_answers_with_durables_own_links(api, host):
    response = start(api, "echo")
    assert response.status_code == 202
    assert set(response.json()) == MANAGEMENT
    assert response.headers["location"] == response.json()["statusQueryGetUri"]
    assert response.headers["retry-after"]
    assert response.json()["statusQueryGetUri"].startswith(f"{host.url}/api/runs/")


def test_a_run_is_polled_until_it_has_ended(api):
    started, run = run_of(api, "echo")
    assert (run["output"], run["step"], run["next"]) == ({"out": ["a", "b"]}, 2, [])
    polled = api.get(started["statusQueryGetUri"])
    assert polled.status_code == 200
    body = polled.json()
    assert (body["runtimeStatus"], body["name"], body["instanceId"]) == ("Completed", "run_graph", started["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["createdTime"])


def test_a_waiting_run_says_what_it_waits_for_and_polls_as_running(api):
    started, run = run_of(api, "ask", until="interrupted")
    assert [(item["value"], item["node"]) for item in run["interrupts"]] == [({"question": "ok?"}, "ask")]
    polled = api.get(started["statusQueryGetUri"])
    assert polled.status_code == 202
    assert polled.headers["location"] == started["statusQueryGetUri"]
    assert (polled.json()["runtimeStatus"], polled.json()["status"]) == ("Running", "interrupted")


@pytest.mark.parametrize("event", ["resume", "approval"])
def test_an_answer_resumes_the_run(api, event):
    started, _ = run_of(api, "ask", until="interrupted")
    answered = api.post(started["sendEventPostUri"].replace("{eventName}", event), json={"approved": True})
    assert (answered.status_code, answered.json()["waiting_for"]) == (202, [])
    assert ended(api, started["id"])["output"] == {"out": ["before", {"approved": True}]}


def test_the_same_answer_again_is_the_first_ones_result_and_another_is_refused(api):
    started, _ = run_of(api, "ask", until="interrupted")
    address = f"/runs/{started['id']}/events/resume"
    assert api.post(address, json="yes").status_code == 202
    assert ended(api, started["id"])["status"] == "completed"
    assert api.post(address, json="yes").status_code == 202
    assert api.post(address, json="no").status_code == 410


def test_several_interrupts_are_answered_by_their_ids(api):
    started, run = run_of(api, "ask_two", until="interrupted")
    ids = {item["node"]: item["id"] for item in run["interrupts"]}
    address = f"/runs/{started['id']}/events/resume"
    refused = api.post(address, json="yes")
    assert refused.status_code == 409
    assert set(refused.json()["interrupts"]) == set(ids.values())
    assert api.post(address, json={ids["right"]: "r"}).json()["waiting_for"] == [ids["left"]]
    assert api.get(f"/runs/{started['id']}").json()["status"] == "interrupted"
    assert api.post(address, json={ids["left"]: "l"}).json()["waiting_for"] == []
    assert ended(api, started["id"])["output"] == {"out": [["left", "l"], ["right", "r"]]}


def test_a_breakpoint_is_continued_with_null_only(api):
    started, run = run_of(api, "stop", until="interrupted")
    assert (run["next"], run["interrupts"]) == (["b"], [])
    address = f"/runs/{started['id']}/events/resume"
    assert api.post(address, json={"yes": 1}).status_code == 422
    assert api.post(address, content="null").status_code == 202
    assert ended(api, started["id"])["output"] == {"out": ["a", "b"]}


def test_an_answer_raised_on_durables_own_webhook_resumes_the_run(api, host):
    started, _ = run_of(api, "ask", until="interrupted")
    hook = f"{host.url}/runtime/webhooks/durabletask/instances/{started['id']}/raiseEvent/resume"
    assert api.post(hook, json={"by": "hand"}).status_code == 202
    assert ended(api, started["id"])["output"] == {"out": ["before", {"by": "hand"}]}


def test_a_failed_node_is_named_with_its_error(api):
    started, run = run_of(api, "boom", until="failed")
    assert run["error"] == {"type": "ValueError", "message": "the ledger is closed", "node": "b"}
    assert api.get(started["statusQueryGetUri"]).json()["runtimeStatus"] == "Failed"


def test_a_waiting_run_is_cancelled_at_once(api):
    started, _ = run_of(api, "ask", until="interrupted")
    assert api.post(f"/runs/{started['id']}/cancel").status_code == 202
    assert ended(api, started["id"])["status"] == "cancelled"
    assert api.post(f"/runs/{started['id']}/cancel").status_code == 410


def test_a_running_run_is_cancelled_at_its_next_super_step(api):
    started = start(api, "slow").json()
    assert api.post(f"/runs/{started['id']}/cancel").status_code == 202
    run = api.get(f"/runs/{started['id']}", params={"wait": 30}).json()
    assert run["status"] == "cancelled"


def test_terminate_ends_the_run_and_frees_its_thread(api):
    started = start(api, "slow", {"input": {"out": []}, "thread_id": "to-free"}).json()
    busy = start(api, "slow", {"input": {"out": []}, "thread_id": "to-free"})
    assert busy.status_code == 409
    assert busy.json()["active_run"] == started["id"]
    assert busy.headers["retry-after"]
    assert api.post(started["terminatePostUri"].replace("{text}", "enough")).status_code == 202
    assert api.get(f"/runs/{started['id']}").json()["status"] == "terminated"
    again, _ = run_of(api, "echo", {"input": {"out": []}, "thread_id": "to-free"})
    assert again["id"] != started["id"]


def test_a_run_terminated_through_durables_own_webhook_ends_and_frees_its_thread(api, host):
    body = {"input": {"out": []}, "thread_id": "raw-terminate"}
    started, _ = run_of(api, "ask", body, until="interrupted")
    hook = f"{host.url}/runtime/webhooks/durabletask/instances/{started['id']}/terminate?reason=x"
    assert api.post(hook).status_code == 202
    for _ in range(50):
        run = api.get(f"/runs/{started['id']}").json()
        if run["status"] == "terminated":
            break
    assert run["status"] == "terminated"
    run_of(api, "echo", body)


def test_suspend_holds_a_run_and_resume_lets_it_go_on(api):
    started, _ = run_of(api, "ask", until="interrupted")
    assert api.post(started["suspendPostUri"].replace("{text}", "lunch")).status_code == 202
    for _ in range(50):
        state = api.get(started["statusQueryGetUri"]).json()["runtimeStatus"]
        if state == "Suspended":
            break
    assert state == "Suspended"
    api.post(f"/runs/{started['id']}/events/resume", json="held")
    assert api.get(f"/runs/{started['id']}").json()["status"] == "interrupted"
    assert api.post(started["resumePostUri"].replace("{text}", "back")).status_code == 202
    assert ended(api, started["id"])["output"] == {"out": ["before", "held"]}


def test_restart_starts_a_new_run_with_the_same_request(api):
    started, _ = run_of(api, "echo")
    again = api.post(started["restartPostUri"])
    assert again.status_code == 202
    assert again.json()["id"] != started["id"]
    run = api.get(f"/runs/{again.json()['id']}", params={"wait": 30}).json()
    assert run["output"] == {"out": ["a", "b", "a", "b"]}


def test_purge_forgets_an_ended_run_and_refuses_a_live_one(api):
    live, _ = run_of(api, "ask", until="interrupted")
    assert api.delete(live["purgeHistoryDeleteUri"]).status_code == 409
    started, _ = run_of(api, "echo")
    assert api.delete(started["purgeHistoryDeleteUri"]).json() == {"instancesDeleted": 1}
    assert api.get(f"/runs/{started['id']}").status_code == 404
    assert api.get(f"/threads/{started['thread_id']}/state").json()["values"] == {"out": ["a", "b"]}


def test_an_idempotency_key_gives_the_same_run_and_never_another_request(api):
    body = {"input": {"out": ["k"]}}
    first = start(api, "echo", body, **{"Idempotency-Key": "order-7"}).json()
    assert start(api, "echo", body, **{"Idempotency-Key": "order-7"}).json()["id"] == first["id"]
    other = start(api, "echo", {"input": {"out": ["z"]}}, **{"Idempotency-Key": "order-7"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_runs_are_listed_newest_first_by_pages_and_filters(api):
    made = [run_of(api, "echo", {"input": {"out": []}, "thread_id": "listed"})[0]["id"] for _ in range(3)]
    page = api.get("/runs", params={"thread_id": "listed", "limit": 2}).json()
    assert [run["id"] for run in page["runs"]] == made[:0:-1]
    rest = api.get("/runs", params={"thread_id": "listed", "limit": 2, "cursor": page["next"]}).json()
    assert ([run["id"] for run in rest["runs"]], rest["next"]) == (made[:1], None)
    failed = api.get("/runs", params={"status": "failed", "graph": "echo"}).json()
    assert failed == {"runs": [], "next": None}


def test_a_thread_has_a_state_and_a_history(api):
    started, _ = run_of(api, "echo", {"input": {"out": ["x"]}, "thread_id": "told"})
    state = api.get("/threads/told/state").json()
    assert (state["values"], state["next"], state["metadata"]["step"]) == ({"out": ["x", "a", "b"]}, [], 2)
    history = api.get("/threads/told/history").json()
    assert [item["metadata"]["step"] for item in history] == [2, 1, 0, -1]
    earlier = api.get("/threads/told/history", params={"before": history[1]["checkpoint_id"], "limit": 1}).json()
    assert earlier == history[2:3]
    at = api.get("/threads/told/state", params={"checkpoint_id": history[1]["checkpoint_id"]}).json()
    assert at["values"] == {"out": ["x", "a"]}
    assert api.get("/threads/told").json()["last_run"] == started["id"]


def test_the_thread_is_accepted_in_both_places_but_not_with_two_names(api):
    body = {"input": {"out": []}, "config": {"configurable": {"thread_id": "lesson"}}}
    assert start(api, "echo", body).json()["thread_id"] == "lesson"
    both = start(api, "echo", {**body, "thread_id": "other"})
    assert both.status_code == 422
    assert "'other'" in both.json()["detail"]
