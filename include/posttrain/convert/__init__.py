"""Convert: raw rows of any source family → the example types of `posttrain.schema`.

To add a family: one function (or one that is there already), one line in the table of its kind, one test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from posttrain.convert.draft import Converter, Draft, convert_rows, row_by_row
from posttrain.convert.family import Family
from posttrain.convert.mixture_families import MIXTURE_FAMILIES
from posttrain.convert.preference_families import PREFERENCE_FAMILIES
from posttrain.convert.rlvr_families import RLVR_FAMILIES
from posttrain.convert.sft_families import SFT_FAMILIES
from posttrain.storage import read_rows

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
    rows = ((row["raw_file"], row["raw_row"], json.loads(row["raw"])) for row in read_rows(collected, "raw"))
    convert_rows(convert, rows, spec, out, family.join or row_by_row, sample, guarded="rlvr" in family.kinds)
