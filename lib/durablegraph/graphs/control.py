"""Stops a run after a super-step, beside whatever else may stop it."""

from langgraph.runtime import RunControl
from typing_extensions import override

STEP_DONE = "durablegraph: super-step done"


class StepControl(RunControl):
    """A `RunControl` with a flag of ours: "this super-step was the last of the call".

    Nodes see it as their `runtime.control`, so a drain that they ask for goes to the caller's control, where there is
    one, and stays there.
    """

    __slots__ = ("_caller", "_step_done")

    def __init__(self, caller: RunControl | None = None) -> None:
        super().__init__()
        self._caller = caller
        self._step_done = False

    @override
    def request_drain(self, reason: str = "shutdown") -> None:
        if self._caller is not None:
            self._caller.request_drain(reason)
        else:
            super().request_drain(reason)

    def end_step(self) -> None:
        """Stop before the next super-step begins."""
        self._step_done = True

    @property
    def step_done(self) -> bool:
        """Whether `end_step` was called."""
        return self._step_done

    @property
    def drained_by_caller(self) -> str | None:
        """The reason for which somebody else than us drains the run."""
        if self._caller is not None:
            return self._caller.drain_reason
        return super().drain_reason

    @property
    @override
    def drain_requested(self) -> bool:
        return self._step_done or self.drained_by_caller is not None

    @property
    @override
    def drain_reason(self) -> str | None:
        return self.drained_by_caller or (STEP_DONE if self._step_done else None)
