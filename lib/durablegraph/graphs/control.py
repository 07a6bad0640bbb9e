"""Stops a run after a super-step, beside whatever else may stop it.

LangGraph hands one control to a run and to every graph that runs inside it, so a drain that is meant for the subgraphs
of the running super-step needs a control of its own: a graph that a node calls by itself must not see it, for then the
node would be run again from its top. `InnerControl` is given to declared subgraphs alone.
"""

from langgraph.runtime import RunControl
from typing_extensions import override

STEP_DONE = "durablegraph: super-step done"
INNER_STEP_DONE = "durablegraph: super-step of a subgraph done"


class StepControl(RunControl):
    """A `RunControl` with a flag of ours: "this super-step was the last of the call".

    Nodes see it as their `runtime.control`, so a drain that they ask for goes to the caller's control, where there is
    one, and stays there.
    """

    __slots__ = ("_caller", "_inner_done", "_step_done")

    def __init__(self, caller: RunControl | None = None) -> None:
        super().__init__()
        self._caller = caller
        self._step_done = False
        self._inner_done = False

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

    def end_inner_step(self) -> None:
        """Stop each declared subgraph before its next super-step begins; nodes that run are not disturbed."""
        self._inner_done = True

    @property
    def inner_done(self) -> bool:
        """Whether `end_inner_step` was called."""
        return self._inner_done

    @property
    def drain_is_known(self) -> bool:
        """Whether we, or our caller, asked for a drain; else a node drained a graph of its own."""
        return self._step_done or self._inner_done or self.drained_by_caller is not None

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


class InnerControl(RunControl):
    """What declared subgraphs are given: also stopped by `end_inner_step`."""

    __slots__ = ("_outer",)

    def __init__(self, outer: StepControl) -> None:
        super().__init__()
        self._outer = outer

    @override
    def request_drain(self, reason: str = "shutdown") -> None:
        self._outer.request_drain(reason)

    @property
    @override
    def drain_requested(self) -> bool:
        return self._outer.inner_done or self._outer.drain_requested

    @property
    @override
    def drain_reason(self) -> str | None:
        return self._outer.drain_reason or (INNER_STEP_DONE if self._outer.inner_done else None)
