"""Marks: what the supervisor finds under ``live/``."""

from dataclasses import dataclass
from typing import Final

from durablegraph.model.records import RunRecord

LIVE: Final = "live/"
DELETING: Final = "deleting"
"""In the place of a run's status: the run is being removed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An object under ``live/``. `run` is what it says of a run, None when it stands for something to be completed."""

    key: str
    note: str | None
    run: RunRecord | None

    @property
    def of_thread(self) -> bool:
        """Whether it stands for entries of a thread."""
        return self.key.startswith(f"{LIVE}threads/")

    @property
    def of_old_layout(self) -> str | None:
        """The run of a mark as it was before there were lists: ``live/{run}``. None for all others."""
        name = self.key.removeprefix(LIVE)
        return None if "/" in name else name
