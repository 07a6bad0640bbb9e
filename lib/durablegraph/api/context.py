"""What every handler is given."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from durablegraph.api.http import ApiRequest, Links
from durablegraph.api.instances import Instances
from durablegraph.services import Services


@dataclass(frozen=True, slots=True)
class Call:
    """One request with what is needed to answer it."""

    services: Services
    instances: Instances
    request: ApiRequest
    links: Links
    clock: Callable[[], datetime]

    @property
    def now(self) -> datetime:
        """The current time."""
        return self.clock()
