"""A request to the durable API and its response, as plain values, and the shapes of its errors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"
_STACK = (
    "   at Microsoft.Azure.WebJobs.Extensions.DurableTask.HttpApiHandler.HandleRequestAsync(HttpRequestMessage request)"
)


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """A request as the front hands it over; header names are lower case.

    `parts` are the decoded path segments below the API's root, `origin` is scheme and authority that the caller used,
    `url` the whole address.
    """

    method: str
    parts: Sequence[str]
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    origin: str = "http://localhost:7071"
    url: str = ""

    def parameter(self, name: str) -> str | None:
        """A query parameter by name, whatever its case."""
        return next((value for key, value in self.query if key.lower() == name.lower()), None)

    def parameters(self, name: str) -> list[str]:
        """Every value of a repeated or comma-separated query parameter."""
        return [
            item.strip()
            for key, value in self.query
            if key.lower() == name.lower()
            for item in value.split(",")
            if item.strip()
        ]

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean parameter; anything but true and false counts as the default."""
        return {"true": True, "false": False}.get((self.parameter(name) or "").strip().lower(), default)

    def number(self, name: str, default: int) -> int:
        """A whole-number parameter; anything else counts as the default."""
        try:
            return int(self.parameter(name) or "")
        except ValueError:
            return default

    def text(self) -> str:
        """The body as text, without a byte order mark."""
        return self.body.decode("utf-8", "replace").removeprefix("\ufeff")


@dataclass(frozen=True, slots=True)
class ManagementResponse:
    """`headers` are complete but for what the server itself adds."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def empty(status: int) -> ManagementResponse:
    """A response without a body."""
    return ManagementResponse(status)


def raw_json(status: int, text: str, headers: Mapping[str, str] | None = None) -> ManagementResponse:
    """A response whose body is this JSON text."""
    return ManagementResponse(status, {**(headers or {}), "Content-Type": JSON}, text.encode("utf-8", "replace"))


def as_json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> ManagementResponse:
    """A response whose body is this value as JSON."""
    return raw_json(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")), headers)


def message(status: int, text: str) -> ManagementResponse:
    """An error of the API's own."""
    return as_json(status, {"Message": text})


def exception(status: int, headline: str, text: str, kind: str) -> ManagementResponse:
    """An error that a .NET exception of class `kind` was behind."""
    return as_json(status, {"Message": headline, "ExceptionMessage": text, "ExceptionType": kind, "StackTrace": _STACK})


def bad_argument(text: str, kind: str = "System.ArgumentException") -> ManagementResponse:
    """400 for an argument that the engine refused."""
    return exception(400, "One or more of the arguments submitted is incorrect", text, kind)


def broken(text: str, kind: str = "System.InvalidOperationException") -> ManagementResponse:
    """500, as the real API answers whatever it did not expect."""
    return exception(500, "Something went wrong while processing your request", text, kind)
