"""The mixtures that Tülu 3 publishes, imported as they are: ids, texts and the published `source` of every row stay.

`source` of an imported row is the recipe's name for the whole mixture, `published_source` what the row says. The SFT
mixture is ODC-BY as a collection; its parts keep their own terms, and so does every imported row.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of
from posttrain.convert.in_columns import Conversations, per_value, texts_if_any
from posttrain.convert.messages import convert_messages, read_messages
from posttrain.convert.preference import convert_preference

SFT_PARTS: dict[str, tuple[str, str]] = {
    "tulu_hard_coded_repeated_10": ("general", "CC-BY-4.0"),
    "oasst1_converted": ("general", "Apache-2.0"),
    "no_robots_converted": ("general", "CC-BY-NC-4.0"),
    "tulu_v3.9_wildchat_100k": ("general", "ODC-BY-1.0"),
    "flan_v2_converted": ("knowledge", "none stated"),
    "tulu_v3.9_sciriff_10k": ("knowledge", "ODC-BY-1.0"),
    "tulu_v3.9_table_gpt_5k": ("knowledge", "MIT"),
    "personahub_math_v5_regen_149960": ("math", "ODC-BY-1.0"),
    "tulu-3-sft-personas-math-grade": ("math", "ODC-BY-1.0"),
    "tulu_v3.9_personahub_math_interm_algebra_20k": ("math", "ODC-BY-1.0"),
    "tulu_v3.9_open_math_2_gsm8k_50k": ("math", "CC-BY-4.0"),
    "numinamath_tir_math_decontaminated": ("math", "Apache-2.0"),
    "personahub_code_v2_34999": ("code", "ODC-BY-1.0"),
    "evol_codealpaca_heval_decontaminated": ("code", "Apache-2.0"),
    "coconot_converted": ("safety", "ODC-BY-1.0"),
    "tulu_v3.9_wildjailbreak_decontaminated_50k": ("safety", "ODC-BY-1.0"),
    "tulu_v3.9_synthetic_finalresp_wildguardmixtrain_decontaminated_50k": ("safety", "Apache-2.0"),
    "tulu_v3.9_aya_100k": ("multilingual", "Apache-2.0"),
    "personahub_ifdata_manual_seed_v3_29980": ("precise_if", "ODC-BY-1.0"),
}
"""Last part of the published `source` → category and licence of the part (Tülu 3 paper, Table 7; the parts' cards)."""


RATING_COLUMNS = ("chosen_rating", "rejected_rating")


def convert_tulu3_sft_mixture(row: Any) -> list[Draft]:
    """{id, messages, source}: the conversation, with category and licence of the part that `source` names."""
    (draft,) = convert_messages(row)
    category, license = SFT_PARTS.get(part_name(row.get("source")), (None, None))
    return [dataclasses.replace(draft, category=category, license=license)]


def read_tulu3_sft_mixture(table: pa.Table) -> Conversations:
    """`convert_tulu3_sft_mixture` for the columns of a batch."""
    found, source = read_messages(table), texts_if_any(table, "source")
    if source is None:
        return found
    category, license = (per_value(source, lambda name, n=n: SFT_PARTS.get(part_name(name), (None, None))[n]) for n in range(2))
    return dataclasses.replace(found, category=category, license=license)


def convert_tulu3_preference_mixture(row: Any) -> list[Draft]:
    """{id, prompt, chosen, rejected, source}: the pair under its own id.

    The 405B mixture also has ratings. Pairs that they call equal are in the mixture, and so are imported; only two equal texts
    are refused.
    """
    fields = {name: value for name, value in object_of(row).items() if name not in RATING_COLUMNS}
    (draft,) = convert_preference(fields)
    raw_id = row.get("id")
    return [dataclasses.replace(draft, raw_id=raw_id if isinstance(raw_id, str) and raw_id.strip() else None)]


def part_name(source: Any) -> str:
    """`ai2-adapt-dev/oasst1_converted` → `oasst1_converted`: the published names differ in their owner."""
    return source.rpartition("/")[2] if isinstance(source, str) else ""
