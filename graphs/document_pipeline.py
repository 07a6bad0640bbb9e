"""A folder of text files, read side by side and joined into one report.

Start it with ``{"folder": "."}``. `Send` makes one task of every document, so each may run on a worker of its own, and
a document that is done stays done when another fails. Every task runs a subgraph (read, then count and summarise at
once, then index). Meanwhile the other branch looks for duplicates. `report` is deferred: it runs once, when all of
this is over, however many steps each branch took.

Only files below `DOCUMENT_ROOT` (here: the folder `documents` beside this file) are read, whatever the input says.
"""

import hashlib
import operator
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

ROOT = Path(__file__).resolve().parent / "documents"
LARGEST = 1_000_000
"""Bytes; a larger file is refused before it is read, for its text lives in the state of a run."""

SUMMARY_SENTENCES = 2
TERMS_PER_DOCUMENT = 6
WORD = re.compile(r"[a-z][a-z'-]{2,}")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"])")
COMMON = frozenset(
    """
    about after again all also and any are because been before between both but can could did does down each every
    few for from had has have her here his how into its itself just may more most must not now off one only
    other our out over own same she should since some such than that the their them then there these they this
    those through too under until was were what when where which while who whom whose why will with within
    without would you your
    """.split()  # noqa: SIM905 -- a paragraph of words reads better than ninety quoted ones
)


class PipelineInput(TypedDict):
    """`folder` is a path below the document root."""

    folder: str


class PipelineOutput(TypedDict, total=False):
    """`report` is Markdown; `index` leads from a term to the documents it is a key term of."""

    report: str
    index: dict[str, list[str]]
    entries: list[dict[str, Any]]


class PipelineState(TypedDict, total=False):
    """`entries` holds one record a document, in the order of the documents' names."""

    folder: str
    documents: list[str]
    fingerprints: dict[str, str]
    duplicates: list[list[str]]
    entries: Annotated[list[dict[str, Any]], operator.add]
    index: dict[str, list[str]]
    report: str


class DocumentState(TypedDict, total=False):
    """One document on its way through the subgraph."""

    path: str
    title: str
    sentences: list[str]
    words: dict[str, int]
    summary: str
    entries: list[dict[str, Any]]


class DocumentInput(TypedDict):
    """`path` is relative to the document root, with ``/`` between its parts."""

    path: str


class DocumentOutput(TypedDict):
    """All that leaves the subgraph: texts and counts stay inside."""

    entries: list[dict[str, Any]]


def document_root() -> Path:
    """The folder that everything is read from."""
    return Path(os.environ.get("DOCUMENT_ROOT", ROOT)).resolve()


def inside_root(relative: str) -> Path:
    """The real path of a folder or document. Raises ValueError for one that leads outside the root."""
    root = document_root()
    path = (root / relative).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"found {relative!r}, which leads out of the document root; expected a path below it")
    return path


def read_text(relative: str) -> str:
    """The text of a document. Raises ValueError for one that is too large or not UTF-8."""
    path = inside_root(relative)
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"{relative}: found {size} bytes, expected at most {LARGEST}; split the document")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{relative}: found bytes that are not UTF-8 at {error.start}; convert the document"
        ) from error


def words_of(text: str) -> list[str]:
    """The words of a text that say something about it, lower-case, in order."""
    return [word for word in WORD.findall(text.lower()) if word not in COMMON]


def read(state: DocumentState) -> dict[str, Any]:
    """Split a document into its title, which is its first paragraph, and its sentences."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", read_text(state["path"]))]
    title, *paragraphs = [block for block in blocks if block] or ["(empty)"]
    return {"title": title, "sentences": [part for block in paragraphs for part in SENTENCE_END.split(block)]}


def count_words(state: DocumentState) -> dict[str, Any]:
    """Count the words that carry meaning."""
    counts = Counter(word for sentence in state["sentences"] for word in words_of(sentence))
    return {"words": dict(sorted(counts.items()))}


def summarise(state: DocumentState) -> dict[str, Any]:
    """Pick the sentences whose words the document uses most, in their own order.

    A sentence's weight is the mean frequency of its words, so that length alone wins nothing.
    """
    sentences = state["sentences"]
    frequency = Counter(word for sentence in sentences for word in words_of(sentence))

    def weight(position: int) -> float:
        words = words_of(sentences[position])
        return sum(frequency[word] for word in words) / (len(words) + 3)

    best = sorted(range(len(sentences)), key=lambda position: (-weight(position), position))[:SUMMARY_SENTENCES]
    return {"summary": " ".join(sentences[position] for position in sorted(best))}


def index_document(state: DocumentState) -> dict[str, Any]:
    """Turn what was found into the document's record."""
    words = state["words"]
    terms = sorted(words, key=lambda word: (-words[word], word))[:TERMS_PER_DOCUMENT]
    entry = {
        "path": state["path"],
        "title": state["title"],
        "sentences": len(state["sentences"]),
        "words": sum(words.values()),
        "terms": terms,
        "summary": state["summary"],
    }
    return {"entries": [entry]}


def scan(state: PipelineState) -> dict[str, Any]:
    """List the documents. Raises ValueError when there is no such folder, which ends the run as failed."""
    folder = inside_root(state["folder"])
    if not folder.is_dir():
        raise ValueError(f"found no folder {state['folder']!r} below the document root; expected one with .txt files")
    root = document_root()
    return {"documents": sorted(path.relative_to(root).as_posix() for path in folder.glob("*.txt"))}


def spread(state: PipelineState) -> list[Send | str]:
    """One task for every document, and one for the other branch."""
    return ["fingerprint", *(Send("document", {"path": path}) for path in state["documents"])]


def fingerprint(state: PipelineState) -> dict[str, Any]:
    """Hash every document's words, so that a new line break does not hide a duplicate."""
    digests = {}
    for path in state["documents"]:
        words = " ".join(read_text(path).split())
        digests[path] = hashlib.sha256(words.encode()).hexdigest()
    return {"fingerprints": digests}


def find_duplicates(state: PipelineState) -> dict[str, Any]:
    """Group the documents that say the same."""
    groups = defaultdict(list)
    for path, digest in sorted(state["fingerprints"].items()):
        groups[digest].append(path)
    return {"duplicates": sorted(group for group in groups.values() if len(group) > 1)}


def total(entries: list[dict[str, Any]], field: str) -> int:
    """The sum of a count over all documents."""
    return sum(int(entry[field]) for entry in entries)


def report(state: PipelineState) -> dict[str, Any]:
    """Join everything into an index and a page of Markdown."""
    entries = state.get("entries", [])
    index: dict[str, list[str]] = {}
    for entry in entries:
        for term in entry["terms"]:
            index.setdefault(term, []).append(entry["path"])
    lines = [
        f"# {len(entries)} documents in {state['folder']}",
        "",
        f"{total(entries, 'words')} meaningful words in {total(entries, 'sentences')} sentences.",
        *(f"Duplicates: {', '.join(group)}." for group in state["duplicates"]),
    ]
    for entry in entries:
        lines += ["", f"## {entry['title']} ({entry['path']})", "", entry["summary"]]
        lines += ["", f"Key terms: {', '.join(entry['terms'])}."]
    return {"report": "\n".join(lines) + "\n", "index": dict(sorted(index.items()))}


document = StateGraph(DocumentState, input_schema=DocumentInput, output_schema=DocumentOutput)
document.add_node(read)
document.add_node(count_words)
document.add_node(summarise)
document.add_node("index", index_document)
document.add_edge(START, "read")
document.add_edge("read", "count_words")
document.add_edge("read", "summarise")
document.add_edge(["count_words", "summarise"], "index")
document.add_edge("index", END)

builder = StateGraph(PipelineState, input_schema=PipelineInput, output_schema=PipelineOutput)
builder.add_node(scan)
builder.add_node("document", document.compile())
builder.add_node(fingerprint)
builder.add_node(find_duplicates)
builder.add_node(report, defer=True)
builder.add_edge(START, "scan")
builder.add_conditional_edges("scan", spread, ["document", "fingerprint"])
builder.add_edge("fingerprint", "find_duplicates")
builder.add_edge("find_duplicates", "report")
builder.add_edge("document", "report")
builder.add_edge("report", END)

graph = builder.compile()
