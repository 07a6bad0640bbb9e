"""What an owner or a caller may say about super-steps with several tasks."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

When = Literal["auto", "never", "always"]
FAILURES = r"^(all|best_effort|at_least:([1-9]\d{0,5}|([1-9]\d?|100)%))$"
"""``all`` tasks must succeed; ``at_least:N`` of them, or ``at_least:P%``; ``best_effort``: none need to."""


class FanOutPolicy(BaseModel):
    """How super-steps with several tasks are executed; what is None is left to whoever is asked next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: When | None = Field(default=None, description="Whether tasks are activities of their own.")
    width: int | None = Field(default=None, ge=1, le=1000, description="Tasks of a super-step in flight at a time.")
    failures: str | None = Field(
        default=None,
        pattern=FAILURES,
        description="How many tasks must succeed: `all`, `at_least:3`, `at_least:80%` or `best_effort`.",
    )

    def over(self, other: "FanOutPolicy | None") -> "FanOutPolicy":
        """This policy, and what `other` says where this one says nothing."""
        if other is None or not self.model_fields_set:
            return other or self
        ours = self.model_dump(exclude_none=True)
        return other.model_copy(update=ours)


def needed(failures: str, tasks: int) -> int:
    """How many of so many tasks must succeed."""
    if failures == "best_effort":
        return 0
    if failures == "all":
        return tasks
    amount = failures.removeprefix("at_least:")
    wanted = math.ceil(tasks * int(amount[:-1]) / 100) if amount.endswith("%") else int(amount)
    return min(wanted, tasks)
