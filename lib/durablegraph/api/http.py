"""HTTP as values: what a route receives and what it answers, whichever framework carries it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request. Header names are lower-case; `path` holds the route's parameters, unquoted; `url` is absolute."""

    method: str
    url: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response; `body` is JSON (None with status 204 or 202: no body), or bytes of another `content_type`."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Links:
    """Absolute URLs of the API, made from the public base (scheme, host and route prefix, no slash at the end)."""

    base: str

    @classmethod
    def of(cls, request: ApiRequest, template: str, public_url: str | None) -> "Links":
        """From the configured public URL, or from the request's own: its path less the part that `template` matched."""
        if public_url:
            return cls(public_url.rstrip("/"))
        parts = urlsplit(request.url)
        depth = len([part for part in template.split("/") if part])
        kept = parts.path.rstrip("/").split("/")[: -depth or None]
        return cls(f"{parts.scheme}://{parts.netloc}{'/'.join(kept)}")

    def run(self, run_id: str, tail: str = "") -> str:
        """The address of a run, or of something below it."""
        return f"{self.base}/runs/{quote(run_id, safe='')}{tail}"

    def management(self, run_id: str) -> dict[str, str]:
        """Durable's own names for what can be done with a run, as addresses of ours."""
        return {
            "id": run_id,
            "statusQueryGetUri": self.run(run_id, "/status"),
            "sendEventPostUri": self.run(run_id, "/events/{eventName}"),
            "terminatePostUri": self.run(run_id, "/terminate?reason={text}"),
            "suspendPostUri": self.run(run_id, "/suspend?reason={text}"),
            "resumePostUri": self.run(run_id, "/resume?reason={text}"),
            "purgeHistoryDeleteUri": self.run(run_id),
            "restartPostUri": self.run(run_id, "/restart"),
        }
