"""The families whose rows are pairs, or labelled answers, to learn preferences from: one line a family."""

from __future__ import annotations

from posttrain.convert.family import PARQUET_BRANCH, PARQUET_TRAIN, Family
from posttrain.convert.helpsteer2 import HelpSteer2Options, convert_helpsteer2, join_answers
from posttrain.convert.hh_red_team import RedTeamOptions, convert_hh_red_team
from posttrain.convert.hh_rlhf import convert_hh_rlhf, convert_hh_rlhf_translated
from posttrain.convert.kto import convert_kto
from posttrain.convert.nectar import NectarOptions, convert_nectar
from posttrain.convert.oasst_ranked import convert_oasst_ranked
from posttrain.convert.pandalm import convert_pandalm
from posttrain.convert.preference import convert_preference
from posttrain.convert.shp import ShpOptions, convert_shp
from posttrain.convert.ultrafeedback import UltraFeedbackOptions, convert_ultrafeedback
from posttrain.convert.webgpt import WebGptOptions, convert_webgpt

HH_COMMIT = "53bb19af48e3dc246069b4a2e757a5ee5caeb549"
BINARIZED = ("prompt", "chosen", "rejected", "score_chosen", "score_rejected")

PREFERENCES: dict[str, Family] = {
    "preference": Family(
        convert=convert_preference, kinds=("preference",),
        columns=("prompt/conversations/question/instruction, input, history", "chosen", "rejected", "system",
                 "chosen_model/chosen-model", "rejected_model/rejected-model",
                 "chosen_rating/chosen-rating/score_chosen/chosen_score",
                 "rejected_rating/rejected-rating/score_rejected/rejected_score"),
        layout="A pair: a prompt with two answers, or two whole conversations that differ in their last turn; its own ratings "
               "must not be equal, nor say the opposite.",
        tested_on=("train/hiyouga__LLaMA-Factory/dpo_en_demo.4of5.json.gz",
                   "train/allenai__open-instruct/preference_sample.jsonl.gz",
                   "train/allenai__noncompliance/coconot_pref.4of5.jsonl.gz"),
    ),
    "kto": Family(
        convert=convert_kto, kinds=("preference",),
        columns=("messages/conversations/prompt, completion/instruction, input, output", "label/kto_tag", "system"),
        layout="One answer with a label, true or false.",
        tested_on=("train/hiyouga__LLaMA-Factory/kto_en_demo.json.gz",),
    ),
    "hh_rlhf": Family(
        convert=convert_hh_rlhf, kinds=("preference",), columns=("chosen", "rejected"),
        layout="Two transcripts (`Human:`, `Assistant:`) that differ in their last answer.",
        origin="anthropics/hh-rlhf", license="MIT", hub="Anthropic/hh-rlhf", revision=HH_COMMIT,
        files=("harmless-base/train.jsonl.gz", "helpful-*/train.jsonl.gz"),
        tested_on=("train/anthropics__hh-rlhf/test.4of5.jsonl.gz",),
    ),
    "hh_rlhf_translated": Family(
        convert=convert_hh_rlhf_translated, kinds=("preference",), columns=("chosen", "rejected/거부됨/거부/거절"),
        layout="HH-RLHF in machine translation: translated names of key and speakers are read, the chosen side's earlier turns "
               "stand for both.",
        origin="sionic-ai/Data_Ko_hh-rlhf, after anthropics/hh-rlhf", license="none stated",
        tested_on=("train/sionic-ai__Data_Ko_hh-rlhf/*.txt.gz",),
    ),
    "hh_red_team": Family(
        convert=convert_hh_red_team, kinds=("preference",), options=RedTeamOptions,
        columns=("transcript", "rating", "tags", "model_type"),
        layout="One transcript of an attack: a chosen example where the assistant held out, a rejected one where it gave way; "
               "tags are kept.",
        origin="anthropics/hh-rlhf (red-team-attempts)", license="MIT", hub="Anthropic/hh-rlhf", revision=HH_COMMIT,
        files=("red-team-attempts/red_team_attempts.jsonl.gz",),
    ),
    "shp": Family(
        convert=convert_shp, kinds=("preference",), options=ShpOptions,
        columns=("history", "human_ref_A", "human_ref_B", "labels", "score_A", "score_B", "score_ratio", "domain"),
        layout="A post with two comments of people; chosen is what `labels` says (1: A, 0: B), "
               "unless the scores say the opposite.",
        origin="stanfordnlp/SHP", license="none stated (Reddit's terms)", hub="stanfordnlp/SHP",
        revision="e94b5f32602712d78ed494fe79105b1959396686",
    ),
    "ultrafeedback": Family(
        convert=convert_ultrafeedback, kinds=("preference",), options=UltraFeedbackOptions,
        columns=("instruction/prompt", "completions", "source", "chosen", "rejected"),
        layout="Chosen: the best mean of four aspects; rejected: one with a strictly lower mean. Binarised rows as they are. "
               "TruthfulQA's prompts are refused.",
        origin="openbmb/UltraFeedback", license="MIT", hub="openbmb/UltraFeedback",
        revision="40b436560ca83a8dba36114c22ab3c66e43f6d5e",
    ),
    "ultrafeedback_binarized": Family(
        convert=convert_ultrafeedback, kinds=("preference",), options=UltraFeedbackOptions, columns=BINARIZED,
        layout="As published: the best overall score against one of the others. TruthfulQA's prompts stand among them, unmarked.",
        origin="HuggingFaceH4/ultrafeedback_binarized", license="MIT", hub="HuggingFaceH4/ultrafeedback_binarized",
        revision="2a3fb934ee563e5441bf211adaf5215c3fa508dd",
        split="train_prefs",
    ),
    "ultrafeedback_cleaned": Family(
        convert=convert_ultrafeedback, kinds=("preference",), options=UltraFeedbackOptions,
        columns=(*BINARIZED[:3], "score_chosen/chosen-rating", "score_rejected/rejected-rating", "chosen-model", "rejected-model",
                 "source"),
        layout="The binarised set without TruthfulQA's prompts: what `source` still marks as such is refused.",
        origin="allenai/ultrafeedback_binarized_cleaned", license="MIT", hub="allenai/ultrafeedback_binarized_cleaned",
        revision="f304ce59671d155273c861746581faa354d8a9af",
        split="train_prefs",
    ),
    "helpsteer2": Family(
        convert=convert_helpsteer2, join=join_answers, kinds=("preference",), options=HelpSteer2Options,
        columns=("prompt", "response/response_1, response_2, preference_strength", "helpfulness", "correctness", "coherence",
                 "complexity", "verbosity"),
        layout="All answers to one prompt: the highest score (mean, or a weighted sum) over the lowest. Of the preference file's "
               "two the better one; it holds validation rows too: `where: {split: train}`.",
        origin="nvidia/HelpSteer2", license="CC-BY-4.0", hub="nvidia/HelpSteer2",
        revision="282267c464637a5d169bc4946205f63bec3b8ae2",
    ),
    "nectar": Family(
        convert=convert_nectar, kinds=("preference",), options=NectarOptions, columns=("prompt", "answers", "source"),
        layout="Chosen: one of the best-ranked answers; rejected: one ranked strictly below it. TruthfulQA's prompts "
               "are refused.",
        origin="berkeley-nest/Nectar", license="Apache-2.0, not to compete with OpenAI (card)", non_commercial=True,
        hub="berkeley-nest/Nectar", revision="3c6b4c47fa1cc38869f9f32dce1699f7abad8b06",
    ),
    "webgpt": Family(
        convert=convert_webgpt, kinds=("preference",), options=WebGptOptions,
        columns=("question", "answer_0", "answer_1", "score_0", "score_1"),
        layout="A question with two answers: the higher score is chosen.",
        origin="openai/webgpt_comparisons", license="none stated", hub="openai/webgpt_comparisons",
        revision=PARQUET_BRANCH, files=PARQUET_TRAIN,
    ),
    "pandalm": Family(
        convert=convert_pandalm, kinds=("preference",),
        columns=("instruction/inputs/input_sequence", "input", "response1", "response2",
                 "annotator1/label_0/outputs/output/output_sequence", "annotator2/label_1", "annotator3/label_2", "cmp_key"),
        layout="Two models' answers and three votes: chosen is what two of three prefer. Or the verdict of the training set.",
        origin="WeOpenML/PandaLM", license="Apache-2.0; none stated for the training set",
        tested_on=("train/WeOpenML__PandaLM/testset-v1.json.gz",),
    ),
    "oasst_ranked": Family(
        convert=convert_oasst_ranked, kinds=("preference",), columns=("instruction", "input", "history", "output"),
        layout="Answers in ranked order: the best one over the worst one.",
        origin="hiyouga/LLaMA-Factory, after OpenAssistant/oasst1", license="Apache-2.0",
        tested_on=("train/hiyouga__LLaMA-Factory/oaast_rm_zh.json.gz",),
    ),
}
