"""The text that a durable client binding receives: where the hub is and how to call it.

Source: the Durable extension 3.19's binding helper, recorded on the real engine.
"""

import json
from dataclasses import dataclass
from urllib.parse import quote

WEBHOOK_PATH = "/runtime/webhooks/durabletask"
_PLACEHOLDER_ID = "INSTANCEID"
_MANAGEMENT = {
    "statusQueryGetUri": ("", ""),
    "sendEventPostUri": ("/raiseEvent/{eventName}", ""),
    "terminatePostUri": ("/terminate", "reason={text}"),
    "rewindPostUri": ("/rewind", "reason={text}"),
    "purgeHistoryDeleteUri": ("", ""),
    "restartPostUri": ("/restart", ""),
    "suspendPostUri": ("/suspend", "reason={text}"),
    "resumePostUri": ("/resume", "reason={text}"),
}


@dataclass(frozen=True, slots=True)
class ClientBinding:
    """What the host knows about its hub. `rpc_url` ends with a slash; `origin` is the host's own public one."""

    hub: str
    connection: str
    system_key: str
    rpc_url: str
    origin: str

    def text(self, origin: str | None = None, hub: str | None = None, connection: str | None = None) -> str:
        """The JSON text; `hub` and `connection` are what the binding itself names, if it names any."""
        webhook = f"{origin or self.origin}{WEBHOOK_PATH}"
        code = f"code={self.system_key}"
        return json.dumps(
            {
                "taskHubName": hub or self.hub,
                "connectionName": connection,
                "creationUrls": {
                    "createNewInstancePostUri": f"{webhook}/orchestrators/{{functionName}}[/{{instanceId}}]?{code}",
                    "createAndWaitOnNewInstancePostUri": (
                        f"{webhook}/orchestrators/{{functionName}}[/{{instanceId}}]"
                        f"?timeout={{timeoutInSeconds}}&pollingInterval={{intervalInSeconds}}&{code}"
                    ),
                },
                "managementUrls": self._management(webhook, hub or self.hub, connection or self.connection),
                "baseUrl": webhook,
                "requiredQueryStringParameters": code,
                "rpcBaseUrl": self.rpc_url,
                "httpBaseUrl": None,
                "maxGrpcMessageSizeInBytes": None,
                "grpcHttpClientTimeout": None,
            },
        )

    def _management(self, webhook: str, hub: str, connection: str) -> dict[str, str]:
        common = f"taskHub={quote(hub, safe='')}&connection={quote(connection, safe='')}&code={self.system_key}"
        urls = {"id": _PLACEHOLDER_ID}
        for name, (path, query) in _MANAGEMENT.items():
            first = f"{query}&" if query else ""
            urls[name] = f"{webhook}/instances/{_PLACEHOLDER_ID}{path}?{first}{common}"
        return urls
