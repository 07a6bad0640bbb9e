"""Keeping a thread short while a run is under way, so that a run of any length takes up the same room."""

from langgraph.checkpoint.base import BaseCheckpointSaver

from durablegraph.graphs.contract import StepOutcome
from durablegraph.graphs.journal import RUN_KEY
from durablegraph.model.messages import Cursor
from durablegraph.storage.checkpoints import BlobCheckpointSaver

EVERY = 100
"""Super-steps from one time to the next: about seven requests each time, so 0.07 a super-step."""


async def thin(
    saver: BaseCheckpointSaver[str], thread_id: str, keep_last: int | None, at: Cursor, outcome: StepOutcome
) -> None:
    """Keep the newest checkpoints only, where the super-steps of this call went past a multiple of `EVERY`.

    What a repeated delivery of this call looks for stays: the checkpoint that the call began from, and its
    successors. A run that was started from an earlier checkpoint is left alone until it has ended, for its subgraphs go
    by checkpoints of the time before.
    """
    if not keep_last or not outcome.commits or outcome.replay is not None or not isinstance(saver, BlobCheckpointSaver):
        return
    before = outcome.step - outcome.commits - 1 if at.step is None else at.step
    if outcome.step // EVERY > before // EVERY:
        await saver.akeep_last(thread_id, max(keep_last, outcome.commits + 1), run_key=RUN_KEY)
