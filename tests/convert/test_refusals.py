"""What every family refuses, with reason and field. One line a case."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.convert import FAMILIES
from posttrain.schema import UnreadableRow

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}
HUMAN = {"from": "human", "value": "hi"}
GPT = {"from": "gpt", "value": "hello"}
PANDALM = {"instruction": "q", "input": "", "response1": "a", "response2": "b", "annotator1": 1, "annotator2": 1, "annotator3": 2}

CASES: list[tuple[str, Any, str, str]] = [
    # family, row, reason, field
    ("alpaca", {"instruction": "q", "input": ""}, "missing_field", "output"),
    ("alpaca", {"instruction": None, "output": "a"}, "missing_field", "instruction"),
    ("alpaca", {"instruction": "q", "output": True}, "wrong_type", "output"),
    ("alpaca", {"instruction": "q", "output": "a", "history": [["only one"]]}, "wrong_type", "history[0]"),
    ("alpaca", "no template", "no_assistant_turn", "row"),
    ("alpaca", 7, "wrong_type", "row"),
    ("prompt_completion", {"prompt": "q"}, "no_assistant_turn", "completion"),
    ("prompt_completion", {"completion": "a"}, "missing_field", "prompt"),
    ("prompt_completion", {"prompt": "q", "completion": ["a"]}, "wrong_type", "completion"),
    ("pair", ["q", "a", "b"], "wrong_type", "row"),
    ("pair", {"left": "q", "right": 3}, "wrong_type", "right"),
    ("no_robots", {"prompt": "q", "category": "Chat"}, "missing_field", "completion"),
    ("messages", "Can you tell me about GLaDOS?", "no_assistant_turn", "row"),
    ("messages", {"id": "x"}, "missing_field", "messages"),
    ("messages", {"messages": "hi"}, "wrong_type", "messages"),
    ("messages", {"messages": [USER]}, "no_assistant_turn", "messages"),
    ("messages", {"messages": []}, "no_user_turn", "messages"),
    ("messages", {"messages": [ANSWER]}, "no_user_turn", "messages"),
    ("messages", {"messages": [ANSWER, USER, ANSWER]}, "roles_do_not_alternate", "messages"),
    ("messages", {"messages": [USER, USER, ANSWER]}, "roles_do_not_alternate", "messages"),
    ("messages", {"messages": [USER, ANSWER, USER]}, "no_assistant_turn", "messages"),
    ("messages", {"messages": [{"role": "narrator", "content": "x"}, ANSWER]}, "unknown_role", "messages[0].role"),
    ("messages", {"messages": [{"content": "x"}, ANSWER]}, "missing_field", "messages[0].role"),
    ("messages", {"messages": [USER, {"role": "assistant", "content": None}]}, "missing_field", "messages[1].content"),
    ("messages", {"messages": [USER, {"role": "assistant", "content": False}]}, "wrong_type", "messages[1].content"),
    ("messages", {"messages": [USER, {"role": "tool", "content": "{}"}, ANSWER]}, "tool_call_turns", "messages[1]"),
    (
        "messages",
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        "tool_call_turns",
        "messages[1]",
    ),
    (
        "messages",
        {"messages": [USER, {"role": "assistant", "content": [{"type": "tool_call", "value": "{}"}]}]},
        "tool_call_turns",
        "messages[1]",
    ),
    (
        "messages",
        {"messages": [USER, {"role": "assistant", "content": [{"type": "image", "value": "x.png"}]}]},
        "wrong_type",
        "messages[1].content[0].type",
    ),
    (
        "arena_answers",
        {"messages": [USER, {"role": "assistant", "content": {"text": "hello"}}]},
        "missing_field",
        "messages[1].content.answer",
    ),
    (
        "sharegpt",
        {"conversations": [HUMAN, {"from": "function_call", "value": "{}"}, {"from": "observation", "value": "{}"}, GPT]},
        "tool_call_turns",
        "conversations[1]",
    ),
    ("sharegpt", {"conversations": [GPT, HUMAN]}, "roles_do_not_alternate", "messages"),
    ("oasst", {"message_id": "a", "parent_id": None, "text": "q", "role": "prompter"}, "missing_field", "prompt"),
    ("oasst", {"prompt": {"text": "q", "role": "prompter", "replies": []}}, "no_complete_path", "prompt.replies"),
    (
        "oasst",
        {"prompt": {"text": "q", "role": "prompter", "replies": [{"text": "a", "role": "assistant", "deleted": True}]}},
        "no_complete_path",
        "prompt.replies",
    ),
    ("oasst", {"prompt": "q"}, "wrong_type", "prompt"),
    ("oasst_ranked", {"instruction": "q", "output": "a"}, "wrong_type", "output"),
    ("oasst_ranked", {"instruction": "q", "output": ["a"]}, "missing_field", "output[1]"),
    ("oasst_ranked", {"instruction": "q", "output": ["a", "b", "a"]}, "tied_pair", "rejected"),
    ("self_instruct", {"instruction": "q", "instances": []}, "no_assistant_turn", "instances"),
    ("self_instruct", {"instruction": "q", "instances": ["a"]}, "wrong_type", "instances[0]"),
    ("gsm8k", {"question": "2+3?", "answer": "It is 5."}, "no_final_answer", "answer"),
    ("gsm8k", {"question": "2+3?", "answer": None}, "missing_field", "answer"),
    ("math", {"problem": "1+1", "solution": "It is two."}, "no_final_answer", "solution"),
    ("math", {"prompt": "1+1", "answer": ""}, "no_final_answer", "answer"),
    ("math", {"prompt": "1+1"}, "missing_field", "solution"),
    ("rlvr", {"messages": [USER], "ground_truth": "1", "dataset": "chess"}, "unknown_verifier", "dataset"),
    ("rlvr", {"messages": [USER], "dataset": "gsm8k"}, "missing_field", "ground_truth"),
    ("rlvr", {"messages": [USER, ANSWER], "ground_truth": "1", "dataset": "gsm8k"}, "roles_do_not_alternate", "messages"),
    (
        "hh_rlhf",
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "거부됨": "\n\nHuman: q\n\nAssistant: b"},
        "missing_field",
        "rejected",
    ),
    (
        "hh_rlhf",
        {"chosen": "\n\nHuman: 질문\n\n조수: 답", "rejected": "\n\nHuman: 질문\n\nAssistant: 답2"},
        "unknown_role",
        "chosen",
    ),
    (
        "hh_rlhf",
        {"chosen": "\n\nHuman: 인종차별\n\nAssistant: 답", "rejected": "\n\nHuman: 인종 차별\n\nAssistant: 다른 답"},
        "prompts_differ",
        "rejected",
    ),
    ("hh_rlhf", {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: a"}, "tied_pair", "rejected"),
    ("hh_rlhf", {"chosen": "no speaker", "rejected": "none"}, "no_user_turn", "chosen"),
    ("preference", {"chosen": "a", "rejected": "b"}, "missing_field", "prompt"),
    ("preference", {"prompt": "q", "chosen": "a"}, "missing_field", "rejected"),
    ("preference", {"prompt": "q", "chosen": "a", "rejected": "a "}, "tied_pair", "rejected"),
    (
        "preference",
        {"prompt": "q", "chosen": "a", "rejected": "b", "chosen_rating": 4.0, "rejected_rating": 4.0},
        "tied_pair",
        "rejected_rating",
    ),
    (
        "preference",
        {"chosen": [USER, ANSWER], "rejected": [{"role": "user", "content": "hey"}, ANSWER]},
        "prompts_differ",
        "rejected",
    ),
    ("kto", {"messages": [USER, ANSWER]}, "missing_field", "label"),
    ("kto", {"messages": [USER, ANSWER], "label": "good"}, "wrong_type", "label"),
    ("kto", {"instruction": "q", "output": "a", "kto_tag": "true"}, "wrong_type", "kto_tag"),
    ("kto", {"instruction": "q", "kto_tag": True}, "missing_field", "output"),
    ("pandalm", PANDALM | {"response2": False}, "wrong_type", "response2"),
    ("pandalm", PANDALM | {"annotator1": 0, "annotator3": 0}, "tied_pair", "annotator1"),
    ("pandalm", PANDALM | {"annotator1": 0}, "no_agreed_label", "annotator1"),
    ("pandalm", PANDALM | {"annotator2": 3}, "wrong_type", "annotator2"),
    ("pandalm", PANDALM | {"annotator2": [1]}, "wrong_type", "annotator2"),
    ("pandalm", {"inputs": PANDALM, "outputs": {"evaluation_result": "Tie"}}, "tied_pair", "outputs.evaluation_result"),
    ("pandalm", {"inputs": PANDALM, "outputs": {"evaluation_result": "both"}}, "wrong_type", "outputs.evaluation_result"),
    ("pandalm", {"inputs": PANDALM, "output": ""}, "wrong_type", "output"),
    ("pandalm", {"inputs": PANDALM}, "missing_field", "outputs"),
    ("pandalm", {"inputs": "q", "output": "1"}, "wrong_type", "inputs"),
    ("pandalm", {"input_sequence": "### Instruction:\nq", "output_sequence": "1"}, "wrong_type", "input_sequence"),
    ("pandalm", {"input_sequence": "q"}, "wrong_type", "input_sequence"),
    ("korean_qa", {"Q": "안녕"}, "missing_field", "A"),
    ("persona", {"synthesized text": "x"}, "missing_field", "input persona"),
    (
        "persona",
        {"persona": "수학을 전공한 대학 교수", "prompt": "3x² + 4x - 4 = 0을 푸시오."},
        "no_assistant_turn",
        "completion",
    ),
    ("squad", {"context": "c", "question": "q"}, "missing_field", "answers"),
    ("squad", {"context": "c", "question": "q", "answers": []}, "no_assistant_turn", "answers"),
    ("squad", {"context": "c", "question": "q", "answers": {"text": [], "answer_start": []}}, "no_assistant_turn", "answers"),
    ("squad", {"context": "c", "question": "q", "start": 0, "end": 5}, "wrong_type", "answers.start"),
    ("tatqa", {"table": {"table": [["a"]]}, "questions": []}, "no_user_turn", "questions"),
    ("tatqa", {"questions": [{"question": "q", "answer": "a"}]}, "missing_field", "table"),
    ("tatqa", {"table": [["a"]], "questions": [{"question": "q", "answer": [""]}]}, "no_assistant_turn", "questions[0].answer"),
    ("pubmedqa", {"QUESTION": "q", "CONTEXTS": ["c"]}, "missing_field", "long_answer"),
    ("tulu3_hardcoded", {"messages": None}, "missing_field", "messages"),
    ("tulu3_persona_if", {"id": "x", "prompt": ["q"], "messages": [USER, ANSWER]}, "wrong_type", "prompt"),
    ("guanaco", {"text": "What is it?### Assistant: this"}, "no_user_turn", "text"),
    ("guanaco", {"text": "### Human: What is it?"}, "no_assistant_turn", "messages"),
    ("guanaco", {"text": "### Human: 1### Human: 2### Assistant: 3"}, "roles_do_not_alternate", "messages"),
    ("lima", {"conversations": ["only a question"]}, "no_assistant_turn", "messages"),
    ("ultrachat", {"id": "0", "data": [{"content": "q"}]}, "missing_field", "data[0].role"),
    ("wildchat", {"conversation": [USER, ANSWER], "language": 7}, "wrong_type", "language"),
    ("wildchat", {"conversation": [USER]}, "no_assistant_turn", "messages"),
    ("aya", {"inputs": "q", "targets": None, "language_code": "kor"}, "missing_field", "targets"),
    ("sciriff", {"id": "1", "input": "q", "output": ["a"]}, "wrong_type", "output"),
    ("coconot", {"id": "1", "category": "c", "prompt": "q", "response": ""}, "no_assistant_turn", "response"),
    ("wildjailbreak", {"vanilla": "q", "adversarial": "", "completion": "a", "data_type": "benign"}, "wrong_type", "data_type"),
    (
        "wildjailbreak",
        {"vanilla": "q", "adversarial": None, "completion": "a", "data_type": "adversarial_benign"},
        "missing_field",
        "adversarial",
    ),
    ("wildguardmix", {"prompt": "q", "response": None, "response_harm_label": None}, "no_assistant_turn", "response"),
    ("wildguardmix", {"prompt": "q", "response": "a", "response_harm_label": "harmful"}, "harmful_answer", "response_harm_label"),
    ("flan", {"inputs": "q", "_task_source": "CoT", "_template_type": "fs_opt"}, "missing_field", "targets"),
    ("p3", {"inputs": [1, 2], "targets": [3], "inputs_pretokenized": "q"}, "missing_field", "targets_pretokenized"),
    ("p3", {"inputs_pretokenized": "q", "targets_pretokenized": "a", "is_correct": False}, "wrong_answer", "is_correct"),
    ("open_math_instruct_2", {"problem": "q", "expected_answer": "1"}, "missing_field", "generated_solution"),
    ("s1k", {"question": "q", "thinking_trajectories": [], "attempt": "a"}, "wrong_type", "thinking_trajectories"),
    ("s1k_1_1", {"question": "q", "deepseek_attempt": "a"}, "missing_field", "deepseek_thinking_trajectory"),
    ("llama_nemotron", {"input": [USER], "output": None}, "missing_field", "output"),
    ("llama_nemotron", {"input": [USER, ANSWER], "output": "a"}, "roles_do_not_alternate", "messages"),
    ("open_code_reasoning", {"id": "1", "input": "-", "output": "<think>\n</think>\ncode"}, "missing_field", "input"),
    ("web_instruct", {"question": "q", "answer": None, "source": "socratic"}, "missing_field", "answer"),
    ("tulu3_sft_mixture", {"id": "x", "messages": [USER]}, "no_assistant_turn", "messages"),
    ("tulu3_preference_8b", {"id": "1", "prompt": "hi", "chosen": [USER, ANSWER], "source": "s"}, "missing_field", "rejected"),
    ("hh_rlhf_translated", {"chosen": "\n\n인간: q\n\n조수: a"}, "missing_field", "rejected"),
    ("hh_red_team", {"transcript": "\n\nHuman: q\n\nAssistant: a", "rating": "high"}, "wrong_type", "rating"),
    ("shp", {"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 2}, "wrong_type", "labels"),
    ("ultrafeedback", {"instruction": "q", "source": "evol_instruct", "completions": []}, "too_few_answers", "completions"),
    ("nectar", {"prompt": "\n\nHuman: q\n\nAssistant: "}, "missing_field", "answers"),
    ("helpsteer2", {"prompt": "q", "response": "a"}, "missing_field", "helpfulness"),
    ("webgpt", {"question": {"full_text": "q"}, "answer_0": "a", "answer_1": "b", "score_0": "x"}, "wrong_type", "score_0"),
    ("code_tests", {"question": "q", "test_cases": "[not json"}, "wrong_type", "test_cases"),
    ("ifeval_rows", {"instruction_id_list": ["keywords:existence"], "kwargs": [{}]}, "missing_field", "prompt"),
    ("safety_labels", {"sentence": "문장", "sentence_label": "undecided"}, "no_agreed_label", "sentence_label"),
    ("safety_labels", {"question": "질문", "sensitive?": None}, "no_agreed_label", "sensitive?"),
    ("safety_labels", {"question": "질문", "sensitive?": []}, "no_agreed_label", "sensitive?"),
]


@pytest.mark.parametrize(("family", "row", "reason", "field"), CASES, ids=[f"{c[0]} {c[2]} {n}" for n, c in enumerate(CASES)])
def test_refusal(family: str, row: Any, reason: str, field: str) -> None:
    with pytest.raises(UnreadableRow) as error:
        FAMILIES[family].convert(row)
    assert (error.value.reason, error.value.field) == (reason, field)


def test_every_converter_has_a_case() -> None:
    """Families that share a converter share its cases; one that came with a test module has them there."""
    covered = {FAMILIES[case[0]].convert for case in CASES}
    without = {name for name, family in FAMILIES.items() if family.convert not in covered}
    assert {name for name in without if not Path(__file__).with_name(f"test_{name}.py").exists()} == set()


COLUMNS = {column for family in FAMILIES.values() for listed in family.columns for column in re.split(r"[/,] ?", listed)}
NESTED = {"role", "content", "from", "value", "type", "text", "replies", "answers", "name", "prompt", "chosen", "rejected"}

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                sorted(COLUMNS | NESTED)
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("family", {family.convert: name for name, family in FAMILIES.items()}.values())
@settings(max_examples=40)
@given(row=_JSON)
def test_no_json_value_breaks_a_converter(family: str, row: Any) -> None:
    """Whatever stands in a row: drafts, or one of the listed reasons; never another exception."""
    try:
        drafts = FAMILIES[family].convert(row)
    except UnreadableRow:
        return
    assert drafts and all(message.content is not None for draft in drafts for message in draft.turns)
