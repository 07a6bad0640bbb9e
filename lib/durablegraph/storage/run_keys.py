"""Where the objects of a run are."""

from durablegraph.model.ids import key_part, spread


def run_key(run_id: str, name: str) -> str:
    """The key of one of a run's objects; the beginning of all their keys when `name` is empty."""
    return f"runs/{spread(run_id)}/{key_part(run_id)}/{name}"
