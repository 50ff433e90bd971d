"""Maths, code and reasoning."""

from __future__ import annotations

from posttrain.convert.family import Family
from posttrain.convert.llama_nemotron import convert_llama_nemotron
from posttrain.convert.messages import convert_messages
from posttrain.convert.open_code_reasoning import CodeReasoningOptions, convert_open_code_reasoning, sample_answers
from posttrain.convert.open_math_instruct import convert_open_math_instruct
from posttrain.convert.prompt_completion import convert_prompt_completion
from posttrain.convert.s1k import S1KOptions, convert_s1k
from posttrain.convert.think import TraceOptions

REASONING: dict[str, Family] = {
    "open_math_instruct_2": Family(
        convert=convert_open_math_instruct, columns=("problem", "generated_solution"),
        layout='A problem and a generated solution; Tülu 3 takes `where: {problem_source: "*gsm8k"}`.',
        origin="nvidia/OpenMathInstruct-2", license="CC-BY-4.0", hub="nvidia/OpenMathInstruct-2",
        revision="469216e3f46f4dacf476b382e192485ea51a143e",
    ),
    "numinamath_cot": Family(
        convert=convert_messages, columns=("messages",), layout="A competition problem, solved step by step.",
        origin="AI-MO/NuminaMath-CoT", license="Apache-2.0", hub="AI-MO/NuminaMath-CoT",
        revision="9d8d210c9f6a36c8f3cd84045668c9b7800ef517",
    ),
    "numinamath_tir": Family(
        convert=convert_messages, columns=("messages",), layout="A competition problem, solved with Python and its output.",
        origin="AI-MO/NuminaMath-TIR", license="Apache-2.0 (an early card: CC-BY-NC-4.0): non-commercial until cleared",
        non_commercial=True, hub="AI-MO/NuminaMath-TIR",
        revision="77a91d7b7a1a98ac4b1beb7d86c09d156b935dcd",
    ),
    "metamath": Family(
        convert=convert_prompt_completion, columns=("query", "response"), layout="Rewritten GSM8K and MATH problems, solved.",
        origin="meta-math/MetaMathQA", license="MIT", hub="meta-math/MetaMathQA",
        revision="aa4f34d3d2d3231299b5b03d9b3e5a20da45aa18",
    ),
    "evol_codealpaca": Family(
        convert=convert_prompt_completion, columns=("instruction", "response"),
        layout="An evolved programming task and its solution.",
        origin="ise-uiuc/Magicoder-Evol-Instruct-110K", license="Apache-2.0", hub="ise-uiuc/Magicoder-Evol-Instruct-110K",
        revision="b0079beaa0361d82412520b873715bee59cc7dd4",
    ),
    "codefeedback": Family(
        convert=convert_prompt_completion, columns=("query", "answer"), layout="A programming question and its answer.",
        origin="m-a-p/CodeFeedback-Filtered-Instruction", license="Apache-2.0", hub="m-a-p/CodeFeedback-Filtered-Instruction",
        revision="a08c213a9748c66c15d0225814be80a2e77adf4a",
    ),
    "s1k": Family(
        convert=convert_s1k, options=S1KOptions, columns=("question", "thinking_trajectories", "attempt", "cot_type"),
        layout="A hard question, a model's reasoning in think tags (or left out) and its answer.",
        origin="simplescaling/s1K", license="Apache-2.0", hub="simplescaling/s1K",
        revision="278d72baaa2b887a7e76a70a0ae254a5a45536e4",
    ),
    "s1k_1_1": Family(
        convert=convert_s1k, options=S1KOptions,
        columns=("question", "deepseek_thinking_trajectory/gemini_thinking_trajectory", "deepseek_attempt/gemini_attempt",
                 "cot_type"),
        layout="The questions of s1k with the reasoning and answer of DeepSeek-R1 or Gemini.",
        origin="simplescaling/s1K-1.1", license="MIT", hub="simplescaling/s1K-1.1",
        revision="96c411f1fe4c49d20f0e2a1565f61e1a28b0b84d",
    ),
    "llama_nemotron": Family(
        convert=convert_llama_nemotron, options=TraceOptions, columns=("input", "output", "system_prompt", "category", "license"),
        layout="Turns and the answer after them, with reasoning in think tags (or left out), under the row's own licence.",
        origin="nvidia/Llama-Nemotron-Post-Training-Dataset", license="CC-BY-4.0",
        hub="nvidia/Llama-Nemotron-Post-Training-Dataset",
        revision="ed905e6239c9d191e4c965a403dde07a5383b5eb", config="SFT", split="code",
    ),
    "open_code_reasoning": Family(
        convert=convert_open_code_reasoning, options=CodeReasoningOptions, sample=sample_answers,
        columns=("id", "input", "output", "license"),
        layout="A programming problem and an answer of DeepSeek-R1, with reasoning in think tags (or left out).",
        origin="nvidia/OpenCodeReasoning", license="CC-BY-4.0", hub="nvidia/OpenCodeReasoning",
        revision="20a1ca19c0d050fe9057fc08339d6b370ec1c67a", config="split_0", split="split_0",
    ),
}
