"""The text of a raw file, and the JSON values in it. UTF-8, with or without a byte order mark."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any, TextIO

import msgspec
import zstandard

from posttrain.raw_files.broken import Broken
from posttrain.zstd_file import open_zstd

COMPRESSIONS = (".gz", ".zst")


def open_text(path: Path, newline: str = "\n") -> TextIO:
    """The file as text; bytes that are not UTF-8 become lone surrogates, which `checked` finds."""
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def open_binary(path: Path) -> Any:
    return open_zstd(path) if path.suffix == ".zst" else gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def first_bytes(path: Path, number: int = 1 << 13) -> bytes:
    """What a file begins with, unpacked; nothing of one that is damaged there."""
    try:
        with open_binary(path) as f:
            return bytes(f.read(number))
    except (EOFError, OSError, zlib.error, zstandard.ZstdError):
        return b""


_LONE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def checked(text: str, value: Any) -> Any:
    """The value, or Broken where it holds a character that UTF-8 cannot: a wrong byte or half a surrogate pair."""
    return encodable(value) if may_hold_surrogates(text) else value


def may_hold_surrogates(text: str) -> bool:
    if "\\u" in text and _ESCAPED_SURROGATE.search(text):
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def encodable(value: Any) -> Any:
    written = json.dumps(value, ensure_ascii=False)
    try:
        written.encode()
    except UnicodeEncodeError as error:
        detail = f"{ascii(written[error.start])}: a byte that is not UTF-8, or half a surrogate pair"
        return Broken("undecodable_text", detail, printable(written), _not_encodable(value) or "row")
    return value


def _not_encodable(value: Any) -> str:
    """Where the first text with a lone surrogate stands among the values: `turns.1.value`; empty where there is none."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        if isinstance(inner, str):
            if not inner.isascii() and _LONE.search(inner):
                return printable(str(name))
        elif below := _not_encodable(inner):
            return f"{printable(str(name))}.{below}"
    return ""


def printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


MAX_NESTING = 200
"""Levels of lists and objects in one row. Message trees have some forty; at about a thousand, reading and writing JSON ends in a
RecursionError, at a depth that depends on the caller."""


def too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_NESTING):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
                 if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def shallow(text: str, value: Any) -> Any:
    """The value, or Broken where it is nested too deep; `text` is what it was read from."""
    if text.count("[") + text.count("{") > MAX_NESTING and too_deep(value):
        return Broken("invalid_json", f"nested deeper than {MAX_NESTING} levels", printable(text))
    return value


def parse(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        pass  # NaN, Infinity, 1e400 and half a surrogate pair, which the json module reads, or no JSON: it says what is wrong
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return Broken("invalid_json", str(error), printable(text))


def parse_json(line: str) -> Any:
    """The value of one JSON text; Broken where it is none, is nested too deep or holds half a surrogate pair."""
    value = shallow(line, parse(line))
    return value if isinstance(value, Broken) else checked(line, value)
