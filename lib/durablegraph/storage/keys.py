"""Where the objects of runs and threads are."""

from functools import lru_cache

from durablegraph.model.ids import key_part, spread_part


def run_key(run_id: str, name: str) -> str:
    """The key of one of a run's objects; the beginning of all their keys when `name` is empty."""
    return _folder(run_id) + name


@lru_cache(maxsize=1024)
def _folder(run_id: str) -> str:
    return f"runs/{spread_part(run_id)}/"


def thread_key(thread_id: str) -> str:
    """The key of a thread's record."""
    return f"threads/{spread_part(thread_id)}"


def thread_marks(thread_id: str) -> str:
    """The beginning of the keys of a thread's marks (see `storage.threads`)."""
    return f"live/threads/{key_part(thread_id)}/"
