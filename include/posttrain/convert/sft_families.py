"""The families whose rows are conversations to imitate: one line a family.

A licence is what the publisher's card or repository says; "none stated" where neither says anything. It covers the collection:
texts by other models or from other sites may have terms of their own.
"""

from __future__ import annotations

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.aya import convert_aya
from posttrain.convert.coconot import convert_coconot
from posttrain.convert.family import PARQUET_BRANCH, PARQUET_TRAIN, Family
from posttrain.convert.flan import TULU3_SAMPLE, FlanOptions, convert_flan, sample_collections
from posttrain.convert.guanaco import convert_guanaco
from posttrain.convert.korean_qa import convert_korean_qa
from posttrain.convert.llama_nemotron import convert_llama_nemotron
from posttrain.convert.messages import convert_arena_answers, convert_messages
from posttrain.convert.no_robots import convert_no_robots
from posttrain.convert.oasst import OasstOptions, convert_oasst, join_messages
from posttrain.convert.open_code_reasoning import CodeReasoningOptions, convert_open_code_reasoning, sample_answers
from posttrain.convert.open_math_instruct import convert_open_math_instruct
from posttrain.convert.p3 import convert_p3
from posttrain.convert.persona import convert_persona
from posttrain.convert.prompt_completion import COMPLETIONS, PROMPTS, convert_pair, convert_prompt_completion
from posttrain.convert.pubmedqa import convert_pubmedqa
from posttrain.convert.s1k import S1KOptions, convert_s1k
from posttrain.convert.safety_labels import convert_safety_labels
from posttrain.convert.sciriff import convert_sciriff
from posttrain.convert.self_instruct import convert_self_instruct
from posttrain.convert.sharegpt import ShareGptOptions, convert_sharegpt
from posttrain.convert.squad import convert_squad
from posttrain.convert.tatqa import convert_tatqa
from posttrain.convert.text_turns import convert_lima, convert_ultrachat
from posttrain.convert.think import TraceOptions
from posttrain.convert.tulu3 import HardcodedOptions, convert_hardcoded, convert_tulu3_persona
from posttrain.convert.web_instruct import convert_web_instruct
from posttrain.convert.wild_safety import convert_wildguardmix, convert_wildjailbreak
from posttrain.convert.wildchat import convert_wildchat

FACTORY = "train/hiyouga__LLaMA-Factory"
OPEN_INSTRUCT = "train/allenai__open-instruct"
SELF_INSTRUCT = "train/yizhongw__self-instruct"
COLLABORATION = "train/BunsenFeng__model_collaboration"
TYDIQA = "train/sagorbrur__tydiqa-language-specific"

OASST_COLUMNS = ("prompt/message_id, parent_id, message_tree_id", "text", "role", "lang", "rank", "labels", "deleted",
                 "review_result", "review_count")
ALPACA_COLUMNS = ("instruction", "input", "output")

LAYOUTS: dict[str, Family] = {
    "alpaca": Family(
        convert=convert_alpaca,
        columns=("instruction", "input/context", "output/response/answer", "history", "system", "category"),
        layout="An instruction with its input, and the answer; earlier turns from `history`; or the rendered Alpaca template.",
        tested_on=(
            f"{FACTORY}/alpaca_en_demo.json.gz", f"{FACTORY}/identity.json", f"{FACTORY}/oaast_sft_zh.json.gz",
            "train/sahil280114__codealpaca/code_alpaca_2k.json.gz", "train/sahil280114__codealpaca/new_codealpaca.4of5.json.gz",
            "train/vinid__safety-tuned-llamas/*.json.gz", "train/self_instruct_predictions/yizhongw__self-instruct/*",
        ),
    ),
    "messages": Family(
        convert=convert_messages, columns=("messages/conversation/conversations", "system", "id", "lang/language"),
        layout="A conversation of {role, content} turns, content a text or a list of parts; id and language code are kept.",
        tested_on=(f"{FACTORY}/v1_sft_demo.jsonl.gz", f"{FACTORY}/reason_tool_use_demo_50.jsonl.gz",
                   f"{OPEN_INSTRUCT}/sft_sample.jsonl.gz", f"{OPEN_INSTRUCT}/tulu2_mix_sample_debug.jsonl.gz"),
    ),
    "sharegpt": Family(
        convert=convert_sharegpt, options=ShareGptOptions, columns=("conversations/conversation/messages/items", "system"),
        layout="A conversation of {from, value} turns with the role names of the chat sites; HTML becomes Markdown.",
        tested_on=(f"{FACTORY}/glaive_toolcall_en_demo.json.gz", "train/lm-sys__FastChat/dummy_conversation.json.gz"),
    ),
    "prompt_completion": Family(
        convert=convert_prompt_completion, columns=("/".join(PROMPTS), "/".join(COMPLETIONS), "system", "skill"),
        layout="A prompt and its completion, by any of their usual names.",
        tested_on=(f"{COLLABORATION}/sciriff.dev.json.gz", f"{COLLABORATION}/tablemwp_free_text.dev.json.gz"),
    ),
    "pair": Family(
        convert=convert_pair, columns=("the two columns",),
        layout="A list of two texts, or an object of two columns of any name: a prompt and its answer.",
        tested_on=("train/nayohan__dolly-15k-analysis/*.jsonl.gz",),
    ),
    "system_user_assistant": Family(
        convert=convert_korean_qa, columns=("system", "user/instruction/question", "assistant/output/response/answer"),
        layout="One question and one answer in columns of those names, after a system text if there is one.",
    ),
    "korean_qa": Family(
        convert=convert_korean_qa,
        columns=("Q/question/질문/instruction/user", "A/answer/답변/response/output/assistant", "system"),
        layout="One Korean question, one answer, and a system text if there is one.",
        tested_on=("train/songys__Chatbot_data/ChatbotData.4of5.csv.gz",),
    ),
    "squad": Family(
        convert=convert_squad, columns=("context", "question", "answers/answer/answer_start, answer_end/start, end"),
        layout="Passage and question; the answer span becomes the answer's text.",
        tested_on=(f"{TYDIQA}/korean*",),
    ),
}
"""Forms of rows that many publishers use."""

TULU3: dict[str, Family] = {
    "tulu3_hardcoded": Family(
        convert=convert_hardcoded, options=HardcodedOptions, columns=("id", "messages"),
        layout="Who the model is and who made it, each row so many times.",
        origin="allenai/tulu-3-hardcoded-prompts", license="CC-BY-4.0", hub="allenai/tulu-3-hardcoded-prompts",
    ),
    "tulu3_persona_math": Family(
        convert=convert_tulu3_persona, columns=("id", "prompt", "messages"),
        layout="A maths problem written for a persona, solved.",
        origin="allenai/tulu-3-sft-personas-math", license="ODC-BY-1.0", hub="allenai/tulu-3-sft-personas-math",
        revision="46add032f5203fd96efbd54d074198981ed57d25",
    ),
    "tulu3_persona_gsm": Family(
        convert=convert_tulu3_persona, columns=("id", "prompt", "messages"),
        layout="A grade-school problem written for a persona, solved.",
        origin="allenai/tulu-3-sft-personas-math-grade", license="ODC-BY-1.0", hub="allenai/tulu-3-sft-personas-math-grade",
    ),
    "tulu3_persona_algebra": Family(
        convert=convert_tulu3_persona, columns=("id", "prompt", "messages"),
        layout="An intermediate algebra problem written for a persona, solved.",
        origin="allenai/tulu-3-sft-personas-algebra", license="ODC-BY-1.0", hub="allenai/tulu-3-sft-personas-algebra",
    ),
    "tulu3_persona_code": Family(
        convert=convert_tulu3_persona, columns=("id", "prompt", "messages"),
        layout="A Python task written for a persona, solved.",
        origin="allenai/tulu-3-sft-personas-code", license="ODC-BY-1.0", hub="allenai/tulu-3-sft-personas-code",
        revision="1412abe88dd2976af977260788e033013449f7b2",
    ),
    "tulu3_persona_if": Family(
        convert=convert_tulu3_persona, columns=("id", "prompt", "messages"),
        layout="A request with checkable constraints written for a persona, and an answer that keeps them.",
        origin="allenai/tulu-3-sft-personas-instruction-following", license="ODC-BY-1.0",
        hub="allenai/tulu-3-sft-personas-instruction-following",
        revision="fe0c7d350c9b4542b8d829a6f1daa1c259f0ba0e",
    ),
}
"""What Tülu 3 made itself."""

PUBLISHERS: dict[str, Family] = {
    # ---------------------------------------------------------------- people wrote them
    "oasst": Family(
        convert=convert_oasst, options=OasstOptions, join=join_messages, columns=OASST_COLUMNS,
        layout="Paths of a message tree, by default the best one; single messages are put together into trees first.",
        origin="OpenAssistant/oasst1", license="Apache-2.0", hub="OpenAssistant/oasst1",
        revision="fdf72ae0827c1cda404aff25b6603abec9e3399b",
        tested_on=("train/LAION-AI__Open-Assistant/en_100_tree.jsonl.gz",),
    ),
    "oasst2": Family(
        convert=convert_oasst, options=OasstOptions, join=join_messages, columns=OASST_COLUMNS,
        layout="As oasst: the second release, which contains the first.",
        origin="OpenAssistant/oasst2", license="Apache-2.0", hub="OpenAssistant/oasst2",
        revision="179dd21fc55192153d94adb0e0ce8f69e222bf75",
    ),
    "guanaco": Family(
        convert=convert_guanaco, columns=("text",),
        layout="The best path of an OASST1 tree as one text, `### Human:` and `### Assistant:`.",
        origin="timdettmers/openassistant-guanaco", license="Apache-2.0", hub="timdettmers/openassistant-guanaco",
        revision="831dabac2283d99420cda0b673d7a2a43849f17a",
    ),
    "no_robots": Family(
        convert=convert_no_robots, columns=("messages", "prompt", "category", "completion/response/answer", "system"),
        layout="The conversation; its category (Brainstorm, Rewrite, …) becomes the skill.",
        origin="HuggingFaceH4/no_robots", license="CC-BY-NC-4.0", non_commercial=True, hub="HuggingFaceH4/no_robots",
        revision="e6f9a4ac5c37faeb744ba9ecf0473184d7f8105b",
    ),
    "dolly": Family(
        convert=convert_alpaca, columns=("instruction", "context", "response", "category"),
        layout="An instruction with its context, and the answer; the category becomes the skill.",
        origin="databricks/databricks-dolly-15k", license="CC-BY-SA-3.0", hub="databricks/databricks-dolly-15k",
        revision="bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a",
    ),
    "lima": Family(
        convert=convert_lima, columns=("conversations/instruction, input, output, history",),
        layout="Texts in turn, the user first; or LLaMA-Factory's copy in Alpaca's columns.",
        origin="GAIR/lima", license="CC-BY-NC-SA or stricter per source", non_commercial=True, hub="GAIR/lima",
        revision="68958e98267f5fb4a52a03ebcdae4ae59213fa7c", files=("train.jsonl",),
        tested_on=(f"{FACTORY}/lima.4of5.json.gz",),
    ),
    "aya": Family(
        convert=convert_aya, columns=("inputs", "targets", "language_code/language"),
        layout="One question, one answer in one of 65 languages; the language code is kept.",
        origin="CohereForAI/aya_dataset", license="Apache-2.0", hub="CohereForAI/aya_dataset",
        revision="f9ea04583f02a8f86404ff6c58bf75fe637df8a2",
    ),
    "self_instruct": Family(
        convert=convert_self_instruct, columns=("instruction", "instances"),
        layout="A task and its instances: one conversation an instance.",
        origin="yizhongw/self-instruct", license="Apache-2.0", tested_on=(f"{SELF_INSTRUCT}/seed_tasks.jsonl.gz",),
    ),
    # ---------------------------------------------------------------- people asked, models answered
    "wildchat": Family(
        convert=convert_wildchat, columns=("conversation", "conversation_hash", "language", "model", "toxic", "redacted"),
        layout="A user's conversation with GPT-3.5 or GPT-4; select with `where` on model, toxic, redacted, language.",
        origin="allenai/WildChat-1M", license="ODC-BY-1.0", hub="allenai/WildChat-1M",
        revision="7d6490e462285cf85d91eabea0f9a954fbddcd1f",
    ),
    "lmsys_chat": Family(
        convert=convert_wildchat, columns=("conversation", "conversation_id", "language", "model", "redacted"),
        layout="A user's conversation with one of 25 models; select with `where` on model, redacted, language.",
        origin="lmsys/lmsys-chat-1m", license="LMSYS-Chat-1M agreement (gated): treated as non-commercial", non_commercial=True,
        hub="lmsys/lmsys-chat-1m", revision="200748d9d3cddcc9d782887541057aca0b18c5da",
    ),
    "sharegpt_vicuna": Family(
        convert=convert_sharegpt, options=ShareGptOptions, columns=("conversations",),
        layout="As sharegpt: conversations that users of ChatGPT shared, the 90,000 that Vicuna was trained on.",
        origin="anon8231489123/ShareGPT_Vicuna_unfiltered", license="none stated: users' conversations with ChatGPT",
        hub="anon8231489123/ShareGPT_Vicuna_unfiltered",
        revision="192ab2185289094fc556ec8ce5ce1e8e587154ca", files=("HTML_cleaned_raw_dataset/*.json",),
    ),
    "arena_answers": Family(
        convert=convert_arena_answers, columns=("messages",),
        layout="A model's answers to Arena-Hard's prompts, which stand in {answer: text}.",
        origin="lmarena/arena-hard-auto", license="Apache-2.0", tested_on=("train/lmarena__arena-hard-auto/gpt-*.jsonl.gz",),
    ),
    # ---------------------------------------------------------------- models wrote them
    "stanford_alpaca": Family(
        convert=convert_alpaca, columns=ALPACA_COLUMNS, layout="As alpaca: 52,000 rows by text-davinci-003.",
        origin="tatsu-lab/alpaca", license="CC-BY-NC-4.0", non_commercial=True, hub="tatsu-lab/alpaca",
        revision="dce01c9b08f87459cf36a430d809084718273017",
        tested_on=("train/tatsu-lab__stanford_alpaca/*.json.gz",),
    ),
    "alpaca_gpt4": Family(
        convert=convert_alpaca, columns=(*ALPACA_COLUMNS, "history"),
        layout="As alpaca: the same instructions answered by GPT-4; `history` where a copy has it.",
        origin="vicgalle/alpaca-gpt4", license="CC-BY-NC-4.0", non_commercial=True, hub="vicgalle/alpaca-gpt4",
        revision="f7e3ded725cb81e8e564e32feb12860f376f2b51",
    ),
    "ultrachat": Family(
        convert=convert_ultrachat, columns=("messages/data", "prompt", "prompt_id/id"),
        layout="A conversation of two models, as turns (200k) or as texts in turn (the whole set).",
        origin="HuggingFaceH4/ultrachat_200k", license="MIT", hub="HuggingFaceH4/ultrachat_200k",
        revision="8049631c405ae6576f93f445c6b8166f76f5505a", split="train_sft",
    ),
    "slim_orca": Family(
        convert=convert_messages, columns=("conversations",),
        layout="A FLAN question under a system text, answered by GPT-4.",
        origin="Open-Orca/SlimOrca", license="MIT", hub="Open-Orca/SlimOrca",
        revision="ce9ed009ef3292bac33d3520afaf5ec804066120",
    ),
    "wizardlm": Family(
        convert=convert_messages, columns=("conversations",), layout="Evolved instructions and their answers.",
        origin="WizardLMTeam/WizardLM_evol_instruct_V2_196k", license="MIT", hub="WizardLMTeam/WizardLM_evol_instruct_V2_196k",
        revision="8a7d15a83028b5c93915677704f492839e2675f6",
    ),
    "daring_anteater": Family(
        convert=convert_messages, columns=("conversations", "system"),
        layout="Conversations of turns from User and Assistant; open-instruct leaves `dataset` open_platypus_commercial out.",
        origin="nvidia/Daring-Anteater", license="CC-BY-4.0", hub="nvidia/Daring-Anteater",
        revision="ae79f8ac44cf185fbd3250dbe46057a7f7c4ec40",
    ),
    "persona": Family(
        convert=convert_persona,
        columns=("input persona/input_persona/persona", "synthesized text/synthesized_text", "description", "messages", "prompt",
                 "completion/response/answer/output"),
        layout="What a model wrote for a persona, under a fixed request; or the row's own conversation. The persona is kept.",
        origin="tencent-ailab/persona-hub", license="CC-BY-NC-SA-4.0", non_commercial=True, hub="proj-persona/PersonaHub",
        revision="16777e34bf5cb758b925cae5d84e868ee6c2100c",
        config="tool", tested_on=("train/tencent-ailab__persona-hub/tool.4of5.jsonl.gz",),
    ),
    # ---------------------------------------------------------------- tasks and knowledge
    "flan": Family(
        convert=convert_flan, options=FlanOptions, sample=sample_collections,
        columns=("inputs", "targets", "_task_source/task_source", "_template_type/template_type"),
        layout="A prompted task and its answer; of each sub-collection the fixed number of rows that Tülu 3 took.",
        origin="Open-Orca/FLAN", license="none stated: each task keeps its own terms", hub="Open-Orca/FLAN",
        revision="6845b1b3b53c6d5c5b1e49767ed759df3fc246cc",
        files=tuple(f"{name}_data/*" for name in TULU3_SAMPLE),
    ),
    "p3": Family(
        convert=convert_p3, columns=("inputs_pretokenized/prompt", "targets_pretokenized/completion", "is_correct"),
        layout="A prompted task and its answer, without `<|endoftext|>`; answer choices marked as wrong are refused.",
        origin="bigscience/P3", license="none stated: each data set keeps its own terms", hub="bigscience/P3",
        revision=PARQUET_BRANCH, files=PARQUET_TRAIN,
        tested_on=("train/t0_train/yizhongw__self-instruct/*",),
    ),
    "sciriff": Family(
        convert=convert_sciriff, columns=("messages/input, output", "id"),
        layout='A task on scientific papers; open-instruct takes `where: {dataset: "science*"}`.',
        origin="allenai/SciRIFF-train-mix", license="ODC-BY-1.0", hub="allenai/SciRIFF-train-mix",
        tested_on=(f"{COLLABORATION}/sciriff.dev.json.gz",),
    ),
    "table_gpt": Family(
        convert=convert_prompt_completion, columns=("prompt", "completion"),
        layout="A task on a table in Markdown, and its answer.",
        origin="LipengCS/Table-GPT", license="MIT", hub="LipengCS/Table-GPT",
        revision="25754c7a072dffca92e18c56f33832936f53495a", config="All",
    ),
    "web_instruct": Family(
        convert=convert_web_instruct, columns=("question", "answer", "source"),
        layout="A question from the web and its answer; rows from Stack Exchange get their own licence, CC-BY-SA-4.0.",
        origin="TIGER-Lab/WebInstructSub", license="Apache-2.0",
        hub="TIGER-Lab/WebInstructSub",
        revision="559b33b6bcd34da3da047bb235532941026955a4",
    ),
    "squad_v1": Family(
        convert=convert_squad, columns=("context", "question", "answers"), layout="As squad: Wikipedia passages in English.",
        origin="rajpurkar/squad", license="CC-BY-SA-4.0", hub="rajpurkar/squad",
        revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    ),
    "tydiqa_goldp": Family(
        convert=convert_squad, columns=("context", "question", "answers"), layout="As squad: passages in eleven languages.",
        origin="google-research-datasets/tydiqa", license="Apache-2.0", hub="google-research-datasets/tydiqa",
        revision="da78f23f9119363459acbaf46bf89426ff26c259",
        config="secondary_task", tested_on=(f"{TYDIQA}/korean*", f"{TYDIQA}/english*", f"{TYDIQA}/swahili*"),
    ),
    "tatqa": Family(
        convert=convert_tatqa, columns=("table", "paragraphs", "questions"),
        layout="A table, the paragraphs around it and a question; one conversation a question.",
        origin="NExTplusplus/TAT-QA", license="CC-BY-4.0", tested_on=("train/NExTplusplus__TAT-QA/tatqa_dataset_dev.json.gz",),
    ),
    "pubmedqa": Family(
        convert=convert_pubmedqa, columns=("CONTEXTS/context", "QUESTION", "final_decision", "LONG_ANSWER"),
        layout="Abstract and question, answered by the decision and the conclusion it rests on. 500 of the 1,000 labelled "
               "questions are the benchmark's test set.",
        origin="pubmedqa/pubmedqa", license="MIT", hub="qiaojin/PubMedQA",
        revision="9001f2853fb87cab8d220904e0de81ac6973b318", config="pqa_labeled",
        tested_on=("train/pubmedqa__pubmedqa/ori_pqal.json.gz",),
    ),
    # ---------------------------------------------------------------- maths, code, reasoning
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
    # ---------------------------------------------------------------- safety
    "coconot": Family(
        convert=convert_coconot, columns=("id", "category", "prompt", "response"),
        layout="A request that should not simply be complied with, and the answer; the category becomes the skill.",
        origin="allenai/coconot", license="ODC-BY-1.0", hub="allenai/coconot",
        revision="2cbe16aabf9069f17e48c8daad8aeabc29469eb7", config="original",
    ),
    "wildjailbreak": Family(
        convert=convert_wildjailbreak, columns=("data_type", "vanilla", "adversarial", "completion"),
        layout="The plain or the adversarial prompt, whichever `data_type` names, and a safe answer.",
        origin="allenai/wildjailbreak", license="ODC-BY-1.0", hub="allenai/wildjailbreak",
        revision="5ddc12ee397b402a35d575dbf1cd1f026ee4021a", config="train",
    ),
    "wildguardmix": Family(
        convert=convert_wildguardmix, columns=("prompt", "response", "response_harm_label", "subcategory"),
        layout="A prompt and its answer; rows without an answer, and answers that are labelled harmful, are refused.",
        origin="allenai/wildguardmix", license="ODC-BY-1.0 (the Tülu 3 card: Apache-2.0)", hub="allenai/wildguardmix",
        revision="d29c47c5ad310e0ef4a69f4ea73884566789641a",
        config="wildguardtrain",
    ),
    "safety_labels": Family(
        convert=convert_safety_labels, columns=("sentence, sentence_label/question, sensitive?", "context"),
        layout="A labelled Korean sentence (KoSBi) or question (SQuARe) as a classification row.",
        origin="naver-ai/korean-safety-benchmarks", license="MIT",
        tested_on=("train/naver-ai__korean-safety-benchmarks/kosbi_valid.json.gz",
                   "train/naver-ai__korean-safety-benchmarks/question_valid.json.gz"),
    ),
    # ---------------------------------------------------------------- Korean
    "koalpaca_v1": Family(
        convert=convert_alpaca, columns=ALPACA_COLUMNS, layout="As alpaca: translated by DeepL, answered by GPT-3.5-turbo.",
        origin="Beomi/KoAlpaca v1.0", license="CC-BY-NC-4.0", non_commercial=True, hub="Bingsu/ko_alpaca_data",
    ),
    "koalpaca_v1_1": Family(
        convert=convert_alpaca, columns=("instruction", "input", "output"),
        layout="As alpaca: questions of Naver KnowledgeiN, rewritten with their accepted answers.",
        origin="Beomi/KoAlpaca v1.1", license="none stated", hub="beomi/KoAlpaca-v1.1a",
    ),
    "chatbot_data_ko": Family(
        convert=convert_korean_qa, columns=("Q", "A"), layout="Small talk in pairs: a sentence and a reply.",
        origin="songys/Chatbot_data", license="MIT", tested_on=("train/songys__Chatbot_data/ChatbotData.4of5.csv.gz",),
    ),
    "kullm_v2": Family(
        convert=convert_alpaca, columns=ALPACA_COLUMNS, layout="As alpaca: GPT4ALL, Vicuna and Dolly rows translated by DeepL.",
        origin="nlpai-lab/kullm-v2", license="Apache-2.0", hub="nlpai-lab/kullm-v2",
        revision="cddcb73c259269928e974e0ce141f123eb068030",
    ),
    "dolly_ko": Family(
        convert=convert_alpaca, columns=("instruction", "context", "response", "category"),
        layout="As dolly: translated by DeepL.",
        origin="nlpai-lab/databricks-dolly-15k-ko", license="CC-BY-SA-3.0", hub="nlpai-lab/databricks-dolly-15k-ko",
    ),
    "korquad": Family(
        convert=convert_squad, columns=("context", "question", "answers"), layout="As squad: Wikipedia passages in Korean.",
        origin="KorQuAD/squad_kor_v1", license="CC-BY-ND-2.0-KR", hub="KorQuAD/squad_kor_v1",
        revision="01aad23853355e5f4f6317eeaaa8186811424834",
    ),
}
"""Published data sets, each with its own licence."""

SFT_FAMILIES: dict[str, Family] = LAYOUTS | TULU3 | PUBLISHERS
