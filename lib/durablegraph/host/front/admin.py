"""The endpoints under /admin that tools rely on: status, functions, keys.

Source: the host's admin API. A caller needs the master key, except for ping; without keys everyone is an admin.
"""

import json
import os
import platform
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from durablegraph.host.front.exchange import origin
from durablegraph.host.front.functions import FunctionTable
from durablegraph.host.front.keys import KeyRing, fresh_key
from durablegraph.host.invocation import FunctionIndex, FunctionInfo

HOST_VERSION = "4.1037.0.0"
_KEY_KINDS = {"keys": "host", "functionkeys": "host", "systemkeys": "system"}
_NOT_FOUND = 404

Trigger = Callable[[FunctionInfo, Any], Awaitable[bool]]


class AdminApi:
    """Answers /admin requests. `trigger` starts a function by hand and says whether its kind can be started so."""

    def __init__(self, keys: KeyRing, trigger: Trigger, uptime: Callable[[], float], host_id: str) -> None:
        self._keys = keys
        self._trigger = trigger
        self._uptime = uptime
        self._host_id = host_id
        self._instance = uuid.uuid4().hex
        self.state = "Initializing"
        self.index = FunctionIndex(())
        self.table = FunctionTable(self.index, "")

    async def respond(self, request: Request, parts: list[str]) -> Response:
        """Answer for the path below /admin, split at slashes and in lower case except for names."""
        match [parts[0].lower() if parts else "", *parts[1:]]:
            case ["host", what] if what.lower() == "status":
                return JSONResponse(self._status())
            case ["host", what] if what.lower() == "ping":
                return Response(status_code=200)
            case ["host", what, *name] if what.lower() in _KEY_KINDS:
                return await self._host_keys(request, _KEY_KINDS[what.lower()], name)
            case ["functions"] if request.method == "GET":
                return JSONResponse([self._describe(request, each) for each in self.index.functions])
            case ["functions", name, *rest]:
                return await self._function(request, name, [part.lower() for part in rest[:1]] + rest[1:])
        return Response(status_code=_NOT_FOUND)

    def _status(self) -> dict[str, Any]:
        errors = {**self.index.errors, **self.table.errors}
        status: dict[str, Any] = {
            "id": self._host_id,
            "state": self.state,
            "version": HOST_VERSION,
            "versionDetails": HOST_VERSION,
            "platformVersion": "",
            "instanceId": self._instance,
            "computerName": platform.node(),
            "processUptime": int(self._uptime() * 1000),
            "functionAppContentEditingState": "NotAllowed",
            "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "4.29.0"},
        }
        if errors:
            status["errors"] = [f"The '{name}' function is in error: {text}" for name, text in errors.items()]
        return status

    async def _function(self, request: Request, name: str, rest: list[str]) -> Response:
        function = next((each for each in self.index.functions if each.name.lower() == name.lower()), None)
        if function is None:
            return Response(status_code=_NOT_FOUND)
        match [request.method, *rest]:
            case ["GET"]:
                return JSONResponse(self._describe(request, function))
            case ["GET", "status"]:
                text = self.table.errors.get(function.name)
                return JSONResponse({"errors": [text]} if text else {})
            case ["POST"]:
                return await self._start(request, function)
            case [_, "keys", *key]:
                return await self._keys_of(request, self._keys.function_keys(function.name), key)
        return Response(status_code=_NOT_FOUND)

    async def _start(self, request: Request, function: FunctionInfo) -> Response:
        text = await request.body()
        try:
            given = json.loads(text).get("input") if text else None
        except (ValueError, AttributeError):
            return Response('Expected a JSON object with the member "input".', status_code=400)
        started = await self._trigger(function, given)
        if started:
            return Response(status_code=202)
        return Response(f"A function of kind {function.kind} cannot be started by hand.", status_code=400)

    async def _host_keys(self, request: Request, kind: str, name: list[str]) -> Response:
        return await self._keys_of(request, self._keys.host if kind == "host" else self._keys.system, name)

    async def _keys_of(self, request: Request, keys: dict[str, str], name: list[str]) -> Response:
        if not name:
            return JSONResponse({"keys": [{"name": each, "value": value} for each, value in keys.items()], "links": []})
        key = name[0]
        if request.method == "GET":
            return _one_key(keys, key)
        if request.method == "DELETE":
            if keys.pop(key, None) is None:
                return Response(status_code=_NOT_FOUND)
            self._keys.save()
            return Response(status_code=204)
        created = key not in keys
        given = json.loads(await request.body() or b"{}").get("value") if request.method == "PUT" else None
        if key == "_master":
            self._keys.master = given or fresh_key()
        else:
            keys[key] = given or fresh_key()
        self._keys.save()
        value = self._keys.master if key == "_master" else keys[key]
        return JSONResponse({"name": key, "value": value}, status_code=201 if created else 200)

    def _describe(self, request: Request, function: FunctionInfo) -> dict[str, Any]:
        here = f"{origin(request)}/admin/functions/{function.name}"
        return {
            "name": function.name,
            "script_root_path_href": None,
            "script_href": None,
            "config_href": None,
            "test_data_href": None,
            "href": here,
            "invoke_url_template": self._invoke_url(request, function),
            "language": "python",
            "config": {
                "name": function.name,
                "scriptFile": os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py"),
                "language": "python",
                "bindings": [
                    _binding(each.name, each.type, each.direction, each.settings) for each in function.bindings
                ],
            },
            "files": None,
            "test_data": None,
            "isDisabled": False,
            "isDirect": True,
            "isProxy": False,
        }

    def _invoke_url(self, request: Request, function: FunctionInfo) -> str | None:
        for each in self.table.functions:
            if each.function.name == function.name:
                return f"{origin(request)}/{each.route.template}".lower()
        return None


def _one_key(keys: Mapping[str, str], name: str) -> Response:
    if name not in keys:
        return Response(status_code=_NOT_FOUND)
    return JSONResponse({"name": name, "value": keys[name]})


def _binding(name: str, type_: str, direction: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"direction": direction.upper(), "type": type_, "name": name, **settings}
