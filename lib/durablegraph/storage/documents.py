"""Typed JSON documents on the object store: one pydantic model under keys of one shape."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from durablegraph.errors import InvariantBroken, StaleHead
from durablegraph.storage.objects import ObjectStore, PreconditionFailed

Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Versioned(Generic[Document]):
    """A document as it was read, with the etag that its replacement must name."""

    value: Document
    etag: str


class Documents(Generic[Document]):
    """Reads and conditional writes of one kind of document."""

    def __init__(self, store: ObjectStore, model: type[Document]) -> None:
        self._store = store
        self._model = model

    async def load(self, key: str) -> Versioned[Document] | None:
        """The document, or None. A document that does not fit its model raises InvariantBroken, naming the key."""
        found = await self._store.get(key)
        if found is None:
            return None
        try:
            return Versioned(self._model.model_validate_json(found.data), found.etag)
        except ValidationError as error:
            raise InvariantBroken(f"the object {key!r} is not a {self._model.__name__}: {error}") from error

    async def create(self, key: str, value: Document, *, note: str | None = None) -> bool:
        """Store a document where there is none, with a note for listings; False when there is one."""
        try:
            await self._store.put(key, encode(value), if_absent=True, note=note)
        except PreconditionFailed:
            return False
        return True

    async def replace(self, key: str, value: Document, etag: str) -> str:
        """Replace the version that `etag` names; raises PreconditionFailed when it is no longer the current one."""
        return await self._store.put(key, encode(value), if_match=etag)

    async def change(self, key: str, change: Callable[[Document], Document]) -> Document | None:
        """Apply `change` to the current version, again whenever somebody else was faster; None when there is none.

        `change` must be pure; when it returns its argument nothing is written. Raises StaleHead after many defeats.
        """
        for _ in range(50):
            current = await self.load(key)
            if current is None:
                return None
            wanted = change(current.value)
            if wanted is current.value:
                return wanted
            try:
                await self.replace(key, wanted, current.etag)
            except PreconditionFailed:
                continue
            return wanted
        raise StaleHead(f"the object {key!r} was changed by others 50 times in a row; try again")


def encode(value: BaseModel) -> bytes:
    """The bytes of a document; what has its default is left out."""
    return value.model_dump_json(exclude_defaults=True).encode()
