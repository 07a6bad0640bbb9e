"""From texts of items to vectors, and from a query to the items that are nearest to it."""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any, Final

from langgraph.store.base import IndexConfig, ensure_embeddings, get_text_at_path

from durablegraph.errors import ConfigurationError
from durablegraph.storage.items.item_objects import Found
from durablegraph.storage.items.record import Vector

_WHOLE: Final = "$"
_LARGEST: Final = 3.4028234663852886e38  # of a 4-byte float


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors by text: of items, and of queries (models may embed these differently)."""

    texts: Mapping[str, Vector] = field(default_factory=dict)
    queries: Mapping[str, Vector] = field(default_factory=dict)


class Embedder:
    """The embeddings of an `IndexConfig`; the synchronous method embeds in the caller's thread, as LangGraph's do."""

    def __init__(self, config: IndexConfig) -> None:
        """Raise ConfigurationError when there is no `embed`."""
        try:
            self._embeddings = ensure_embeddings(config.get("embed"))
        except ValueError as error:
            raise ConfigurationError(f"the index of the item store cannot embed: {error}") from error
        self._dims = config.get("dims")
        self._fields = tuple(config.get("fields") or (_WHOLE,))

    def texts(self, value: Any, index: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
        """(path, text) of all that is to be embedded of an item's value; `index` overrides the configured fields."""
        found: list[tuple[str, str]] = []
        for path in self._fields if index is None else index:
            texts = get_text_at_path(value, path)
            places = [path] if len(texts) == 1 else [f"{path}.{number}" for number in range(len(texts))]
            found.extend(zip(places, texts, strict=True))
        return tuple(found)

    def embed(self, texts: Iterable[str], queries: Iterable[str]) -> Embedded:
        """Vectors of all texts and queries; equal texts are embedded once."""
        wanted, asked = list(dict.fromkeys(texts)), list(dict.fromkeys(queries))
        vectors = self._embeddings.embed_documents(wanted) if wanted else []
        return self._embedded(wanted, vectors, asked, [self._embeddings.embed_query(query) for query in asked])

    async def aembed(self, texts: Iterable[str], queries: Iterable[str]) -> Embedded:
        """As `embed`, without holding up the event loop."""
        wanted, asked = list(dict.fromkeys(texts)), list(dict.fromkeys(queries))
        vectors = await self._embeddings.aembed_documents(wanted) if wanted else []
        answers = await asyncio.gather(*(self._embeddings.aembed_query(query) for query in asked))
        return self._embedded(wanted, vectors, asked, answers)

    def _embedded(
        self,
        texts: Sequence[str],
        vectors: Sequence[Sequence[float]],
        queries: Sequence[str],
        answers: Sequence[Sequence[float]],
    ) -> Embedded:
        if len(vectors) != len(texts):
            raise ConfigurationError(
                f"the embeddings of the item store returned {len(vectors)} vectors for {len(texts)} texts; "
                "expected one for each; correct the `embed` of the index"
            )
        return Embedded(
            {text: self._checked(vector) for text, vector in zip(texts, vectors, strict=True)},
            {query: self._checked(vector) for query, vector in zip(queries, answers, strict=True)},
        )

    def _checked(self, vector: Sequence[float]) -> Vector:
        numbers = tuple(float(number) for number in vector)
        if self._dims is not None and len(numbers) != self._dims:
            raise ConfigurationError(
                f"the embeddings of the item store returned {len(numbers)} numbers; expected the {self._dims} that "
                "`dims` of the index says; correct one of them"
            )
        if not all(abs(number) <= _LARGEST for number in numbers):
            raise ConfigurationError(
                "the embeddings of the item store returned a number that is not finite, or beyond 4-byte floats; "
                "correct the `embed` of the index"
            )
        return numbers


def rank(query: Vector, candidates: Sequence[Found]) -> list[tuple[float | None, Found]]:
    """Candidates by falling cosine similarity of their nearest vector, then those without one in their order.

    A vector of another length than the query's was made by another model, and counts as none.
    """
    length = math.hypot(*query)
    scored: list[tuple[float, Found]] = []
    scoreless: list[tuple[float | None, Found]] = []
    for found in candidates:
        vectors = [vector for _, vector in found.record.vectors if len(vector) == len(query)]
        if vectors:
            scored.append((max(_cosine(query, length, vector) for vector in vectors), found))
        else:
            scoreless.append((None, found))
    scored.sort(key=lambda pair: pair[0], reverse=True)
    return [*scored, *scoreless]


def _cosine(query: Vector, length: float, vector: Vector) -> float:
    lengths = length * math.hypot(*vector)
    return sum(map(mul, query, vector)) / lengths if lengths > 0 else 0.0
