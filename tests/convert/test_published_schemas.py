"""One row of every SFT family in exactly the schema that its publisher documents, other columns included, written by hand.

The families whose real files are at hand are converted from those as well: see test_real_files.py.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from posttrain.convert import FAMILIES
from posttrain.convert.families import SFT_FAMILIES
from posttrain.convert.rows import convert_rows, row_by_row
from posttrain.recipe import FileLoad, Source
from posttrain.schema import REASONS
from posttrain.storage import ArtifactWriter, read_examples, read_rejected

USER, ANSWER = {"role": "user", "content": "질문?"}, {"role": "assistant", "content": "답."}
ALPACA = {"instruction": "Name a colour.", "input": "", "output": "Red."}
SPAN = {"title": "서울", "context": "서울은 대한민국의 수도이다.", "question": "수도는?", "id": "1"}
REVIEWED = {
    "deleted": False,
    "review_result": True,
    "review_count": 3,
    "created_date": "2023-02-05T14:23:50+00:00",
    "synthetic": False,
    "model_name": None,
    "detoxify": None,
    "tree_state": "ready_for_export",
    "emojis": None,
}
S1K = {
    "solution": "1",
    "question": "1+0?",
    "cot_type": "math",
    "source_type": "AI-MO/NuminaMath-CoT/aops_forum",
    "metadata": "{}",
    "cot": None,
}

Expected = dict[str, Any]
"""Turns as (role, text), and the other fields of the draft that are set."""


def qa(question: str, answer: str, system: str | None = None, **fields: Any) -> Expected:
    turns = [("user", question), ("assistant", answer)]
    return {"turns": [("system", system), *turns] if system else turns, **fields}


ROWS: dict[str, list[tuple[dict[str, Any] | list[str], Expected]]] = {
    # ---------------------------------------------------------------- layouts
    "alpaca": [
        (
            ALPACA | {"history": [["hi", "hello"]]},
            {"turns": [("user", "hi"), ("assistant", "hello"), ("user", "Name a colour."), ("assistant", "Red.")]},
        )
    ],
    "messages": [({"id": "a_1", "messages": [USER, ANSWER], "lang": "ko"}, qa("질문?", "답.", raw_id="a_1", language="ko"))],
    "sharegpt": [({"id": "x", "conversations": [{"from": "user", "value": "q"}, {"from": "bard", "value": "a"}]}, qa("q", "a"))],
    "prompt_completion": [({"prompt": "q", "completion": "a"}, qa("q", "a"))],
    "pair": [(["q", "a"], qa("q", "a")), ({"질문지": "q", "응답": "a"}, qa("q", "a"))],
    "system_user_assistant": [
        ({"system": "짧게 답하세요.", "user": "질문?", "assistant": "답."}, qa("질문?", "답.", "짧게 답하세요.")),
        ({"user": "질문?", "assistant": "답."}, qa("질문?", "답.")),
    ],
    "korean_qa": [({"질문": "질문?", "답변": "답."}, qa("질문?", "답."))],
    "squad": [
        (SPAN | {"answers": [{"text": "서울", "answer_start": 0}]}, qa("서울은 대한민국의 수도이다.\n\n수도는?", "서울")),
        (SPAN | {"answer_start": 4, "answer_end": 8}, qa("서울은 대한민국의 수도이다.\n\n수도는?", "대한민국")),
    ],
    # ---------------------------------------------------------------- Tülu 3
    "tulu3_hardcoded": [({"id": "hard_coded_0", "messages": [USER, ANSWER]}, qa("질문?", "답.", raw_id="hard_coded_0"))],
    "tulu3_persona_math": [
        ({"id": "personahub_0", "prompt": "질문?", "messages": [USER, ANSWER]}, qa("질문?", "답.", raw_id="personahub_0"))
    ],
    "tulu3_persona_gsm": [({"id": "p_1", "prompt": "질문?\n", "messages": [USER, ANSWER]}, qa("질문?", "답.", raw_id="p_1"))],
    "tulu3_persona_algebra": [({"id": "p_2", "prompt": "질문?", "messages": [USER, ANSWER]}, qa("질문?", "답.", raw_id="p_2"))],
    "tulu3_persona_code": [({"id": "p_3", "prompt": "질문?", "messages": [USER, ANSWER]}, qa("질문?", "답.", raw_id="p_3"))],
    "tulu3_persona_if": [
        (
            {"id": "p_4", "prompt": "other", "messages": [USER, ANSWER], "constraints": ["length constraints:number of words"]},
            qa("질문?", "답.", raw_id="p_4", note="prompt is not the first user message: 'other' and '질문?'"),
        )
    ],
    # ---------------------------------------------------------------- people wrote them
    "oasst": [
        (
            {
                "message_tree_id": "t",
                "tree_state": "ready_for_export",
                "prompt": {
                    "message_id": "t",
                    "text": "질문?",
                    "role": "prompter",
                    "lang": "ko",
                    "replies": [
                        {
                            "message_id": "u",
                            "text": "답.",
                            "role": "assistant",
                            "lang": "ko",
                            "rank": 0,
                            "replies": [],
                            **REVIEWED,
                        }
                    ],
                    **REVIEWED,
                },
            },
            qa("질문?", "답.", language="ko"),
        )
    ],
    "oasst2": [
        (
            {
                "message_tree_id": "t",
                "prompt": {
                    "text": "q",
                    "role": "prompter",
                    "lang": "pt-BR",
                    "replies": [{"text": "a", "role": "assistant", "replies": [], **REVIEWED}],
                    **REVIEWED,
                },
            },
            qa("q", "a", language="pt-BR"),
        )
    ],
    "guanaco": [
        (
            {
                "text": '### Human: What is a "monopsony"?### Assistant: One buyer.\n\n1. A ### heading'
                "### Human: And now?### Assistant: Yes."
            },
            {
                "turns": [
                    ("user", 'What is a "monopsony"?'),
                    ("assistant", "One buyer.\n\n1. A ### heading"),
                    ("user", "And now?"),
                    ("assistant", "Yes."),
                ]
            },
        ),
        (
            {"text": "### Human: 하나### Assistant: 둘### Human: 셋"},
            qa("하나", "둘", note="the last question has no answer and was left out: '셋'"),
        ),
    ],
    "no_robots": [
        (
            {"prompt": "질문?", "prompt_id": "627a", "messages": [USER, ANSWER], "category": "Closed QA"},
            qa("질문?", "답.", skill="closed_qa"),
        )
    ],
    "dolly": [
        (
            {"instruction": "Who?", "context": "Ada wrote it.", "response": "Ada.", "category": "closed_qa"},
            qa("Who?\n\nAda wrote it.", "Ada.", skill="closed_qa"),
        )
    ],
    "lima": [
        ({"conversations": ["q", "a"], "source": "stackexchange"}, qa("q", "a")),
        (
            {"conversations": ["q", "a", "q2"], "source": "multi_turn"},
            qa("q", "a", note="the last question has no answer and was left out: 'q2'"),
        ),
    ],
    "aya": [
        (
            {
                "inputs": "질문?",
                "targets": "답.",
                "language": "Korean",
                "language_code": "kor",
                "annotation_type": "original-annotations",
                "user_id": "f0",
            },
            qa("질문?", "답.", language="ko"),
        ),
        ({"inputs": "q", "targets": "a", "language": "Standard Malay", "language_code": "zsm"}, qa("q", "a", language="ms")),
        # a code of ISO 639-3 that CLDR does not name
        ({"inputs": "q", "targets": "a", "language": "South Levantine", "language_code": "ajp"}, qa("q", "a", language="ajp")),
    ],
    "self_instruct": [
        (
            {
                "id": "seed_task_0",
                "name": "n",
                "instruction": "Add.",
                "instances": [{"input": "1 1", "output": "2"}],
                "is_classification": False,
            },
            qa("Add.\n\n1 1", "2"),
        )
    ],
    # ---------------------------------------------------------------- people asked, models answered
    "wildchat": [
        (
            {
                "conversation_hash": "cf1267ca",
                "model": "gpt-4-0314",
                "timestamp": "2023-04-09T00:02:53+00:00",
                "turn": 1,
                "conversation": [
                    USER | {"language": "Korean", "toxic": False, "redacted": False, "turn_identifier": 1},
                    ANSWER | {"language": "Korean", "toxic": False, "redacted": False, "turn_identifier": 1},
                ],
                "language": "Korean",
                "openai_moderation": [],
                "detoxify_moderation": [],
                "toxic": False,
                "redacted": False,
                "state": "Seoul",
                "country": "South Korea",
                "hashed_ip": "00",
                "header": {},
            },
            qa("질문?", "답.", raw_id="cf1267ca", language="ko", tags=("gpt-4-0314",)),
        ),
        ({"conversation_hash": "b", "conversation": [USER, ANSWER], "language": "Nolang"}, qa("질문?", "답.", raw_id="b")),
        ({"conversation_hash": "c", "conversation": [USER, ANSWER], "language": "Bengali"},
         qa("질문?", "답.", raw_id="c", language="bn")),
        ({"conversation_hash": "d", "conversation": [USER, ANSWER], "language": "Nynorsk"},
         qa("질문?", "답.", raw_id="d", language="nn")),
    ],
    "lmsys_chat": [
        (
            {
                "conversation_id": "33f0",
                "model": "gpt-4",
                "conversation": [USER, ANSWER],
                "turn": 1,
                "language": "Portuguese",
                "openai_moderation": [],
                "redacted": False,
            },
            qa("질문?", "답.", raw_id="33f0", language="pt", tags=("gpt-4",)),
        )
    ],
    "sharegpt_vicuna": [
        (
            {
                "id": "QWJhYvA_0",
                "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "<div><p>a <em>b</em></p></div>"}],
            },
            qa("q", "a *b*"),
        )
    ],
    "arena_answers": [
        (
            {
                "uid": "1",
                "ans_id": "2",
                "model": "gpt-4-0314",
                "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": {"answer": "a"}}],
                "tstamp": 1.0,
                "metadata": {},
            },
            qa("q", "a"),
        )
    ],
    # ---------------------------------------------------------------- models wrote them
    "stanford_alpaca": [(ALPACA | {"text": "Below is an instruction …"}, qa("Name a colour.", "Red."))],
    "alpaca_gpt4": [(ALPACA | {"text": "Below is an instruction …"}, qa("Name a colour.", "Red."))],
    "ultrachat": [
        ({"prompt": "질문?", "prompt_id": "f077", "messages": [USER, ANSWER]}, qa("질문?", "답.", raw_id="f077")),
        ({"id": "0", "data": ["q", "a"]}, qa("q", "a", raw_id="0")),
    ],
    "slim_orca": [
        (
            {
                "conversations": [
                    {"from": "system", "value": "Be brief.", "weight": None},
                    {"from": "human", "value": "q", "weight": 0.0},
                    {"from": "gpt", "value": "a", "weight": 1.0},
                ]
            },
            qa("q", "a", "Be brief."),
        )
    ],
    "wizardlm": [
        ({"idx": "JkJJ", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, qa("q", "a"))
    ],
    "daring_anteater": [
        (
            {
                "system": "",
                "mask": "User",
                "dataset": "synthetic_roleplay",
                "conversations": [
                    {"from": "User", "value": "q", "label": None},
                    {"from": "Assistant", "value": "a", "label": None},
                ],
            },
            qa("q", "a"),
        )
    ],
    "persona": [
        (
            {"input persona": "a nurse", "synthesized text": '"A tool\\nfor nurses."', "description": "tool development"},
            qa(
                "Task: tool development\nPersona: a nurse\n\nWrite what the task asks for, as this persona would need it.",
                "A tool\nfor nurses.",
                persona="a nurse",
            ),
        )
    ],
    # ---------------------------------------------------------------- tasks and knowledge
    "flan": [
        (
            {
                "inputs": "q",
                "targets": "a",
                "_template_idx": 3,
                "_task_source": "CoT",
                "_task_name": "cot_gsm8k",
                "_template_type": "fs_opt",
            },
            qa("q", "a"),
        )
    ],
    "p3": [
        (
            {
                "inputs": [1],
                "inputs_pretokenized": "q\n",
                "targets": [2],
                "targets_pretokenized": "\na",
                "answer_choices": ["a", "b"],
            },
            qa("q\n", "a"),
        ),
        (
            {"idx": [5, 0], "inputs_pretokenized": "q", "targets_pretokenized": "a", "is_correct": True, "weight": 1.0},
            qa("q", "a"),
        ),
    ],
    "sciriff": [
        (
            {"dataset": "science.bioasq_list_qa", "id": "science.bioasq.1", "messages": [USER, ANSWER]},
            qa("질문?", "답.", raw_id="science.bioasq.1"),
        )
    ],
    "table_gpt": [
        (
            {
                "task": "EntityMatching",
                "dataset": "Amazon-Google",
                "prompt": "q",
                "completion": '{"answer": "Yes"}',
                "messages": [],
                "metadata": "{}",
            },
            qa("q", '{"answer": "Yes"}'),
        )
    ],
    "web_instruct": [
        (
            {"orig_question": "o", "orig_answer": "p", "source": "mathstackexchange", "question": "q", "answer": "a", "index": 1},
            qa("q", "a", license="CC-BY-SA-4.0"),
        )
    ],
    "squad_v1": [
        (
            SPAN | {"answers": {"text": ["서울", "서울"], "answer_start": [0, 0]}},
            qa("서울은 대한민국의 수도이다.\n\n수도는?", "서울"),
        )
    ],
    "tydiqa_goldp": [
        (
            SPAN | {"answers": {"text": ["대한민국"], "answer_start": [4]}},
            qa("서울은 대한민국의 수도이다.\n\n수도는?", "대한민국"),
        )
    ],
    "tatqa": [
        (
            {
                "table": {"uid": "t", "table": [["", "2019"], ["Sales", "172"]]},
                "paragraphs": [{"uid": "p", "order": 1, "text": "In millions."}],
                "questions": [
                    {
                        "uid": "q",
                        "order": 1,
                        "question": "Sales in 2019?",
                        "answer": 172,
                        "derivation": "",
                        "answer_type": "span",
                        "answer_from": "table",
                        "rel_paragraphs": [],
                        "req_comparison": False,
                        "scale": "million",
                    }
                ],
            },
            qa("| 2019\nSales | 172\n\nIn millions.\n\nSales in 2019?", "172 million"),
        )
    ],
    "pubmedqa": [
        (
            {
                "pubid": 21645374,
                "question": "q?",
                "context": {"contexts": ["c"], "labels": ["BACKGROUND"], "meshes": []},
                "long_answer": "because",
                "final_decision": "yes",
            },
            qa("c\n\nq?", "Yes. because"),
        )
    ],
    # ---------------------------------------------------------------- maths, code, reasoning
    "open_math_instruct_2": [
        (
            {"problem": "1+1?", "generated_solution": "\\boxed{2}", "expected_answer": "2", "problem_source": "augmented_gsm8k"},
            qa("1+1?", "\\boxed{2}"),
        )
    ],
    "numinamath_cot": [
        ({"source": "cn_k12", "problem": "질문?", "solution": "답.", "messages": [USER, ANSWER]}, qa("질문?", "답."))
    ],
    "numinamath_tir": [({"problem": "질문?", "solution": "답.", "messages": [USER, ANSWER]}, qa("질문?", "답."))],
    "metamath": [({"type": "GSM_Rephrased", "query": "q", "original_question": "o", "response": "a"}, qa("q", "a"))],
    "evol_codealpaca": [({"instruction": "q", "response": "a"}, qa("q", "a"))],
    "codefeedback": [({"query": "q", "answer": "a", "resource": "evol", "lang": "python"}, qa("q", "a"))],
    "s1k": [
        (
            S1K | {"thinking_trajectories": ["0 changes nothing."], "attempt": "It is 1."},
            qa("1+0?", "<think>\n0 changes nothing.\n</think>\n\nIt is 1.", skill="math"),
        )
    ],
    "s1k_1_1": [
        (
            S1K
            | {
                "gemini_thinking_trajectory": "g",
                "gemini_attempt": "G",
                "deepseek_thinking_trajectory": "d",
                "deepseek_attempt": "D",
                "gemini_grade": "Yes",
                "deepseek_grade": "Yes",
            },
            qa("1+0?", "<think>\nd\n</think>\n\nD", skill="math"),
        )
    ],
    "llama_nemotron": [
        (
            {
                "input": [{"role": "user", "content": "q"}],
                "output": "<think>\nt\n</think>\n\na",
                "category": "code",
                "license": "cc-by-4.0",
                "reasoning": "on",
                "generator": "DeepSeek-R1",
                "used_in_training": "Ultra",
                "version": "v1.1",
                "system_prompt": "detailed thinking on",
            },
            qa("q", "<think>\nt\n</think>\n\na", "detailed thinking on", skill="code", license="cc-by-4.0"),
        )
    ],
    "open_code_reasoning": [
        (
            {
                "id": "0c",
                "input": "q",
                "output": "<think>\nt\n</think>\n\n```python\n1\n```",
                "source": "codeforces",
                "license": "cc-by-4.0",
                "dataset": "apps",
                "split": "train",
                "difficulty": "EASY",
                "solution": "1",
            },
            qa("q", "<think>\nt\n</think>\n\n```python\n1\n```", license="cc-by-4.0"),
        )
    ],
    # ---------------------------------------------------------------- safety
    "coconot": [
        (
            {"id": "coc_1", "category": "Humanizing requests", "subcategory": "personal", "prompt": "q", "response": "a"},
            qa("q", "a", skill="humanizing_requests", raw_id="coc_1"),
        )
    ],
    "wildjailbreak": [
        (
            {"vanilla": "plain", "adversarial": "", "completion": "a", "data_type": "vanilla_harmful"},
            qa("plain", "a", skill="vanilla_harmful"),
        ),
        (
            {"vanilla": "plain", "adversarial": "disguised", "completion": "a", "data_type": "adversarial_benign"},
            qa("disguised", "a", skill="adversarial_benign"),
        ),
    ],
    "wildguardmix": [
        (
            {
                "prompt": "q",
                "adversarial": True,
                "response": "I cannot.",
                "prompt_harm_label": "harmful",
                "response_refusal_label": "refusal",
                "response_harm_label": "unharmful",
                "subcategory": "defamation",
            },
            qa("q", "I cannot.", skill="defamation"),
        )
    ],
    "safety_labels": [
        (
            {
                "demographic_category": "성별",
                "demographic_group": "여성",
                "context": "상황",
                "context_en": "c",
                "sentence": "문장",
                "sentence_en": "s",
                "context_label": "safe",
                "sentence_label": "unsafe",
            },
            qa(
                "다음 문장에 사회적 편견이나 차별이 담겨 있습니까? '안전' 또는 '위험'으로만 답하세요.\n\n상황\n문장",
                "위험",
                language="ko",
            ),
        )
    ],
    # ---------------------------------------------------------------- Korean
    "koalpaca_v1": [
        (
            {"instruction": "홀수 중 하나를 밝히세요.", "input": "텔레그램", "output": "텔레그램입니다."},
            qa("홀수 중 하나를 밝히세요.\n\n텔레그램", "텔레그램입니다."),
        )
    ],
    "koalpaca_v1_1": [
        (
            {"instruction": "양파는 어떤 식물 부위인가요?", "output": "줄기입니다.", "url": "https://kin.naver.com/1"},
            qa("양파는 어떤 식물 부위인가요?", "줄기입니다."),
        )
    ],
    "chatbot_data_ko": [({"Q": "12시 땡!", "A": "하루가 또 가네요.", "label": "0"}, qa("12시 땡!", "하루가 또 가네요."))],
    "kullm_v2": [({"id": "alpaca_1", "instruction": "질문?", "input": "", "output": "답."}, qa("질문?", "답."))],
    "dolly_ko": [
        (
            {"id": "0", "instruction": "누가?", "context": "에이다가 썼다.", "response": "에이다.", "category": "closed_qa"},
            qa("누가?\n\n에이다가 썼다.", "에이다.", skill="closed_qa"),
        )
    ],
    "korquad": [
        (SPAN | {"answers": {"text": ["서울"], "answer_start": [0]}}, qa("서울은 대한민국의 수도이다.\n\n수도는?", "서울"))
    ],
}


@pytest.mark.parametrize(("family", "row", "expected"), [(name, *case) for name, cases in ROWS.items() for case in cases])
def test_a_row_in_the_published_schema(family: str, row: Any, expected: Expected) -> None:
    convert, _ = FAMILIES[family].bind({"repeat": 1} if family == "tulu3_hardcoded" else {})
    (draft,) = convert(row)
    assert draft.kind == "sft" and [(m.role, m.content) for m in draft.messages] == expected["turns"]
    for name in ("skill", "language", "license", "persona", "raw_id", "note"):
        assert getattr(draft, name) == expected.get(name), name
    assert draft.tags == expected.get("tags", ())


def has_its_own_test(family: str) -> bool:
    """A family that came with a test module, as docs/data.md shows it, has its rows there."""
    return Path(__file__).with_name(f"test_{family}.py").exists()


def test_every_sft_family_has_a_row() -> None:
    assert ROWS.keys() | {name for name in SFT_FAMILIES if has_its_own_test(name)} == SFT_FAMILIES.keys()


class Watched(dict[str, Any]):
    """A row that remembers which of its columns were asked for."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


ITEMWISE = {"pair", "pubmedqa"}
"""Families that go over all columns of a row, whatever their names."""


@pytest.mark.parametrize("family", sorted(ROWS.keys() - ITEMWISE))
def test_the_table_names_the_columns_that_are_read(family: str) -> None:
    """No column of a published row is read that the table does not name."""
    named = {name for column in FAMILIES[family].columns for part in column.split("/") for name in part.split(", ")}
    for row, _ in ROWS[family]:
        watched = Watched(row)  # type: ignore[arg-type]
        FAMILIES[family].convert(watched)
        assert watched.asked & row.keys() <= named, row


# ---------------------------------------------------------------- mutated rows

WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1.5,
    10**400,
    "",
    "x" * 20_000,
    "\x00\x1b",
    "### Human:",
    "<think>",
    "<div><p>x</p></div>",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"a": None},
    [1, "a"],
    [USER] * 3,
    {"replies": [{"replies": [{"replies": [{"text": []}]}]}]},
)
"""What stands in place of a value: every JSON type, huge and empty texts, control characters, wrong roles, deep nesting."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside of a row."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(row: Any, random: Random) -> Any:
    """The row with one to three of its values replaced, removed or joined by another."""
    row = copy.deepcopy(row)
    for _ in range(random.randint(1, 3)):
        found = list(places(row))
        if not found:
            break
        *path, last = random.choice(found)
        inside = functools.reduce(lambda value, key: value[key], path, row)
        change = random.choice(("replace", "replace", "remove", "add"))
        if change == "remove":
            del inside[last]
        elif change == "add" and isinstance(inside, dict):
            inside[random.choice(("extra", "messages", "text", "system", "role", "lang"))] = copy.deepcopy(random.choice(WRONG))
        else:
            inside[last] = copy.deepcopy(random.choice(WRONG))
    return row


HUMAN = "\n\nHuman: q\n\nAssistant: "
OTHER_KINDS: dict[str, dict[str, Any]] = {
    "preference": {"prompt": "q", "chosen": "a", "rejected": "b", "chosen_rating": 5.0, "rejected_rating": 2.0},
    "kto": {"messages": [USER, ANSWER], "label": True},
    "hh_rlhf": {"chosen": f"{HUMAN}a", "rejected": f"{HUMAN}b"},
    "hh_rlhf_translated": {"chosen": f"{HUMAN}a", "거부됨": "\n\n인간: q\n\n조수: b"},
    "hh_red_team": {"transcript": f"{HUMAN}a", "rating": 4.0, "tags": ["t"], "model_type": "rlhf", "num_params": "52B"},
    "shp": {
        "history": "q",
        "human_ref_A": "a",
        "human_ref_B": "b",
        "labels": 1,
        "score_A": 30,
        "score_B": 3,
        "score_ratio": 10.0,
        "domain": "askculinary_train",
    },
    "ultrafeedback": {
        "instruction": "q",
        "source": "evol_instruct",
        "models": ["m", "n"],
        "completions": [
            {
                "model": name,
                "response": name,
                "overall_score": score,
                "fine-grained_score": score,
                "annotations": {
                    aspect: {"Rating": str(score), "Rationale": "r"}
                    for aspect in ("instruction_following", "honesty", "truthfulness", "helpfulness")
                },
            }
            for name, score in (("m", 4), ("n", 2))
        ],
    },
    "nectar": {
        "prompt": HUMAN,
        "answers": [{"answer": "a", "model": "m", "rank": 1.0}, {"answer": "b", "model": "n", "rank": 5.0}],
        "turns": 1,
        "num_responses": 2,
        "source": ["sharegpt"],
        "good_natured": True,
    },
    "webgpt": {
        "question": {"dataset": "eli5", "id": "1", "full_text": "q"},
        "quotes_0": {},
        "answer_0": "a",
        "tokens_0": {},
        "score_0": 1.0,
        "quotes_1": {},
        "answer_1": "b",
        "tokens_1": {},
        "score_1": -1.0,
    },
    "pandalm": {
        "idx": 0,
        "cmp_key": "m_n",
        "instruction": "q",
        "input": "",
        "response1": "a",
        "response2": "b",
        "annotator1": 1,
        "annotator2": 1,
        "annotator3": 2,
    },
    "oasst_ranked": {"instruction": "q", "input": "", "output": ["a", "b"], "history": [["hi", "hello"]]},
    "gsm8k": {"question": "1+1?", "answer": "It is <<1+1=2>>2.\n#### 2"},
    "math": {"problem": "1+1?", "level": "Level 1", "type": "Algebra", "solution": "$\\boxed{2}$"},
    "rlvr": {"messages": [USER], "ground_truth": "2", "dataset": "gsm8k", "constraint_type": None, "constraint": None},
    "ifeval_rows": {"key": 1, "prompt": "q", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    "code_tests": {"id": "1", "source": "oss", "question": "q", "test_cases": ["assert 1 == 1"]},
    "tulu3_sft_mixture": {"id": "a_1", "messages": [USER, ANSWER], "source": "ai2-adapt-dev/oasst1_converted"},
    "tulu3_preference_8b": {
        "id": "1",
        "prompt": "질문?",
        "chosen": [USER, ANSWER],
        "rejected": [USER, {**ANSWER, "content": "다른 답."}],
        "source": "s",
        "chosen_model": "m",
        "rejected_model": "n",
    },
    "helpsteer2": {
        "prompt": "q",
        "response": "a",
        "helpfulness": 4,
        "correctness": 4,
        "coherence": 4,
        "complexity": 1,
        "verbosity": 1,
    },
}
"""A row of every family of preferences, RLVR rows and mixtures (what comes out of them is tested elsewhere)."""

OTHER_OPTIONS: dict[str, dict[str, Any]] = {
    "oasst": {"top_k": None, "order": "quality", "unanswered": "drop"},
    "sharegpt": {"context_length": 64},
    "s1k": {"trace": "drop"},
    "llama_nemotron": {"trace": "drop"},
    "flan": {"sample": {"cot_fsopt": 3}},
    "open_code_reasoning": {"trace": "drop", "answers_per_problem": 2},
}


def test_ten_thousand_mutated_rows_are_each_kept_or_refused_with_their_place(tmp_path: Path) -> None:
    random, read, kept = Random(0), 0, 0
    seeds = {name: [row for row, _ in cases] for name, cases in ROWS.items()} | {name: [row] for name, row in OTHER_KINDS.items()}
    seeds |= {name: [{column.split("/")[0]: "0" for column in family.columns}] for name, family in FAMILIES.items()
              if name not in seeds and has_its_own_test(name)}
    assert {FAMILIES[name].convert for name in seeds} == {family.convert for family in FAMILIES.values()}
    for name, options in [*((name, {}) for name in seeds), *OTHER_OPTIONS.items()]:
        family = FAMILIES[name]
        convert, sample = family.bind(options)
        rows = [("mutated.jsonl", n, mutated(random.choice(seeds[name]), random)) for n in range(130)]
        spec = Source(name=name, family=name, load=FileLoad(kind="file", path="x"), origin="o", license="l", options=options)
        writer = ArtifactWriter(str(tmp_path / f"{name}-{len(options)}"), stage="convert")
        convert_rows(convert, rows, spec, writer, family.join or row_by_row, sample)
        manifest = writer.finish()
        refused = list(read_rejected(manifest))
        assert manifest.rows["read"] == len(rows) == manifest.rows["kept"] + manifest.rows["rejected"], name
        assert len(refused) == manifest.rows["rejected"] and len({row["raw_row"] for row in refused}) == len(refused), name
        assert all(
            row["raw_file"] == "mutated.jsonl" and row["reason"] in REASONS and row["field"] and row["row"] for row in refused
        )
        assert not {row["raw_row"] for row in refused} & {example.raw_row for example in read_examples(manifest)}, name
        read, kept = read + len(rows), kept + manifest.rows["kept"]
    assert read > 10_000 and read / 5 < kept < read, "the mutations are neither harmless nor all fatal"
