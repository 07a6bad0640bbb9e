"""The addresses by which an instance is managed, as check-status responses give them."""

from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from durablegraph.host.management.exchange import ManagementResponse, as_json

ROOT = "/runtime/webhooks/durabletask"
_UNRESERVED = "-_.!*()"


@dataclass(frozen=True, slots=True)
class Links:
    """What all links of one hub share. `system_key` opens the API on hosts that ask for keys."""

    hub_name: str
    connection_name: str
    system_key: str

    def of(self, origin: str, instance_id: str) -> dict[str, str]:
        """The links of an instance on the address that the caller used."""
        base = f"{origin}{ROOT}/instances/{quote_plus(instance_id, safe=_UNRESERVED)}"
        hub, connection = quote(self.hub_name, safe=""), quote(self.connection_name, safe="")
        common = f"taskHub={hub}&connection={connection}&code={self.system_key}"
        return {
            "id": instance_id,
            "statusQueryGetUri": f"{base}?{common}",
            "sendEventPostUri": f"{base}/raiseEvent/{{eventName}}?{common}",
            "terminatePostUri": f"{base}/terminate?reason={{text}}&{common}",
            "purgeHistoryDeleteUri": f"{base}?{common}",
            "restartPostUri": f"{base}/restart?{common}",
            "suspendPostUri": f"{base}/suspend?reason={{text}}&{common}",
            "resumePostUri": f"{base}/resume?reason={{text}}&{common}",
        }

    def check_status(self, origin: str, instance_id: str) -> ManagementResponse:
        """202 with the links."""
        links = self.of(origin, instance_id)
        return as_json(202, links, {"Location": links["statusQueryGetUri"], "Retry-After": "10"})
