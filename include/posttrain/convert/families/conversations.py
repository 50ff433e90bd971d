"""Conversations and instructions of any subject."""

from __future__ import annotations

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.aya import convert_aya
from posttrain.convert.families.shared import ALPACA_COLUMNS, FACTORY
from posttrain.convert.family import Family
from posttrain.convert.guanaco import convert_guanaco
from posttrain.convert.messages import convert_arena_answers, convert_messages
from posttrain.convert.no_robots import convert_no_robots
from posttrain.convert.oasst import OasstOptions, convert_oasst, join_messages
from posttrain.convert.persona import convert_persona
from posttrain.convert.self_instruct import convert_self_instruct
from posttrain.convert.sharegpt import ShareGptOptions, convert_sharegpt
from posttrain.convert.text_turns import convert_lima, convert_ultrachat
from posttrain.convert.wildchat import convert_wildchat

OASST_COLUMNS = ("prompt/message_id, parent_id, message_tree_id", "text", "role", "lang", "rank", "labels", "deleted",
                 "review_result", "review_count")

CONVERSATIONS: dict[str, Family] = {
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
        origin="yizhongw/self-instruct", license="Apache-2.0", tested_on=("train/yizhongw__self-instruct/seed_tasks.jsonl.gz",),
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
}
