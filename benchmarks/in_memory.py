"""The peer durabletask: its own worker on its in-memory backend."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from durabletask import worker
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.testing import create_test_backend

from benchmarks.serving import free_port

_QUIET = logging.getLogger("benchmarks.durabletask")
"""It else tells the console of every turn, which would slow down what is measured."""
_QUIET.setLevel(logging.ERROR)


@contextlib.contextmanager
def durabletask_in_memory(
    orchestrator: Callable[..., Any], activity: Callable[..., Any]
) -> Iterator[TaskHubGrpcClient]:
    """A client of a hub whose worker serves one orchestrator and one activity."""
    port = free_port()
    address = f"localhost:{port}"
    backend = create_test_backend(port=port, max_history_size=1_000_000)
    try:
        with worker.TaskHubGrpcWorker(host_address=address, logger=_QUIET) as peer:
            peer.add_orchestrator(orchestrator)
            peer.add_activity(activity)
            peer.start()
            yield TaskHubGrpcClient(host_address=address, logger=_QUIET)
    finally:
        backend.stop()


def completed(hub: TaskHubGrpcClient, instance: str) -> None:
    """Wait until an instance has completed."""
    done = hub.wait_for_orchestration_completion(instance, timeout=600)
    assert done is not None
    assert done.runtime_status is OrchestrationStatus.COMPLETED, done
