"""Tells the graph's faults from everybody else's."""

from collections.abc import Iterator
from typing import NoReturn

from langgraph.errors import GraphRecursionError

from durablegraph.errors import DurableGraphError, NodeFailed, RunError, StepLimitReached
from durablegraph.graphs.parts import Parts
from durablegraph.graphs.watching import Watching


def raise_fault(error: Exception, watching: Watching, seen: Parts) -> NoReturn:
    """Raise what an exception of the graph's run stands for.

    The graph's own fault becomes a `RunError` whose cause is the exception; what the saver raised, and the library's
    own errors, pass through as they are.
    """
    chain = list(_causes(error))
    if isinstance(error, DurableGraphError) and not isinstance(error, RunError):
        raise error
    if broken := next((each for each in watching.broken if any(link is each for link in chain)), None):
        if not isinstance(broken, TypeError):
            raise error
        raise NodeFailed(
            f"The state cannot be stored: {broken}. Values that pass from one super-step to the next must be "
            "serializable, those of UntrackedValue channels too; open resources inside the nodes that use them.",
            type_=type(broken).__name__,
            node=None,
        ) from error
    if isinstance(error, GraphRecursionError):
        raise StepLimitReached(str(error)) from error
    raised_by = (task for task, failure in watching.failures if any(failure is link for link in chain))
    node = next((name for task in raised_by if (name := seen.name_of(task))), None)
    raise NodeFailed(str(error) or repr(error), type_=type(error).__name__, node=node) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
