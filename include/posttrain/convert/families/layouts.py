"""Forms of rows that many publishers use. They belong to nobody: the source that uses one states origin and licence."""

from __future__ import annotations

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.families.shared import COLLABORATION, FACTORY, OPEN_INSTRUCT, TYDIQA
from posttrain.convert.family import Family
from posttrain.convert.korean_qa import convert_korean_qa
from posttrain.convert.messages import convert_messages
from posttrain.convert.prompt_completion import COMPLETIONS, PROMPTS, convert_pair, convert_prompt_completion
from posttrain.convert.sharegpt import ShareGptOptions, convert_sharegpt
from posttrain.convert.squad import convert_squad

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
