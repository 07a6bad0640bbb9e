"""Who may commit: what a writer has seen of a head, compared with what the head is now.

The store's If-Match makes a commit atomic; this module says which commits are allowed at all. A `View` is one
writer's memory of the heads it read and moved. The rules are pure: they take what is known and return a refusal.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from durablegraph.errors import InvalidRequest

_REMEMBERED: Final = 64
_REMEMBERED_HEADS: Final = 1024


class ConflictPolicy(StrEnum):
    """What happens when somebody else moved the head since this writer last read it."""

    FENCE = "fence"
    """Refuse checkpoints with ConcurrentWriterError, and writes of tasks when the latest checkpoint is another one. A
    pinned view refuses all writes, too."""

    SHARE = "share"
    """As FENCE, but a pinned view's writes of tasks are added to those of its siblings (parallel tasks of one
    super-step), and may share a commit with them."""

    MERGE = "merge"
    """Add to whatever is there, as LangGraph's SQL savers do: both branches are kept."""

    @classmethod
    def named(cls, name: str) -> "ConflictPolicy":
        """The policy that a caller may choose by this name; raises InvalidRequest."""
        if name not in {cls.FENCE, cls.MERGE}:
            raise InvalidRequest(f"on_conflict={name!r} is unknown: expected 'fence' or 'merge'")
        return cls(name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a change needs to be judged: `parent` for a checkpoint, the checkpoint they belong to for writes."""

    anchor: str | None
    is_checkpoint: bool
    replaces: "Replaces | None" = None

    @property
    def follows_another(self) -> bool:
        """Whether it is a checkpoint after one that must be in the log already."""
        expected = None if self.replaces is None else self.replaces.tip
        return self.is_checkpoint and (self.anchor or expected) is not None


@dataclass(frozen=True, slots=True)
class Replaces:
    """The caller named the only latest checkpoint that this one may follow; None: the log must be empty."""

    tip: str | None


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """What a head is now: its newest commit and its latest checkpoint."""

    commit: bytes
    tip: str | None


@dataclass(slots=True)
class Expectation:
    """What a writer knows of one head."""

    commit: bytes
    tip: str | None
    attempts: list[bytes] = field(default_factory=list)  # own commits whose fate may be unknown
    lineage: set[str] = field(default_factory=set)  # what a pinned view was shown or put: a fork may start there
    superseded: list[str] = field(default_factory=list)  # latest checkpoints of mine that another writer went past

    def is_current(self, head: HeadFacts) -> bool:
        """Whether nobody else has moved the head."""
        return head.commit == self.commit or head.commit in self.attempts


class View:
    """What one writer has seen. A pinned view keeps to its first look at each head, whatever it reads later.

    So an attempt at a super-step that was given up and still runs (a zombie) can read the newer head as often as it
    likes: it cannot commit on it.
    """

    def __init__(self, policy: ConflictPolicy, *, pinned: bool) -> None:
        self.policy = policy
        self.pinned = pinned
        self.is_committer = pinned and policy is ConflictPolicy.FENCE
        """Whether it reads a head in order to commit on it soon."""
        self._heads: OrderedDict[str, Expectation] = OrderedDict()
        self._trusted: dict[str, bytes] = {}

    def seen(self, key: str) -> Expectation | None:
        """What this view knows of the head at `key`."""
        return self._heads.get(key)

    def saw(self, key: str, head: HeadFacts) -> None:
        """The head was read."""
        known = self._heads.get(key)
        if known is None:
            self._remember(key, Expectation(head.commit, head.tip))
        elif not self.pinned and not known.is_current(head):
            if known.tip is not None and known.tip != head.tip:
                known.superseded = [*known.superseded[-_REMEMBERED:], known.tip]
            known.commit, known.tip = head.commit, head.tip

    def asked_for(self, key: str, checkpoint: str) -> None:
        """A checkpoint was read by its id: the writer may fork there."""
        known = self._heads.get(key)
        if known is not None:
            known.superseded = [old for old in known.superseded if old != checkpoint]
            self.was_shown(key, checkpoint)

    def was_shown(self, key: str, checkpoint: str) -> None:
        """A checkpoint was listed: an attempt may go on from there. Somebody who looks at a history may not."""
        known = self._heads.get(key)
        if self.pinned and known is not None:
            known.lineage.add(checkpoint)

    def tries(self, key: str, head: HeadFacts, commit: bytes) -> None:
        """A commit on `head` is about to be sent; if its answer is lost, it is still this view's own."""
        self.saw(key, head)
        known = self._heads[key]
        known.attempts = [*known.attempts[-_REMEMBERED:], commit]

    def wrote(self, key: str, head: HeadFacts) -> None:
        """A commit of this view is the newest, and nothing of another writer came in between."""
        known = self._heads[key]
        known.commit, known.tip = head.commit, head.tip
        known.attempts = [commit for commit in known.attempts if commit != head.commit]

    def put(self, key: str, checkpoint: str | None) -> None:
        """A checkpoint of this view is stored (None: only writes are)."""
        if checkpoint is not None:
            self.was_shown(key, checkpoint)

    def forget(self, keys: Iterable[str]) -> None:
        """These heads were deleted by this writer itself."""
        for key in keys:
            self._heads.pop(key, None)

    def trust(self, key: str, commit: bytes) -> None:
        """Take the head from memory if this commit is the newest one known there, at the first read."""
        self._trusted[key] = commit

    def trusted(self, key: str) -> bytes | None:
        """The commit to trust, if any; only for a head that was not seen yet."""
        return None if key in self._heads else self._trusted.get(key)

    def _remember(self, key: str, expectation: Expectation) -> None:
        self._heads[key] = expectation
        # A forgotten expectation of a long-lived, unpinned view costs its next conflict check, nothing else.
        if not self.pinned and len(self._heads) > _REMEMBERED_HEADS:
            self._heads.popitem(last=False)


def refusal(view: View, key: str, wanted: Wanted, head: HeadFacts) -> str | None:
    """Why `view` may not make this change to `head`; None when it may."""
    if wanted.replaces is not None and wanted.replaces.tip != head.tip:
        return f"the latest checkpoint is {head.tip}, this attempt started from {wanted.replaces.tip}"
    if view.policy is ConflictPolicy.MERGE:
        return None
    known = view.seen(key)
    if known is None:
        return _unread(view, wanted, head)
    if known.is_current(head):
        return _misplaced(view, known, wanted, head)
    adds_writes = not wanted.is_checkpoint and known.tip == head.tip
    if adds_writes and (view.policy is ConflictPolicy.SHARE or not view.pinned):
        return None
    return f"another writer committed {head.commit.hex()} after {known.commit.hex()}, which this writer knows"


def _misplaced(view: View, known: Expectation, wanted: Wanted, head: HeadFacts) -> str | None:
    """Nobody has moved the head since it was read; but the change may build on something older."""
    if wanted.anchor is not None and wanted.anchor in known.superseded:
        return f"checkpoint {wanted.anchor} is no longer the latest: another writer went on to {head.tip}"
    if view.pinned and wanted.is_checkpoint and wanted.anchor != head.tip and wanted.anchor not in known.lineage:
        return f"the parent is {wanted.anchor}, but the latest checkpoint is {head.tip}"
    return None


def _unread(view: View, wanted: Wanted, head: HeadFacts) -> str | None:
    """A view that never read this head: a pinned one must at least build on the latest checkpoint."""
    if not view.pinned or wanted.anchor == head.tip:
        return None
    return f"the change builds on checkpoint {wanted.anchor}, but the latest is {head.tip}"
