"""What Tülu 3 made itself, and the mixtures that it publishes, whose rows have the layout of another family."""

from __future__ import annotations

from posttrain.convert.families.shared import OPEN_INSTRUCT
from posttrain.convert.family import Family
from posttrain.convert.rlvr import convert_rlvr
from posttrain.convert.tulu3 import HardcodedOptions, convert_hardcoded, convert_tulu3_persona
from posttrain.convert.tulu3_mixtures import convert_tulu3_preference_mixture, convert_tulu3_sft_mixture


def _persona(what: str, layout: str, revision: str = "main") -> Family:
    hub = f"allenai/tulu-3-sft-personas-{what}"
    return Family(
        convert=convert_tulu3_persona, columns=("id", "prompt", "messages"), layout=layout,
        origin=hub, license="ODC-BY-1.0", hub=hub, revision=revision,
    )


TULU3: dict[str, Family] = {
    "tulu3_hardcoded": Family(
        convert=convert_hardcoded, options=HardcodedOptions, columns=("id", "messages"),
        layout="Who the model is and who made it, each row so many times.",
        origin="allenai/tulu-3-hardcoded-prompts", license="CC-BY-4.0", hub="allenai/tulu-3-hardcoded-prompts",
    ),
    "tulu3_persona_math": _persona(
        "math", "A maths problem written for a persona, solved.", "46add032f5203fd96efbd54d074198981ed57d25"),
    "tulu3_persona_gsm": _persona("math-grade", "A grade-school problem written for a persona, solved."),
    "tulu3_persona_algebra": _persona("algebra", "An intermediate algebra problem written for a persona, solved."),
    "tulu3_persona_code": _persona(
        "code", "A Python task written for a persona, solved.", "1412abe88dd2976af977260788e033013449f7b2"),
    "tulu3_persona_if": _persona(
        "instruction-following", "A request with checkable constraints written for a persona, and an answer that keeps them.",
        "fe0c7d350c9b4542b8d829a6f1daa1c259f0ba0e"),
}


def _preference(size: str, revision: str = "main") -> Family:
    hub = f"allenai/llama-3.1-tulu-3-{size}-preference-mixture"
    return Family(
        convert=convert_tulu3_preference_mixture, kinds=("preference",), columns=("id", "prompt", "chosen", "rejected", "source"),
        layout=f"The {size.upper()} preference mixture as published; id and source of every row are kept.",
        origin=hub, license="ODC-BY-1.0; its parts keep their own terms", hub=hub, revision=revision,
        tested_on=(f"{OPEN_INSTRUCT}/preference_sample.jsonl.gz",) if size == "8b" else (),
    )


def _rlvr(hub: str, license: str, what: str, *tested_on: str, revision: str = "main") -> Family:
    return Family(
        convert=convert_rlvr, kinds=("rlvr",), columns=("messages", "ground_truth", "dataset", "constraint_type"), layout=what,
        origin=hub, license=license, hub=hub, revision=revision, tested_on=tested_on,
    )


TULU3_MIXTURES: dict[str, Family] = {
    "tulu3_sft_mixture": Family(
        convert=convert_tulu3_sft_mixture, columns=("id", "messages", "source"),
        layout="The SFT mixture as published; id and source are kept, category and licence are those of the row's part.",
        origin="allenai/tulu-3-sft-mixture", license="ODC-BY-1.0; its parts keep their own terms",
        hub="allenai/tulu-3-sft-mixture",
        revision="b14afda60f1bbebe55d5d2fa1e4df5042f97f8be", tested_on=(f"{OPEN_INSTRUCT}/sft_sample.jsonl.gz",),
    ),
    "tulu3_preference_8b": _preference("8b", "78a6f00785946cd24276c5dd075f83a143a3b1e6"),
    "tulu3_preference_70b": _preference("70b", "c3814155b6710034871fa5aa0cda6be5530565c9"),
    "tulu3_preference_405b": _preference("405b"),
    "rlvr_mixed": _rlvr(
        "allenai/RLVR-GSM-MATH-IF-Mixed-Constraints", "ODC-BY-1.0; its parts keep their own terms",
        "The three sets that Tülu 3's RLVR trains on: 7,473 of GSM8K, 7,500 of MATH, 14,973 constraints.",
        f"{OPEN_INSTRUCT}/rlvr_sample.jsonl.gz", revision="22aaec1d591cfd5fda0919a428d53944315fb63d",
    ),
    "rlvr_gsm": _rlvr(
        "allenai/RLVR-GSM", "MIT", "GSM8K with worked examples before the question: 7,473 training rows. The 1,319 rows of its "
        "test split are refused by the hash of the question, wherever they come from.",
        revision="b14884519de816306cf8ce7fc74547284b9ac548",
    ),
    "rlvr_math": _rlvr(
        "allenai/RLVR-MATH", "MIT", "MATH's training problems with worked examples before the question.",
        revision="bd2a93551b503a395fadd1a740d957559cfe6f3c",
    ),
    "rlvr_ifeval": _rlvr(
        "allenai/RLVR-IFeval", "ODC-BY-1.0", "Prompts with one checkable constraint each.",
        revision="47c03c73621c4aab2b824b7818681117d662770e",
    ),
}
