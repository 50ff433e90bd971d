"""The families whose rows have an answer that a program can verify: one line a family."""

from __future__ import annotations

from posttrain.convert.family import Family
from posttrain.convert.gsm8k import convert_gsm8k
from posttrain.convert.math_problems import convert_math
from posttrain.convert.rlvr import convert_rlvr

RLVR_FAMILIES: dict[str, Family] = {
    "gsm8k": Family(
        convert=convert_gsm8k, kinds=("sft", "rlvr"), columns=("question", "answer", "skill"),
        layout="The worked answer as a conversation, and the question with the number after `####`.",
        origin="openai/grade-school-math", license="MIT", hub="openai/gsm8k", config="main",
    ),
    "math": Family(
        convert=convert_math, kinds=("sft", "rlvr"),
        columns=("problem/question/prompt", "solution/generated_solution", "answer/final_answer/expected_answer"),
        layout="The solution as a conversation where there is one, and the problem with the answer, or what the last box holds.",
        origin="hendrycks/math", license="MIT",
    ),
    "rlvr": Family(
        convert=convert_rlvr, kinds=("rlvr",), columns=("messages", "ground_truth", "dataset/verifier", "system"),
        layout="A prompt with its ground truth; `dataset` names the verifier.",
        origin="allenai/RLVR-GSM-MATH-IF-Mixed-Constraints", license="ODC-BY-1.0",
        hub="allenai/RLVR-GSM-MATH-IF-Mixed-Constraints",
    ),
}
