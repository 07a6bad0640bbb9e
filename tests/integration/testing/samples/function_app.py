"""The textbook patterns of Durable Functions, as anybody would write them: nothing here knows this project."""

import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func
import ledger

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance = await client.start_new(req.route_params["name"], None, json.loads(req.get_body() or b"null"))
    return client.create_check_status_response(req, instance)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *")
def sweep(timer: func.TimerRequest) -> None:
    ledger.note("swept")


@app.orchestration_trigger(context_name="context")
def ask_for_approval(context):
    """Waits for a person for 72 hours, then escalates."""
    request = context.get_input()
    yield context.call_activity("send_request", request)
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=72))
    answer = context.wait_for_external_event("Approval")
    winner = yield context.task_any([answer, timer])
    if winner is answer:
        timer.cancel()
        return f"approved by {answer.result}"
    return (yield context.call_activity("escalate", request))


@app.orchestration_trigger(context_name="context")
def monitor(context):
    """Looks every ten minutes whether a job is done."""
    job = context.get_input()
    looks = 0
    while True:
        looks += 1
        if (yield context.call_activity("look", {"job": job, "look": looks})) == "done":
            return looks
        yield context.create_timer(context.current_utc_datetime + timedelta(minutes=10))


@app.orchestration_trigger(context_name="context")
def nightly(context):
    """An eternal loop: each night one round, then as new."""
    state = context.get_input()
    yield context.create_timer(context.current_utc_datetime + timedelta(days=1))
    yield context.call_activity("clean", state["round"])
    context.set_custom_status(f"round {state['round']} is done")
    context.continue_as_new({"round": state["round"] + 1})


@app.orchestration_trigger(context_name="context")
def transfer(context):
    """Reads and changes an entity."""
    account = df.EntityId("account", "ada")
    for amount in context.get_input():
        yield context.call_entity(account, "add", amount)
    return (yield context.call_entity(account, "balance"))


@app.orchestration_trigger(context_name="context")
def parent(context):
    return (yield context.call_sub_orchestrator("ask_for_approval", context.get_input()))


@app.orchestration_trigger(context_name="context")
def fragile(context):
    options = df.RetryOptions(first_retry_interval_in_milliseconds=60_000, max_number_of_attempts=3)
    return (yield context.call_activity_with_retry("charge", options, context.get_input()))


@app.orchestration_trigger(context_name="context")
def gambler(context):
    """Wrong: chance in an orchestrator."""
    yield context.call_activity("clean", random.random())  # noqa: S311 -- the fault that the test looks for


@app.orchestration_trigger(context_name="context")
def waiting_for_two(context):
    first = context.wait_for_external_event("First")
    second = context.wait_for_external_event("Second")
    got = yield context.task_all([first, second])
    return got


@app.orchestration_trigger(context_name="context")
def fan_out(context):
    return (yield context.task_all([context.call_activity("meet", number) for number in range(3)]))


@app.orchestration_trigger(context_name="context")
def sleeper(context):
    yield context.call_activity("sleep", context.get_input())


@app.entity_trigger(context_name="context")
def account(context):
    balance = context.get_state(lambda: 0)
    if context.operation_name == "add":
        balance += context.get_input()
        context.set_state(balance)
    context.set_result(balance)


@app.activity_trigger(input_name="request")
def send_request(request: dict) -> None:
    ledger.note(f"asked {request['manager']}")


@app.activity_trigger(input_name="request")
def escalate(request: dict) -> str:
    ledger.note("escalated")
    return f"escalated past {request['manager']}"


@app.activity_trigger(input_name="asked")
async def look(asked: dict) -> str:
    return "done" if asked["look"] == asked["job"]["done_at_look"] else "working"


@app.activity_trigger(input_name="round")
def clean(round: float) -> None:  # noqa: A002 -- the binding's name
    ledger.note(f"cleaned {round}")


@app.activity_trigger(input_name="order")
def charge(order: dict) -> str:
    ledger.charges += 1
    if ledger.charges <= order["failures"]:
        raise ConnectionError("the bank is closed")
    return f"charged {ledger.charges}"


@app.activity_trigger(input_name="number")
async def meet(number: int) -> int:
    """How many are here at once, this one included."""
    ledger.present += 1
    await asyncio.sleep(0.05)
    present = ledger.present
    await asyncio.sleep(0.05)
    ledger.present -= 1
    return present


@app.activity_trigger(input_name="seconds")
async def sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.activity_trigger(input_name="seconds")
def here(seconds: float) -> str:
    return str(Path.cwd())
