"""Convert: raw rows of any source family → the example types of `posttrain.schema`.

To add a family: one function (or one that is there already), one line in the table of its kind, one test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from posttrain.convert.draft import Converter, Draft, RawRow, convert_rows, row_by_row
from posttrain.convert.family import Family
from posttrain.convert.mixture_families import MIXTURE_FAMILIES
from posttrain.convert.preference_families import PREFERENCE_FAMILIES
from posttrain.convert.rlvr_families import RLVR_FAMILIES
from posttrain.convert.sft_families import SFT_FAMILIES
from posttrain.storage import read_batches

if TYPE_CHECKING:
    from posttrain.recipe import Source
    from posttrain.storage import ArtifactWriter, Manifest

__all__ = ["FAMILIES", "Converter", "Draft", "Family", "convert_source", "converter_module"]

FAMILIES: dict[str, Family] = SFT_FAMILIES | PREFERENCE_FAMILIES | RLVR_FAMILIES | MIXTURE_FAMILIES
"""Source family → how its rows are read, and where they come from."""


def converter_module(family: str) -> str:
    """The module whose code decides a converted artifact's key; the code that all families share is among its imports."""
    return FAMILIES[family].convert.__module__


def convert_source(collected: Manifest, spec: Source, out: ArtifactWriter) -> None:
    """Convert the collected rows of one source."""
    family = FAMILIES[spec.family]
    convert, sample = family.bind(spec.options)
    convert_rows(convert, raw_rows(collected), spec, out, family.join or row_by_row, sample, guarded="rlvr" in family.kinds)


def raw_rows(collected: Manifest) -> Iterator[RawRow]:
    """The rows of a collect artifact, parsed."""
    for entry in collected.files:
        if entry.split == "raw":
            for batch in read_batches(collected.file(entry.name)):
                files, numbers, raws = (batch.column(name).to_pylist() for name in ("raw_file", "raw_row", "raw"))
                yield from zip(files, numbers, map(_parsed, raws), strict=True)


_decode = msgspec.json.Decoder().decode


def _parsed(raw: str) -> Any:
    """The row that `collect` wrote; msgspec takes half the time and knows no NaN, which Python's JSON has."""
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return json.loads(raw)
