"""The families whose rows are pairs, or labelled answers, to learn preferences from: one line a family."""

from __future__ import annotations

from posttrain.convert.family import Family
from posttrain.convert.hh_rlhf import convert_hh_rlhf
from posttrain.convert.kto import convert_kto
from posttrain.convert.oasst_ranked import convert_oasst_ranked
from posttrain.convert.pandalm import convert_pandalm
from posttrain.convert.preference import convert_preference

PREFERENCE_FAMILIES: dict[str, Family] = {
    "preference": Family(
        convert=convert_preference, kinds=("preference",),
        columns=("prompt/conversations", "chosen", "rejected", "system", "chosen_model", "rejected_model", "chosen_rating",
                 "rejected_rating", "score_chosen", "score_rejected", "chosen_score", "rejected_score"),
        layout="A pair: a prompt with two answers, or two whole conversations that differ in their last turn.",
    ),
    "kto": Family(
        convert=convert_kto, kinds=("preference",), columns=("messages/conversations/prompt, completion", "label", "system"),
        layout="One answer with a label, true or false.",
    ),
    "hh_rlhf": Family(
        convert=convert_hh_rlhf, kinds=("preference",), columns=("chosen", "rejected"),
        layout="Two transcripts (`Human:`, `Assistant:`) that differ in their last answer.",
        origin="anthropics/hh-rlhf", license="MIT", hub="Anthropic/hh-rlhf",
    ),
    "pandalm": Family(
        convert=convert_pandalm, kinds=("preference",),
        columns=("instruction", "input", "response1", "response2", "annotator1", "annotator2", "annotator3", "cmp_key"),
        layout="Two models' answers and three votes; chosen is what two of three prefer.",
        origin="WeOpenML/PandaLM", license="Apache-2.0",
    ),
    "oasst_ranked": Family(
        convert=convert_oasst_ranked, kinds=("preference",), columns=("instruction", "input", "history", "output"),
        layout="Answers in ranked order: the best one over the worst one.",
        origin="hiyouga/LLaMA-Factory, after OpenAssistant/oasst1", license="Apache-2.0",
    ),
}
