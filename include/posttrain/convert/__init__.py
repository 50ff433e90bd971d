"""Convert: raw rows of any source family → the example types of `posttrain.schema`.

To add a family: one module with one function, one line in `CONVERTERS`, one test.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.draft import Converter, Draft, Join, convert_rows, row_by_row
from posttrain.convert.gsm8k import convert_gsm8k
from posttrain.convert.hh_rlhf import convert_hh_rlhf
from posttrain.convert.korean_qa import convert_korean_qa
from posttrain.convert.kto import convert_kto
from posttrain.convert.math_problems import convert_math
from posttrain.convert.messages import convert_arena_answers, convert_messages
from posttrain.convert.no_robots import convert_no_robots
from posttrain.convert.oasst import convert_oasst, join_messages
from posttrain.convert.oasst_ranked import convert_oasst_ranked
from posttrain.convert.pandalm import convert_pandalm
from posttrain.convert.persona import convert_persona
from posttrain.convert.preference import convert_preference
from posttrain.convert.prompt_completion import convert_pair, convert_prompt_completion
from posttrain.convert.pubmedqa import convert_pubmedqa
from posttrain.convert.rlvr import convert_rlvr
from posttrain.convert.safety_labels import convert_safety_labels
from posttrain.convert.self_instruct import convert_self_instruct
from posttrain.convert.sharegpt import convert_sharegpt
from posttrain.convert.squad import convert_squad
from posttrain.convert.tatqa import convert_tatqa
from posttrain.storage import read_rows

if TYPE_CHECKING:
    from posttrain.recipe import Source
    from posttrain.storage import ArtifactWriter, Manifest

__all__ = ["CONVERTERS", "Converter", "Draft", "convert_source", "converter_module"]

CONVERTERS: dict[str, Converter] = {
    "alpaca": convert_alpaca,
    "no_robots": convert_no_robots,
    "prompt_completion": convert_prompt_completion,
    "pair": convert_pair,
    "sharegpt": convert_sharegpt,
    "messages": convert_messages,
    "arena_answers": convert_arena_answers,
    "oasst": convert_oasst,
    "oasst_ranked": convert_oasst_ranked,
    "self_instruct": convert_self_instruct,
    "gsm8k": convert_gsm8k,
    "math": convert_math,
    "rlvr": convert_rlvr,
    "hh_rlhf": convert_hh_rlhf,
    "preference": convert_preference,
    "kto": convert_kto,
    "pandalm": convert_pandalm,
    "korean_qa": convert_korean_qa,
    "persona": convert_persona,
    "squad": convert_squad,
    "tatqa": convert_tatqa,
    "pubmedqa": convert_pubmedqa,
    "safety_labels": convert_safety_labels,
}
"""Source family → function from a raw row to drafts."""

JOINS: dict[str, Join] = {"oasst": join_messages}
"""Families whose raw rows may be parts of a conversation → function that puts them together."""


def converter_module(family: str) -> str:
    """The module whose code decides a converted artifact's key; the code that all families share is among its imports."""
    return CONVERTERS[family].__module__


def convert_source(collected: Manifest, spec: Source, out: ArtifactWriter) -> None:
    """Convert the collected rows of one source."""
    rows = ((row["raw_file"], row["raw_row"], json.loads(row["raw"])) for row in read_rows(collected, "raw"))
    convert_rows(CONVERTERS[spec.family], rows, spec, out, JOINS.get(spec.family, row_by_row))
