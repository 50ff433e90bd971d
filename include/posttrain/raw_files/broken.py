"""A row that is not there, and what all readers give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that is not there to be converted. `reason` is a key of `schema.REASONS`; `text` is what stands in the file;
    `field` is the one that cannot be read (`turns.1.value`), or `row`."""

    reason: str
    detail: str
    text: str
    field: str = "row"


Rows = Iterator[tuple[int, Any]]
"""Row number and value, as `reading.read_raw_batches` says."""
