"""Between the host's data and Python values, through the converters of azure-functions, as the real worker does it."""

from http.cookies import SimpleCookie
from typing import Any

import azure.functions.meta

from durablegraph.host.app.signature import converter
from durablegraph.host.invocation import Datum, HttpRequestData, HttpResponseData

NONE = Datum("none", None)


def decode(binding_type: str, datum: Datum) -> Any:
    """The value that the user's function receives. Raises what the converter raises."""
    if datum.kind == "http":
        wire = _http_request(datum.value)
    elif datum.kind == "none":
        wire = azure.functions.meta.Datum(None, None)
    else:
        wire = azure.functions.meta.Datum(datum.value, datum.kind)
    into = converter(binding_type)
    try:
        return into.decode(wire, trigger_metadata={})
    except NotImplementedError as error:
        raise TypeError(
            "unable to decode incoming TypedData: unsupported combination of TypedData field "
            f"{datum.kind!r} and expected binding type {into}",
        ) from error


def encode(binding_type: str, value: Any) -> Datum:
    """What the host receives for a returned value. Raises what the converter raises."""
    into = converter(binding_type)
    try:
        wire = into.encode(value, expected_type=None)
    except NotImplementedError as error:
        raise TypeError(
            f'unable to encode outgoing TypedData: unsupported type "{into}" for Python type "{type(value).__name__}"',
        ) from error
    if wire.value is None:
        return NONE
    return Datum("http", _http_response(wire.value)) if wire.type == "http" else Datum(wire.type, wire.value)


def _http_request(request: HttpRequestData) -> Any:
    def texts(members: Any) -> dict[str, Any]:
        return {name: azure.functions.meta.Datum(value, "string") for name, value in members.items()}

    members = {
        "method": azure.functions.meta.Datum(request.method, "string"),
        "url": azure.functions.meta.Datum(request.url, "string"),
        "headers": texts(request.headers),
        "query": texts(request.params),
        "params": texts(request.route_params),
        "body": azure.functions.meta.Datum(request.body, "bytes"),
    }
    return azure.functions.meta.Datum(members, "http")


def _http_response(members: Any) -> HttpResponseData:
    headers = [(name, datum.value) for name, datum in members["headers"].items()]
    cookies = [morsel.OutputString() for jar in members["cookies"] or () for morsel in _morsels(jar)]
    return HttpResponseData(
        status=int(members["status_code"].value),
        headers=headers + [("set-cookie", cookie) for cookie in cookies],
        body=bytes(members["body"].value),
    )


def _morsels(jar: SimpleCookie) -> Any:
    return jar.values()
