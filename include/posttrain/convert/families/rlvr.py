"""The families whose rows have an answer that a program can verify: one line a family."""

from __future__ import annotations

from posttrain.convert.code_tests import convert_code_tests
from posttrain.convert.family import Family
from posttrain.convert.gsm8k import convert_gsm8k
from posttrain.convert.math_problems import convert_math
from posttrain.convert.rlvr import convert_ifeval_rows, convert_rlvr

RLVR: dict[str, Family] = {
    "gsm8k": Family(
        convert=convert_gsm8k, kinds=("sft", "rlvr"), columns=("question", "answer", "skill"),
        layout="The worked answer as a conversation, and the question with the number after `####`.",
        origin="openai/grade-school-math", license="MIT", hub="openai/gsm8k",
        revision="740312add88f781978c0658806c59bc2815b9866", config="main",
        tested_on=("train/openai__grade-school-math/train.jsonl.gz",),
    ),
    "math": Family(
        convert=convert_math, kinds=("sft", "rlvr"),
        columns=("problem/question/prompt", "solution/generated_solution", "answer/final_answer/expected_answer",
                 "type/subject", "level"),
        layout="The solution as a conversation where there is one, and the problem with the answer, or what the last box "
               "holds; the subject becomes the skill, the level a tag.",
        origin="hendrycks/math", license="MIT", tested_on=("train/GAIR-NLP__LIMR/math.8k.4of5.json.gz",),
    ),
    "rlvr": Family(
        convert=convert_rlvr, kinds=("rlvr",),
        columns=("messages", "ground_truth", "dataset/verifier", "system", "type/subject", "level", "constraint_type"),
        layout="A prompt with its ground truth; `dataset` names the verifier: gsm8k, math, ifeval or code.",
        tested_on=("train/allenai__open-instruct/rlvr_sample.jsonl.gz",),
    ),
    "ifeval_rows": Family(
        convert=convert_ifeval_rows, kinds=("rlvr",),
        columns=("prompt/question/instruction", "instruction_id_list/instruction_id", "kwargs"),
        layout="A prompt with its checkable instructions, in the layout of IFEval's file.",
    ),
    "code_tests": Family(
        convert=convert_code_tests, kinds=("rlvr",),
        columns=("question/prompt/instruction/text", "test_cases/test_list/tests"),
        layout="A programming task with assert statements, which the `code` verifier runs.",
        origin="TIGER-Lab/AceCode-87K", license="MIT", hub="TIGER-Lab/AceCode-87K",
        tested_on=("train/allenai__open-instruct/acecode_sample.jsonl",),
    ),
}
