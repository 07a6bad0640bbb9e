"""The names that a Durable task hub and outside callers know; once published they do not change."""

RUN_ORCHESTRATOR = "run_graph"
"""The orchestrator function that carries a run."""

ADVANCE_ACTIVITY = "advance_run"
"""The activity that executes one super-step, or looks for answers, and returns the next decision."""

TASKS_ACTIVITY = "run_tasks"
"""The activity that executes some tasks of a super-step; another call of `advance_run` commits them."""

RESUME_EVENT = "resume"
"""The external event that answers an interrupt, or tells that an answer is stored."""

APPROVAL_EVENT = "approval"
"""An alias of `resume` for user interfaces that speak of approvals."""

CANCEL_EVENT = "cancel"
"""The external event that tells that a cancellation is stored."""

ANSWER_EVENTS = (RESUME_EVENT, APPROVAL_EVENT)

DOORBELL = "durablegraph:doorbell"
"""The payload of an event that carries nothing: what it announces is in the store."""
