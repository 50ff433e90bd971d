"""What became of a block of training rows: its parts and its counts, kept beside the parts until the whole command has succeeded.

    done-<file>-<block>.json   written when all parts of the block are there: a command that is given again goes on behind it
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posttrain.storage import write_atomic


@dataclass(slots=True)
class Part:
    """A file that was written: `file` and `path` say of which input, `source_of_row` (int32) and `numbers` (int64) of each row
    its source, as a number in `sources`, and its place in the input."""

    role: str
    name: str
    file: str
    path: str
    rows: int
    sources: tuple[str, ...]
    source_of_row: bytes
    numbers: bytes


@dataclass(slots=True)
class Result:
    """What became of a block. `reasons`: (source, reason) → rows that go; `band`: source → rows of the band."""

    bytes: int
    rows: int = 0
    parts: list[Part] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    band: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    contamination: dict[str, Any] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


def done_file(folder: Path, file: str, block: int) -> Path:
    return folder / f"done-{file}-{block:05d}.json"


def write_result(path: Path, result: Result) -> None:
    """Only ASCII stands in the file: a text of a row may hold characters that UTF-8 has no bytes for."""
    value = {
        "bytes": result.bytes, "rows": result.rows, "evidence": result.evidence, "read": result.read, "band": result.band,
        "reasons": [[*key, rows] for key, rows in result.reasons.items()], "contamination": result.contamination,
        "examples": result.examples,
        "parts": [asdict(part) | {name: base64.b64encode(getattr(part, name)).decode() for name in _BYTES}
                  for part in result.parts],
    }
    with write_atomic(str(path)) as file:
        file.write(json.dumps(value).encode())


def read_result(path: Path) -> Result:
    value: dict[str, Any] = json.loads(path.read_bytes())
    parts = [Part(**part | {name: base64.b64decode(part[name]) for name in _BYTES} | {"sources": tuple(part["sources"])})
             for part in value["parts"]]
    return Result(**value | {
        "parts": parts, "read": Counter(value["read"]), "band": Counter(value["band"]),
        "reasons": Counter({(source, reason): rows for source, reason, rows in value["reasons"]}),
    })


_BYTES = ("source_of_row", "numbers")
