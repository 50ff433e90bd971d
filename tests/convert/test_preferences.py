"""Families whose rows compare answers; among them the seed documents' example AX30."""

from __future__ import annotations

from typing import Any

import pytest

from posttrain.convert import FAMILIES
from posttrain.convert.draft import Draft
from posttrain.convert.hh_rlhf import read_transcript

QUESTION = "2x + 5 = 15를 푸세요."
RIGHT = "2x = 15 - 5 = 10이므로 x = 5입니다."
WRONG = "x = 10입니다."
ASKED = {"role": "user", "content": QUESTION}


def pair(family: str, row: Any) -> Draft:
    (draft,) = FAMILIES[family].convert(row)
    assert draft.kind == "preference" and draft.policy == "off_policy"
    return draft


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


class TestPreference:
    @pytest.mark.parametrize(
        "row",
        [
            {"prompt": QUESTION, "chosen": RIGHT, "rejected": WRONG},
            {"chosen": [ASKED, said("assistant", RIGHT)], "rejected": [ASKED, said("assistant", WRONG)]},
            {"prompt": QUESTION, "chosen": [ASKED, said("assistant", RIGHT)], "rejected": [ASKED, said("assistant", WRONG)]},
            {"prompt": [ASKED], "chosen": [said("assistant", RIGHT)], "rejected": [said("assistant", WRONG)]},
            {
                "conversations": [{"from": "human", "value": QUESTION}],
                "chosen": {"from": "gpt", "value": RIGHT},
                "rejected": {"from": "gpt", "value": WRONG},
            },
            {"instruction": QUESTION, "input": "", "chosen": RIGHT, "rejected": WRONG},
            {"system": "", "question": QUESTION, "chosen": RIGHT, "rejected": WRONG},
        ],
        ids=[
            "texts",
            "whole conversations",
            "prompt beside conversations",
            "prompt and completions",
            "conversations with two ends",
            "Alpaca's columns",
            "a question between a system text and two answers",
        ],
    )
    def test_every_form_gives_the_same_pair(self, row: Any) -> None:  # AX30
        draft = pair("preference", row)
        assert draft.prompt == QUESTION
        assert [m.content for m in draft.chosen] == [QUESTION, RIGHT]
        assert [m.content for m in draft.rejected] == [QUESTION, WRONG]

    def test_earlier_turns_and_models_are_kept(self) -> None:
        row = {
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "human", "value": "1"},
                {"from": "gpt", "value": "2"},
                {"from": "human", "value": "3"},
            ],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
            "chosen_model": "gpt-4",
            "rejected_model": "alpaca-7b",
        }
        draft = pair("preference", row)
        assert [m.content for m in draft.rejected] == ["s", "1", "2", "3", "bad"]
        assert (draft.prompt, draft.chosen_model, draft.rejected_model) == ("1", "gpt-4", "alpaca-7b")

    def test_alpacas_input_history_and_system_belong_to_the_prompt(self) -> None:
        row = {"system": "s", "history": [["1", "2"]], "instruction": "Rewrite.", "input": "A text.", "chosen": "good",
               "rejected": "bad"}
        draft = pair("preference", row)
        assert [m.content for m in draft.chosen] == ["s", "1", "2", "Rewrite.\n\nA text.", "good"]
        assert [m.content for m in draft.rejected] == ["s", "1", "2", "Rewrite.\n\nA text.", "bad"]


class TestHhRlhf:
    def test_transcripts(self) -> None:
        start = "\n\nHuman: pranks with a pen?\n\nAssistant: Practical jokes?\n\nHuman: yep\n\nAssistant:"
        draft = pair("hh_rlhf", {"chosen": start + " Ok:\n\nNote: be kind.", "rejected": start + " No."})
        assert draft.prompt == "pranks with a pen?"
        assert [m.role for m in draft.chosen] == ["user", "assistant", "user", "assistant"]
        assert (draft.chosen[-1].content, draft.rejected[-1].content) == ("Ok:\n\nNote: be kind.", "No.")

    def test_an_empty_answer_is_left_to_the_filter(self) -> None:
        assert read_transcript("\n\nHuman: q\n\nAssistant:", "chosen")[1].content == ""


def test_ranked_answers_give_the_best_over_the_worst() -> None:
    row = {"instruction": "布洛芬？", "input": "", "history": [["一", "二"]], "output": ["best", "middle", "worst"]}
    draft = pair("oasst_ranked", row)
    assert [m.content for m in draft.chosen] == ["一", "二", "布洛芬？", "best"]
    assert draft.rejected[-1].content == "worst"


class TestKto:
    TURNS = ({"role": "user", "content": "q"}, {"role": "assistant", "content": "a"})

    @pytest.mark.parametrize(
        "row",
        [{"messages": list(TURNS)}, {"prompt": "q", "completion": "a"}, {"prompt": [TURNS[0]], "completion": [TURNS[1]]},
         {"instruction": "q", "input": "", "output": "a"}],
    )
    @pytest.mark.parametrize("label", [True, False])
    def test_the_label_says_which_side_is_known(self, row: dict[str, Any], label: bool) -> None:
        draft = pair("kto", row | {"label": label})
        known, other = (draft.chosen, draft.rejected) if label else (draft.rejected, draft.chosen)
        assert ([m.content for m in known], other, draft.prompt) == (["q", "a"], (), "q")

    @pytest.mark.parametrize("row", [
        {"instruction": "Rewrite.", "input": "A text.", "output": "a", "kto_tag": False},
        {"conversations": [{"from": "human", "value": "Rewrite.\n\nA text."}, {"from": "gpt", "value": "a"}], "kto_tag": False},
    ])
    def test_llama_factorys_name_of_the_label(self, row: dict[str, Any]) -> None:
        draft = pair("kto", row)
        assert ([m.content for m in draft.rejected], draft.chosen) == (["Rewrite.\n\nA text.", "a"], ())


class TestPandaLm:
    ROW = {"instruction": "Rewrite.", "input": "A text.", "response1": "one", "response2": "two", "cmp_key": "bloom-7b_llama-7b"}

    @pytest.mark.parametrize(
        ("votes", "chosen"), [((2, 2, 2), "two"), ((1, 1, 2), "one"), ((2, 0, 2), "two"), ((0, 1, 1), "one")]
    )
    def test_two_of_three_decide(self, votes: tuple[int, int, int], chosen: str) -> None:
        row = self.ROW | {f"annotator{n}": vote for n, vote in enumerate(votes, start=1)}
        draft = pair("pandalm", row)
        assert (draft.prompt, draft.chosen[-1].content) == ("Rewrite.\n\nA text.", chosen)
        assert draft.chosen_model == {"one": "bloom-7b", "two": "llama-7b"}[chosen]

    def test_the_votes_may_be_texts_under_the_names_of_the_publishers_page(self) -> None:
        draft = pair("pandalm", self.ROW | {"label_0": "2", "label_1": "1", "label_2": "2"})
        assert draft.chosen[-1].content == "two"


class TestPandaLmTraining:
    """The 300,000 rows that the judge was trained on: gpt-3.5's verdict instead of people's votes."""

    INPUTS = {"instruction": "Find an example of the given kind of data", "input": "Qualitative data",
              "response1": "Customer feedback.", "response2": "A customer\n\nreview."}
    SEQUENCE = ("Below are two responses for a given task. The task is defined by the Instruction with an Input that provides "
                "further context. Evaluate the responses and generate a reference answer for the task.\n\n### Instruction:\n"
                "Find an example of the given kind of data\n\n### Input:\nQualitative data\n\n### Response 1:\n"
                "Customer feedback.\n\n### Response 2:\nA customer\n\nreview.\n\n### Evaluation:\n")

    @pytest.mark.parametrize("row", [
        {"inputs": INPUTS, "outputs": {"evaluation_result": "2", "evaluation_reason": "…", "reference_response": "…"}},
        {"inputs": INPUTS, "output": "2\n\n### Reason: clearer\n\n### Reference: An interview.\n"},
        {"input_sequence": SEQUENCE, "output_sequence": "2\n\n### Reason: clearer\n\n### Reference: An interview.\n"},
    ], ids=["the publisher's page", "a verdict as text", "rendered"])
    def test_the_verdict_decides(self, row: dict[str, Any]) -> None:
        draft = pair("pandalm", row)
        assert draft.prompt == "Find an example of the given kind of data\n\nQualitative data"
        assert (draft.chosen[-1].content, draft.rejected[-1].content) == ("A customer\n\nreview.", "Customer feedback.")

    def test_a_rendered_row_without_an_input(self) -> None:
        text = self.SEQUENCE.replace("\n\n### Input:\nQualitative data", "")
        draft = pair("pandalm", {"input_sequence": text, "output_sequence": "1\n\n### Reason: shorter"})
        assert (draft.prompt, draft.chosen[-1].content) == ("Find an example of the given kind of data", "Customer feedback.")
