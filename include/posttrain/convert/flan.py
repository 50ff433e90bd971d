"""FLAN v2 as Open-Orca/FLAN publishes it, of which Tülu 3 takes a fixed number of rows from each of seven sub-collections."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import Field

from posttrain.convert.draft import Draft, Refused
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.turns import question_answer
from posttrain.raw_rows import RawRow
from posttrain.schema import UnreadableRow
from posttrain.section import Section

TULU3_SAMPLE = {
    "cot_fsopt": 20_000, "cot_zsopt": 20_000, "niv2_fsopt": 20_000, "niv2_zsopt": 20_000,
    "flan_fsopt": 2_000, "flan_zsopt": 2_000, "t0_fsopt": 6_000,
}
"""Sub-collection → rows: 90,000 in all, of which 89,982 pass open-instruct's filters (its scripts/data/sft/flan.py)."""

_IN_A_PATH = re.compile(r"(?:^|[/_-])(cot|niv2|flan|t0|dialog)_?(?:2021_)?([fz]s)_?(no)?opt", re.IGNORECASE)


class FlanOptions(Section):
    sample: dict[str, int] = Field(
        default=TULU3_SAMPLE, description="sub-collection such as cot_fsopt → rows taken; others are not_selected; {} takes all")
    seed: int = Field(default=42, description="of the sample; open-instruct shuffles with 42, which gives other rows")


DEFAULT = FlanOptions()


def convert_flan(row: Any, options: FlanOptions = DEFAULT) -> list[Draft]:
    """{inputs, targets}: the prompt of a task and its answer."""
    fields = object_of(row)
    return [Draft(messages=question_answer(text_of(fields, "inputs"), text_of(fields, "targets")))]


def sample_collections(rows: Iterable[RawRow], options: FlanOptions) -> Iterator[RawRow | Refused]:
    """The rows with the smallest hashes of (seed, file, row number), as many of each sub-collection as the sample says.

    Which rows these are does not depend on their order. As many rows are held in memory as the sample has.
    """
    if not options.sample:
        yield from rows
        return
    held: dict[str, list[tuple[int, int, RawRow]]] = {name: [] for name in options.sample}
    for position, row in enumerate(rows):
        name = collection_of(row)
        if not options.sample.get(name):
            yield row, UnreadableRow("not_selected", "sub-collection", f"{name or 'unknown'} is not in the sample")
            continue
        entry = (-_hash(row, options.seed), position, row)
        if len(held[name]) < options.sample[name]:
            heapq.heappush(held[name], entry)
        else:
            _, _, lost = heapq.heappushpop(held[name], entry)
            yield lost, UnreadableRow("not_selected", "sub-collection", f"{name} has more than {options.sample[name]} rows")
    for _, _, row in sorted((entry for heap in held.values() for entry in heap), key=lambda entry: entry[1]):
        yield row


def collection_of(row: RawRow) -> str:
    """`cot_fsopt` and the like: from the file's path (`cot_fsopt_data/…`), else from `_task_source` and `_template_type`.

    The rows of `t0_…` say `P3`, which is what they were made from.
    """
    raw_file, _, value = row
    if found := _IN_A_PATH.search(raw_file):
        source, shots, no = found.groups()
        return f"{source}_{shots}{no or ''}opt".lower()
    if not isinstance(value, dict):
        return ""
    source, template = (str(value.get(f"_{name}") or value.get(name) or "") for name in ("task_source", "template_type"))
    source = source.lower().removesuffix("2021")
    return f"{'t0' if source == 'p3' else source}_{template.lower().replace('_', '')}"


def _hash(row: RawRow, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{row[0]}\0{row[1]}".encode(), digest_size=8).digest())
