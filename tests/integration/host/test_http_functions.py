"""HTTP functions of real apps in the real command."""

import json

import httpx
import pytest

from tests.support.embedded import hosting, write_app

APP = """
    import asyncio, json, logging, os, threading
    import azure.functions as func

    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    LOOPS = set()

    @app.route(route="items/{id:int}/{part?}", methods=["GET", "POST"])
    def item(req: func.HttpRequest) -> func.HttpResponse:
        shown = {
            "method": req.method, "url": req.url, "params": dict(req.params), "route": dict(req.route_params),
            "headers": {k: v for k, v in req.headers.items() if k.startswith("x-")}, "body": req.get_body().decode(),
        }
        return func.HttpResponse(json.dumps(shown), mimetype="application/json", headers={"X-Served-By": "item"})

    @app.route(route="text", auth_level=func.AuthLevel.ANONYMOUS)
    def text(req) -> str:
        return '{"a":1}'

    @app.route(route="fails")
    def fails(req):
        raise ValueError("boom of the app")

    @app.route(route="nothing")
    def nothing(req):
        return None

    @app.route(route="loop")
    async def loop(req):
        LOOPS.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.01)
        main = threading.current_thread() is threading.main_thread()
        return func.HttpResponse(json.dumps({"loops": len(LOOPS), "main": main}))

    @app.route(route="who")
    def who(req, context: func.Context):
        logging.info("logged by the app")
        print("printed by the app")
        return func.HttpResponse(json.dumps({
            "pid": os.getpid(), "name": context.function_name, "directory": context.function_directory,
            "setting": os.environ.get("FROM_FILE"), "taken": os.environ.get("FROM_BOTH"),
            "host": os.environ["WEBSITE_HOSTNAME"], "runtime": os.environ["FUNCTIONS_WORKER_RUNTIME"],
            "cwd": os.getcwd(),
        }))

    @app.route(route="manage", auth_level=func.AuthLevel.ADMIN)
    def manage(req):
        return func.HttpResponse("managed")
"""
SETTINGS = '{"Values": {"FROM_FILE": "file", "FROM_BOTH": "file"}, "Host": {"CORS": "http://page.example"}}'


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    app = write_app(tmp_path_factory.mktemp("http") / "app", APP, local_settings_json=SETTINGS)
    (app / "local_settings.json").unlink(missing_ok=True)
    (app / "local.settings.json").write_text(SETTINGS, encoding="utf-8")
    with hosting(app, FROM_BOTH="environment") as running:
        yield running


def test_a_request_arrives_as_it_was_sent_and_the_response_comes_back(host):
    answer = host.post(
        "/API/Items/7/a%20b?x=1&x=2&empty=",
        content=b'{"k": 1}',
        headers={"X-One": "1"},
    )
    assert answer.status_code == 200
    assert answer.headers["x-served-by"] == "item"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "method": "POST",
        "url": f"{host.base}/API/Items/7/a%20b?x=1&x=2&empty=",
        "params": {"x": "1,2"},
        "route": {"id": "7", "part": "a b"},
        "headers": {"x-one": "1"},
        "body": '{"k": 1}',
    }


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/api/items/7"), ("GET", "/api/items/x"), ("GET", "/items/7")])
def test_a_wrong_method_type_or_prefix_is_404(host, method, path):
    answer = host.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_a_returned_text_that_is_json_is_shown_indented(host):
    answer = host.get("/api/text")
    assert (answer.text, answer.headers["content-type"]) == ('{\n  "a": 1\n}', "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", ["/api/fails", "/api/nothing"])
def test_an_exception_or_no_response_is_500_without_a_body(host, path):
    answer = host.get(path)
    assert (answer.status_code, answer.content) == (500, b"")


def test_the_terminal_shows_what_the_app_raised(host):
    host.get("/api/fails")
    host.log_until("ValueError: boom of the app")


def test_all_async_functions_share_one_loop(host):
    host.get("/api/loop")
    assert host.get("/api/loop").json() == {"loops": 1, "main": True}


def test_the_app_sees_its_settings_and_its_folder(host):
    got = host.get("/api/who").json()
    assert got["pid"] != host.process.pid
    assert (got["name"], got["directory"], got["cwd"]) == ("who", str(host.app), str(host.app))
    assert (got["setting"], got["taken"], got["runtime"]) == ("file", "environment", "python")
    assert got["host"] == host.base.replace("http://127.0.0.1", "localhost")
    host.log_until("logged by the app")
    host.log_until("printed by the app")


def test_without_keys_everybody_is_an_admin(host):
    assert host.get("/api/manage").text == "managed"


def test_the_admin_api_tells_state_and_functions(host):
    assert host.get("/admin/host/status").json()["state"] == "Running"
    functions = {each["name"]: each for each in host.get("/admin/functions").json()}
    assert functions["item"]["invoke_url_template"] == f"{host.base}/api/items/{{id:int}}/{{part?}}"
    assert host.get("/admin/functions/ITEM").json()["name"] == "item"
    assert host.get("/admin/functions/none").status_code == 404


def test_browsers_of_allowed_origins_may_call_and_others_may_not(host):
    allowed = host.get("/api/text", headers={"Origin": "http://page.example"})
    other = host.get("/api/text", headers={"Origin": "http://other.example"})
    assert allowed.headers["access-control-allow-origin"] == "http://page.example"
    assert "access-control-allow-origin" not in other.headers


def test_the_home_page_lists_the_routes(host):
    assert "/api/items/{id:int}/{part?}" in host.get("/").text


def test_with_keys_each_level_asks_for_its_key(tmp_path):
    app = write_app(tmp_path / "app", APP)
    with hosting(app, "--enable-auth") as host:
        keys = json.loads((host.state / "secrets.json").read_text())
        master, of_host = keys["masterKey"], keys["functionKeys"]["default"]
        system = keys["systemKeys"]["durabletask_extension"]
        own = host.get("/admin/functions/item/keys", headers={"x-functions-key": master}).json()["keys"][0]["value"]

        def status(path, key=None):
            return host.get(path, headers={"x-functions-key": key} if key else {}).status_code

        assert status("/api/text") == 200
        assert [status("/api/items/1", key) for key in (None, "wrong", system)] == [401, 401, 401]
        assert [status("/api/items/1", key) for key in (master, of_host, own)] == [200, 200, 200]
        assert host.get(f"/api/items/1?code={own}").status_code == 200
        assert host.get(f"/api/items/1?code={own}", headers={"x-functions-key": "wrong"}).status_code == 401
        assert status("/api/loop", own) == 401
        assert [status("/api/manage", key) for key in (None, of_host, master)] == [401, 401, 200]
        assert [status("/admin/host/status", key) for key in (None, of_host, master)] == [401, 401, 200]
        webhook = "/runtime/webhooks/durabletask/instances/none"
        assert [status(webhook, key) for key in (None, "wrong", of_host)] == [401, 401, 403]
        assert [status(webhook, key) for key in (system, master)] == [404, 404]
        assert status("/admin/host/ping") == 200


def test_requests_beyond_the_queue_are_refused(tmp_path):
    code = """
        import asyncio
        import azure.functions as func
        app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

        @app.route(route="slow")
        async def slow(req):
            await asyncio.sleep(1)
            return func.HttpResponse("done")
    """
    app = write_app(tmp_path / "app", code)
    limits = {"version": "2.0", "extensions": {"http": {"maxConcurrentRequests": 1, "maxOutstandingRequests": 2}}}
    (app / "host.json").write_text(json.dumps({**limits}), encoding="utf-8")

    async def answers(base):
        import asyncio

        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            return await asyncio.gather(*[client.get("/api/slow") for _ in range(4)])

    with hosting(app) as host:
        import asyncio

        got = asyncio.run(answers(host.base))
    assert sorted(each.status_code for each in got) == [200, 200, 429, 429]
    assert {each.headers.get("x-function-scaleout") for each in got if each.status_code == 429} == {"1"}
