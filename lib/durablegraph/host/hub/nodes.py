"""The tree that a replay waits on: leaves that complete by id, and groups that complete when enough children have."""

from collections.abc import Sequence


class Node:
    """Something that is awaited; done once, failed or not. A later completion is ignored."""

    __slots__ = ("done", "failed", "parent")

    def __init__(self) -> None:
        self.done = self.failed = False
        self.parent: Node | None = None

    @classmethod
    def finished(cls, *, failed: bool = False) -> "Node":
        """A node that is done already."""
        node = Node()
        node.done, node.failed = True, failed
        return node

    def attach(self, parent: "Node") -> None:
        """Makes `parent` hear of the completion, at once if that has been already."""
        self.parent = parent
        if self.done:
            parent.child_done(failed=self.failed)

    def finish(self, *, failed: bool = False) -> None:
        """Completes it and tells the parent."""
        if self.done:
            return
        self.done, self.failed = True, failed
        if self.parent is not None:
            self.parent.child_done(failed=self.failed)

    def child_done(self, *, failed: bool) -> None:
        """Called by a child that is done; leaves have none."""


class Leaf(Node):
    """A scheduled operation; `id` is its place in the execution's count."""

    __slots__ = ("id",)

    def __init__(self, task_id: int) -> None:
        super().__init__()
        self.id = task_id


class Children(Node):
    """Done when `enough` of its children are; failed children count too (and nothing waits for none)."""

    __slots__ = ("_ended", "_enough")

    def __init__(self, children: Sequence[Node], enough: int) -> None:
        super().__init__()
        self._enough, self._ended = enough, 0
        for child in children:
            child.attach(self)
        if enough == 0 or not children:
            self.finish()

    def child_done(self, *, failed: bool) -> None:
        """Counts it, failed or not."""
        del failed
        self._ended += 1
        if self._ended >= self._enough:
            self.finish()
