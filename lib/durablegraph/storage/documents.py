"""Typed JSON documents on the object store: one pydantic model under keys of one shape."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from durablegraph.errors import InvariantBroken, StaleHead
from durablegraph.storage.objects import ObjectStore, PreconditionFailed

Document = TypeVar("Document", bound=BaseModel)
_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Versioned(Generic[Document]):
    """A document as it was read, with the etag that its replacement must name."""

    value: Document
    etag: str


class Documents(Generic[Document]):
    """Reads and conditional writes of one kind of document; the last `remembered` of them stay in memory."""

    def __init__(self, store: ObjectStore, model: type[Document], *, remembered: int = 0) -> None:
        self._store = store
        self._model = model
        self._remembered = remembered
        self._known: dict[str, Versioned[Document]] = {}

    async def load(self, key: str) -> Versioned[Document] | None:
        """The document, or None. A document that does not fit its model raises InvariantBroken, naming the key."""
        found = await self._store.get(key)
        if found is None:
            return None
        if (known := self._known.get(key)) and known.etag == found.etag:
            return known
        try:
            return self._remember(key, self._model.model_validate_json(found.data), found.etag)
        except ValidationError as error:
            raise InvariantBroken(f"the object {key!r} is not a {self._model.__name__}: {error}") from error

    def known(self, key: str) -> Document | None:
        """The document as this process read or wrote it last, from memory; it may be out of date."""
        found = self._known.get(key)
        return found.value if found else None

    async def create(self, key: str, value: Document, *, note: str | None = None) -> bool:
        """Store a document where there is none, with a note for listings; False when there is one."""
        try:
            self._remember(key, value, await self._store.put(key, encode(value), if_absent=True, note=note))
        except PreconditionFailed:
            return False
        return True

    async def replace(self, key: str, value: Document, etag: str) -> str:
        """Replace the version that `etag` names; raises PreconditionFailed when it is no longer the current one."""
        self._known.pop(key, None)
        return self._remember(key, value, await self._store.put(key, encode(value), if_match=etag)).etag

    async def change(
        self,
        key: str,
        change: Callable[[Document], Document],
        *,
        before_write: Callable[[Document, Document], Awaitable[None]] | None = None,
        from_memory: bool = True,
    ) -> Document | None:
        """Apply `change` to the current version, again whenever somebody else was faster; None when there is none.

        `change` must be pure; when it returns its argument nothing is written. The first try is made on the version in
        memory, `from_memory`: a write shows whether that is the current one, and what writes nothing is tried again.
        `before_write` is told each version and what is about to replace it. Raises StaleHead after many defeats.
        """
        known = self._known.get(key) if from_memory else None
        for _ in range(_TRIES):
            current = known or await self.load(key)
            if current is None:
                return None
            wanted = change(current.value)
            if wanted is not current.value:
                if before_write is not None:
                    await before_write(current.value, wanted)
                with suppress(PreconditionFailed):
                    await self.replace(key, wanted, current.etag)
                    return wanted
            elif known is None:
                return wanted
            known = None
        raise StaleHead(f"the object {key!r} was changed by others {_TRIES} times in a row; try again")

    def _remember(self, key: str, value: Document, etag: str) -> Versioned[Document]:
        self._known.pop(key, None)
        found = self._known[key] = Versioned(value, etag)
        if len(self._known) > self._remembered:
            self._known.pop(next(iter(self._known)))
        return found


def encode(value: BaseModel) -> bytes:
    """The bytes of a document; what has its default is left out."""
    return value.model_dump_json(exclude_defaults=True).encode()
