"""The durable HTTP API as plain requests and responses: statuses, bodies and the order of its checks."""

import json
from collections.abc import AsyncIterator

import azure.durable_functions as df
import pytest

from durablegraph.host.hub.client import encode
from durablegraph.host.hub.taskhub import TaskHub
from durablegraph.host.management.api import ManagementApi
from durablegraph.host.management.exchange import ManagementRequest, ManagementResponse
from tests.support.hub_worker import SdkWorker

JSON = {"content-type": "application/json"}


class Asking:
    """An API and its hub, asked by method and path."""

    def __init__(self, hub: TaskHub) -> None:
        self.hub = hub
        self.api = ManagementApi(hub, "the-key")

    async def __call__(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> ManagementResponse:
        path, _, query = path.partition("?")
        pairs = [tuple(item.split("=", 1)) for item in query.split("&") if item]
        request = ManagementRequest(
            method, path.split("/"), pairs, headers or {}, body.encode(), "http://h:1", f"http://h:1/{path}"
        )
        return await self.api.respond(request)


def make_app() -> df.DFApp:
    app = df.DFApp()

    @app.orchestration_trigger(context_name="context")
    def waits(context):
        got = yield context.wait_for_external_event("Go")
        return got

    @app.orchestration_trigger(context_name="context")
    def fails(context):
        raise ValueError("no")

    @app.orchestration_trigger(context_name="context")
    def returns(context):
        return context.get_input()

    return app


@pytest.fixture
async def ask() -> AsyncIterator[Asking]:
    worker = SdkWorker(make_app())
    hub = TaskHub.open(":memory:", worker=worker, index=worker.index)
    await hub.start()
    yield Asking(hub)
    await hub.stop()


def body(response: ManagementResponse):
    return json.loads(response.body)


async def test_a_start_answers_with_eight_links_on_the_callers_own_address(ask):
    response = await ask("POST", "orchestrators/waits/a b")
    links = body(response)
    assert response.status == 202
    operations = "statusQueryGet sendEventPost terminatePost purgeHistoryDelete restartPost suspendPost resumePost"
    assert set(links) == {"id", *(f"{operation}Uri" for operation in operations.split())}
    base = "http://h:1/runtime/webhooks/durabletask/instances/a+b"
    assert links["statusQueryGetUri"] == f"{base}?taskHub=TestHubName&connection=Storage&code=the-key"
    assert (response.headers["Location"], response.headers["Retry-After"]) == (links["statusQueryGetUri"], "10")


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("{", 500, "Unexpected end when reading JSON. Path '', line 1, position 1."),
        ("not json", 400, "Unexpected character encountered while parsing value: n. Path '', line 0, position 0."),
        (
            '{"a":1} trailing',
            400,
            "Additional text encountered after finished reading JSON content: t. Path '', line 1, position 8.",
        ),
    ],
)
async def test_a_start_with_a_body_that_is_no_json_is_refused(ask, text, status, says):
    response = await ask("POST", "orchestrators/waits", text)
    assert (response.status, body(response)["ExceptionMessage"]) == (status, says)


async def test_a_start_over_a_live_instance_is_a_conflict(ask):
    await ask("POST", "orchestrators/waits/x")
    response = await ask("POST", "orchestrators/waits/x")
    assert response.status == 409
    assert "already exists" in body(response)["Message"]


async def test_a_start_that_waits_gets_the_output_itself(ask):
    response = await ask("POST", "orchestrators/returns?timeout=5&pollingInterval=1", encode({"k": [1]}))
    assert (response.status, body(response)) == (200, {"k": [1]})


async def test_a_running_instance_is_202_with_its_own_address_and_an_ended_one_200(ask):
    await ask("POST", "orchestrators/waits/x")
    await ask.hub.settled()
    running = await ask("GET", "instances/x")
    assert (running.status, running.headers["Location"], running.headers["Retry-After"]) == (
        202,
        "http://h:1/instances/x",
        "5",
    )
    assert (await ask("POST", "instances/x/raiseEvent/Go", '{"a": 1}', JSON)).status == 202
    await ask.hub.settled()
    ended = await ask("GET", "instances/x?showHistory=true&showHistoryOutput=true")
    assert (ended.status, body(ended)["output"]) == (200, {"a": 1})
    assert [item["EventType"] for item in body(ended)["historyEvents"]] == [
        "ExecutionStarted",
        "EventRaised",
        "ExecutionCompleted",
    ]


async def test_a_failed_instance_is_500_only_when_asked_for(ask):
    await ask("POST", "orchestrators/fails/x")
    await ask.hub.settled()
    assert (await ask("GET", "instances/x")).status == 200
    assert (await ask("GET", "instances/x?returnInternalServerErrorOnFailure=true")).status == 500


async def test_an_event_is_checked_in_the_real_order(ask):
    await ask("POST", "orchestrators/waits/x")
    await ask("POST", "orchestrators/returns/done")
    await ask.hub.settled()
    assert (await ask("POST", "instances/nosuch/raiseEvent/E", "x")).status == 404
    assert (await ask("POST", "instances/done/raiseEvent/E", "x")).status == 410
    wrong = await ask("POST", "instances/x/raiseEvent/E", "x", {"content-type": "text/plain"})
    assert (wrong.status, body(wrong)["Message"]) == (400, "Only application/json request content is supported")
    assert body(await ask("POST", "instances/x/raiseEvent/E", "x", JSON))["Message"] == "Invalid JSON content"


async def test_suspending_twice_and_resuming_a_running_instance_are_500(ask):
    await ask("POST", "orchestrators/waits/x")
    await ask.hub.settled()
    assert (await ask("POST", "instances/x/resume")).status == 500
    assert (await ask("POST", "instances/x/suspend?reason=r")).status == 202
    await ask.hub.settled()
    assert (
        "because instance is in the Suspended state"
        in body(await ask("POST", "instances/x/suspend"))["ExceptionMessage"]
    )


async def test_only_a_failed_instance_can_be_rewound_and_only_an_ended_one_purged(ask):
    await ask("POST", "orchestrators/waits/x")
    await ask.hub.settled()
    assert (await ask("POST", "instances/x/rewind")).status == 412
    assert (await ask("DELETE", "instances/x")).status == 412
    await ask("POST", "instances/x/terminate?reason=r")
    await ask.hub.settled()
    assert body(await ask("DELETE", "instances/x")) == {"instancesDeleted": 1}
    assert (await ask("DELETE", "instances/x")).status == 404


async def test_a_listing_pages_by_token_and_answers_nothing_to_a_bad_one(ask):
    for name in "abc":
        await ask("POST", f"orchestrators/waits/{name}")
    page = await ask("GET", "instances?top=2")
    assert [item["instanceId"] for item in body(page)] == ["a", "b"]
    token = page.headers["x-ms-continuation-token"]
    rest = await ask("GET", "instances?top=2", headers={"x-ms-continuation-token": token})
    assert ([item["instanceId"] for item in body(rest)], rest.headers["x-ms-continuation-token"]) == (["c"], "")
    assert body(await ask("GET", "instances", headers={"x-ms-continuation-token": "garbage"})) == []


async def test_purging_by_time_needs_a_beginning(ask):
    response = await ask("DELETE", "instances?createdTimeFrom=garbage")
    assert (response.status, body(response)) == (400, "Please provide value for 'createdTimeFrom' parameter.")
    assert (await ask("DELETE", "instances?createdTimeFrom=2020-01-01T00:00:00Z")).status == 404


async def test_another_hub_is_not_here_and_another_connection_cannot_be_resolved(ask):
    await ask("POST", "orchestrators/waits/x")
    assert (await ask("GET", "instances/x?taskHub=other")).status == 404
    assert body(await ask("GET", "instances/x?connection=other"))["ExceptionType"] == "System.InvalidOperationException"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "orchestrators/waits"), ("GET", "nosuch"), ("POST", "instances/x/raiseEvent"), ("PUT", "instances/x")],
)
async def test_what_is_no_route_is_404_without_a_body(ask, method, path):
    assert await ask(method, path) == ManagementResponse(404)
