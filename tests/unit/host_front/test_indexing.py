import azure.durable_functions as df
import azure.functions as func
import pytest

from durablegraph.host.app.indexing import index_functions
from durablegraph.host.app.naming import function_error
from durablegraph.host.errors import AppLoadError
from durablegraph.host.invocation import Binding


def indexed(app):
    return index_functions(app.get_functions()).index


def test_kinds_names_and_bindings_come_from_the_decorators():
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route(route="start/{name}", methods=["POST"])
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client):
        pass

    @app.orchestration_trigger(context_name="context", orchestration="renamed")
    def loop(context):
        yield

    @app.activity_trigger(input_name="x")
    async def act(x):
        pass

    @app.entity_trigger(context_name="context", entity_name="Counter")
    def count(context):
        pass

    @app.timer_trigger(arg_name="t", schedule="0 */5 * * * *")
    def tick(t: func.TimerRequest):
        pass

    found = {each.name: each for each in indexed(app).functions}
    assert {name: (each.kind, each.durable_name, each.is_async) for name, each in found.items()} == {
        "start": ("http", "start", True),
        "loop": ("orchestrator", "renamed", False),
        "act": ("activity", "act", True),
        "count": ("entity", "Counter", False),
        "tick": ("timer", "tick", False),
    }
    assert [each.type for each in found["start"].bindings if each.direction == "in"] == ["durableClient", "httpTrigger"]
    assert found["start"].trigger.settings == {
        "methods": ["POST"],
        "authLevel": "ANONYMOUS",
        "route": "start/{name}",
    }


def test_a_binding_name_with_an_underscore_disables_its_function_and_no_other():
    app = df.DFApp()

    @app.activity_trigger(input_name="my_input")
    def bad(my_input):
        pass

    @app.activity_trigger(input_name="x")
    def good(x):
        pass

    index = indexed(app)
    assert [each.name for each in index.functions] == ["good"]
    assert index.errors == {
        "bad": "The binding name my_input is invalid. Please assign a valid name to the binding.",
    }


def test_a_trigger_of_another_extension_disables_its_function_with_an_explanation():
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="m", queue_name="q", connection="c")
    def queued(m: func.QueueMessage):
        pass

    index = indexed(app)
    assert index.functions == ()
    assert "queueTrigger" in index.errors["queued"]


def test_one_route_twice_is_an_error_of_the_second_function_unless_the_methods_differ():
    app = func.FunctionApp()

    @app.route(route="x", methods=["GET"])
    def first(req):
        pass

    @app.route(route="X/", methods=["GET", "POST"])
    def second(req):
        pass

    @app.route(route="x", methods=["DELETE"])
    def third(req):
        pass

    index = indexed(app)
    assert [each.name for each in index.functions] == ["first", "third"]
    assert index.errors == {"second": "The route specified conflicts with the route defined by function 'first'."}


def test_a_worker_level_error_aborts_the_whole_app():
    app = df.DFApp()

    @app.activity_trigger(input_name="x")
    def good(x):
        pass

    @app.activity_trigger(input_name="x")
    def bad(x: dict[str, int]):
        pass

    with pytest.raises(AppLoadError, match="cannot load the bad function"):
        indexed(app)


@pytest.mark.parametrize(
    ("name", "bindings", "text"),
    [
        ("1x", [], "'1x' is not a valid function name."),
        ("host", [], "'host' is not a valid function name."),
        ("a" * 129, [], "is not a valid function name."),
        (
            "f",
            [Binding("a", "httpTrigger", "in"), Binding("A", "http", "out")],
            "Multiple bindings with name 'A' discovered. Binding names must be unique.",
        ),
        (
            "f",
            [Binding("req", "httpTrigger", "in", {"route": "admin/x"})],
            "The specified route conflicts with one or more built in routes.",
        ),
        (
            "f",
            [Binding("context", "orchestrationTrigger", "in", {"orchestration": "@x"})],
            "Orchestration names must not start with @.",
        ),
    ],
)
def test_what_the_host_refuses_it_refuses_with_its_own_text(name, bindings, text):
    assert text in (function_error(name, bindings) or "")


def test_a_good_name_is_no_error():
    assert function_error("A-b_9", [Binding("$return", "http", "out")]) is None
