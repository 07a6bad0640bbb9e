import json

from durablegraph.host.front.binding import ClientBinding

BINDING = ClientBinding(
    hub="my hub",
    connection="Storage",
    system_key="k",
    rpc_url="http://127.0.0.1:17071/durabletask/",
    origin="http://localhost:7071",
)
WEBHOOK = "http://localhost:7071/runtime/webhooks/durabletask"


def test_the_text_holds_every_member_that_the_sdk_reads():
    got = json.loads(BINDING.text())
    assert got["taskHubName"] == "my hub"
    assert got["rpcBaseUrl"] == "http://127.0.0.1:17071/durabletask/"
    assert got["requiredQueryStringParameters"] == "code=k"
    assert got["managementUrls"] == {
        "id": "INSTANCEID",
        "statusQueryGetUri": f"{WEBHOOK}/instances/INSTANCEID?taskHub=my%20hub&connection=Storage&code=k",
        "sendEventPostUri": (
            f"{WEBHOOK}/instances/INSTANCEID/raiseEvent/{{eventName}}?taskHub=my%20hub&connection=Storage&code=k"
        ),
        "terminatePostUri": (
            f"{WEBHOOK}/instances/INSTANCEID/terminate?reason={{text}}&taskHub=my%20hub&connection=Storage&code=k"
        ),
        "rewindPostUri": (
            f"{WEBHOOK}/instances/INSTANCEID/rewind?reason={{text}}&taskHub=my%20hub&connection=Storage&code=k"
        ),
        "purgeHistoryDeleteUri": f"{WEBHOOK}/instances/INSTANCEID?taskHub=my%20hub&connection=Storage&code=k",
        "restartPostUri": f"{WEBHOOK}/instances/INSTANCEID/restart?taskHub=my%20hub&connection=Storage&code=k",
        "suspendPostUri": (
            f"{WEBHOOK}/instances/INSTANCEID/suspend?reason={{text}}&taskHub=my%20hub&connection=Storage&code=k"
        ),
        "resumePostUri": (
            f"{WEBHOOK}/instances/INSTANCEID/resume?reason={{text}}&taskHub=my%20hub&connection=Storage&code=k"
        ),
    }


def test_links_are_built_on_the_address_that_the_caller_used():
    got = json.loads(BINDING.text("https://public.example"))
    assert got["baseUrl"] == "https://public.example/runtime/webhooks/durabletask"


def test_a_binding_may_name_another_hub():
    got = json.loads(BINDING.text(hub="other", connection="Second"))
    assert (got["taskHubName"], got["connectionName"]) == ("other", "Second")
    assert "taskHub=other&connection=Second" in got["managementUrls"]["restartPostUri"]
