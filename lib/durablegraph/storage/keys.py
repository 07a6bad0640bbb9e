"""Where the objects of a run are."""

from functools import lru_cache

from durablegraph.model.ids import key_part, spread


def run_key(run_id: str, name: str) -> str:
    """The key of one of a run's objects; the beginning of all their keys when `name` is empty."""
    return _folder(run_id) + name


@lru_cache(maxsize=1024)
def _folder(run_id: str) -> str:
    return f"runs/{spread(run_id)}/{key_part(run_id)}/"
