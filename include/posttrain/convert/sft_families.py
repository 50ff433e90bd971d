"""The families whose rows are conversations to imitate: one line a family.

Licences are those of the publishers' cards; "none stated" where a card has none.
"""

from __future__ import annotations

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.family import Family
from posttrain.convert.korean_qa import convert_korean_qa
from posttrain.convert.messages import convert_arena_answers, convert_messages
from posttrain.convert.no_robots import convert_no_robots
from posttrain.convert.oasst import convert_oasst, join_messages
from posttrain.convert.persona import convert_persona
from posttrain.convert.prompt_completion import COMPLETIONS, PROMPTS, convert_pair, convert_prompt_completion
from posttrain.convert.pubmedqa import convert_pubmedqa
from posttrain.convert.safety_labels import convert_safety_labels
from posttrain.convert.self_instruct import convert_self_instruct
from posttrain.convert.sharegpt import convert_sharegpt
from posttrain.convert.squad import convert_squad
from posttrain.convert.tatqa import convert_tatqa

SFT_FAMILIES: dict[str, Family] = {
    # ---------------------------------------------------------------- layouts of many publishers
    "alpaca": Family(
        convert=convert_alpaca,
        columns=("instruction", "input/context", "output/response/answer", "history", "system", "category"),
        layout="An instruction with its input, and the answer; earlier turns from `history`; or the rendered Alpaca template.",
    ),
    "messages": Family(
        convert=convert_messages, columns=("messages/conversation/conversations", "system", "id", "lang/language"),
        layout="A conversation of {role, content} turns, content a text or a list of parts; id and language code are kept.",
    ),
    "prompt_completion": Family(
        convert=convert_prompt_completion, columns=("/".join(PROMPTS), "/".join(COMPLETIONS), "system", "skill"),
        layout="A prompt and its completion, by any of their usual names.",
    ),
    "pair": Family(
        convert=convert_pair, columns=("the two columns",),
        layout="A list of two texts, or an object of two columns of any name: a prompt and its answer.",
    ),
    "sharegpt": Family(
        convert=convert_sharegpt, columns=("conversations/conversation/messages/items", "system"),
        layout="A conversation of {from, value} turns with the role names of the chat sites; HTML becomes text.",
    ),
    "korean_qa": Family(
        convert=convert_korean_qa,
        columns=("Q/question/질문/instruction/user", "A/answer/답변/response/output/assistant", "system"),
        layout="One Korean question, one answer, and a system text if there is one.",
    ),
    "squad": Family(
        convert=convert_squad, columns=("context", "question", "answers/answer/start, end"),
        layout="Passage and question; the answer span becomes the answer's text.",
    ),
    # ---------------------------------------------------------------- publishers
    "no_robots": Family(
        convert=convert_no_robots, columns=("messages", "prompt", "category", "completion/response/answer", "system"),
        layout="The conversation; its category (Brainstorm, Rewrite, …) becomes the skill.",
        origin="HuggingFaceH4/no_robots", license="CC-BY-NC-4.0", non_commercial=True, hub="HuggingFaceH4/no_robots",
    ),
    "arena_answers": Family(
        convert=convert_arena_answers, columns=("messages",),
        layout="A model's answers to Arena-Hard's prompts, which stand in {answer: text}.",
        origin="lmarena/arena-hard-auto", license="Apache-2.0",
    ),
    "oasst": Family(
        convert=convert_oasst, join=join_messages,
        columns=("prompt/message_id, parent_id, message_tree_id", "text", "role", "lang", "rank", "labels", "deleted",
                 "review_result", "review_count"),
        layout="The best path of a message tree; single messages are put together into trees first.",
        origin="OpenAssistant/oasst1", license="Apache-2.0", hub="OpenAssistant/oasst1",
    ),
    "self_instruct": Family(
        convert=convert_self_instruct, columns=("instruction", "instances"),
        layout="A task and its instances: one conversation an instance.",
        origin="yizhongw/self-instruct", license="Apache-2.0",
    ),
    "persona": Family(
        convert=convert_persona,
        columns=("input persona/input_persona/persona", "synthesized text/synthesized_text", "description", "messages", "prompt",
                 "completion/response/answer/output"),
        layout="What a model wrote for a persona, under a fixed request; or the row's own conversation. The persona is kept.",
        origin="tencent-ailab/persona-hub", license="CC-BY-NC-SA-4.0", non_commercial=True, hub="proj-persona/PersonaHub",
    ),
    "tatqa": Family(
        convert=convert_tatqa, columns=("table", "paragraphs", "questions"),
        layout="A table, the paragraphs around it and a question; one conversation a question.",
        origin="NExTplusplus/TAT-QA", license="CC-BY-4.0",
    ),
    "pubmedqa": Family(
        convert=convert_pubmedqa, columns=("CONTEXTS/context", "QUESTION", "final_decision", "LONG_ANSWER"),
        layout="Abstract and question, answered by the decision and the conclusion it rests on.",
        origin="pubmedqa/pubmedqa", license="MIT", hub="qiaojin/PubMedQA", config="pqa_labeled",
    ),
    "safety_labels": Family(
        convert=convert_safety_labels, columns=("sentence, sentence_label/question, sensitive?", "context"),
        layout="A labelled Korean sentence (KoSBi) or question (SQuARe) as a classification row.",
        origin="naver-ai/korean-safety-benchmarks", license="MIT",
    ),
}
