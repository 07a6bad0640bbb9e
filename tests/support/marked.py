"""Looks for marked texts in every byte below a folder, in the forms in which they could have been written."""

import base64
import re
import shutil
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import zstandard

_ZSTD: Final = re.compile(re.escape(b"\x28\xb5\x2f\xfd"))
_ZLIB: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_NESTED: Final = 2
_LARGEST: Final = 64 * 1024 * 1024


def places_of(marks: Mapping[str, str], *folders: Path) -> dict[str, set[str]]:
    """The files (relative to their folder) in which each mark can be found in some form; no entry for none."""
    forms = {name: tuple(_forms(mark)) for name, mark in marks.items()}
    found: dict[str, set[str]] = {}
    with TemporaryDirectory() as copies:
        for number, folder in enumerate(folders):
            copy = Path(copies, str(number))  # to open a database is to change it
            shutil.copytree(folder, copy)
            files = {path: path.read_bytes() for path in sorted(copy.rglob("*")) if path.is_file()}
            for file, raw in files.items():
                for content in _contents(file, raw):
                    for name, wanted in forms.items():
                        if any(form in content for form in wanted):
                            found.setdefault(name, set()).add(str(file.relative_to(copy)))
    return found


def _forms(mark: str) -> Iterator[bytes]:
    text = mark.encode()
    for plain in (text, mark.encode("utf-16-le"), mark.encode("utf-16-be")):
        yield plain
        yield plain.hex().encode()
        yield plain.hex().upper().encode()
        for shift in range(3):  # base64 of a longer text with the mark somewhere in it
            encoded = base64.b64encode(bytes(shift) + plain)
            inner = encoded[(0, 2, 3)[shift] :].rstrip(b"=")[:-1]  # without what its neighbours have a part in
            yield inner
            yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _contents(file: Path, raw: bytes) -> Iterator[bytes]:
    """The file's bytes, its rows if it is a database, and whatever in these can be decompressed."""
    yield from _opened(raw, _NESTED)
    if raw[:16] == b"SQLite format 3\x00":
        for cell in _cells(file):
            yield from _opened(cell, _NESTED)


def _cells(file: Path) -> Iterable[bytes]:
    """Every value in a database: a long one is scattered over pages, so that the file's bytes do not show it whole."""
    with closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 -- a name from the database itself
                for value in row:
                    yield value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def _opened(content: bytes, depth: int) -> Iterator[bytes]:
    yield content
    if depth == 0:
        return
    for start in _ZSTD.finditer(content):
        try:
            inner = zstandard.ZstdDecompressor().decompressobj().decompress(content[start.start() :])
        except zstandard.ZstdError:
            continue
        yield from _opened(inner[:_LARGEST], depth - 1)
    for start in _ZLIB.finditer(content):
        try:
            inner = zlib.decompressobj(wbits=47).decompress(content[start.start() :], _LARGEST)
        except zlib.error:
            continue
        if inner:
            yield from _opened(inner, depth - 1)
