"""Families whose rows are an instruction and its answer; among them the seed documents' examples AX15, AX16, AX35-AX37, AX40."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.convert import FAMILIES
from posttrain.convert.alpaca import parse_alpaca


def turns(family: str, row: Any) -> list[tuple[str, str]]:
    (draft,) = FAMILIES[family].convert(row)
    return [(m.role, m.content) for m in draft.messages]


class TestAlpaca:
    def test_instruction_and_answer(self) -> None:  # AX35
        question = "Explain the concept of a bubble sort algorithm to a non-technical audience."
        row = {"instruction": question, "input": "", "output": "Imagine a row of books …"}
        assert turns("alpaca", row) == [("user", question), ("assistant", "Imagine a row of books …")]

    @pytest.mark.parametrize(("context", "answer"), [("input", "output"), ("context", "response"), ("input", "answer")])
    def test_instruction_context_and_answer_by_any_of_their_names(self, context: str, answer: str) -> None:  # AX36
        row = {
            "instruction": "Make the second sentence shorter.",
            context: "Winter is the coldest season. It is a season that is often accompanied by the falling of snow.",
            answer: "Winter is the coldest season, often accompanied by snow.",
        }
        assert turns("alpaca", row) == [
            (
                "user",
                "Make the second sentence shorter.\n\n"
                "Winter is the coldest season. It is a season that is often accompanied by the falling of snow.",
            ),
            ("assistant", "Winter is the coldest season, often accompanied by snow."),
        ]

    def test_koalpaca(self) -> None:  # AX40
        row = {
            "instruction": "양파는 어떤 식물 부위인가요? 그리고 고구마는 뿌리인가요?",
            "input": "",
            "output": "양파는 식물의 줄기 부분이며, 고구마는 식물의 뿌리 부분입니다.",
        }
        assert turns("alpaca", row) == [("user", row["instruction"]), ("assistant", row["output"])]

    def test_output_counts_where_there_is_a_response_too(self) -> None:
        assert turns("alpaca", {"instruction": "q", "response": "model", "output": "checked"})[1] == ("assistant", "checked")
        assert turns("alpaca", {"instruction": "q", "response": "model", "output": None})[1] == ("assistant", "model")

    def test_history_and_system_come_before_the_question(self) -> None:
        row = {"instruction": "셋째?", "output": "3", "history": [["첫째?", "1"], ["둘째?", "2"]], "system": "짧게 답하세요."}
        assert turns("alpaca", row) == [
            ("system", "짧게 답하세요."),
            ("user", "첫째?"),
            ("assistant", "1"),
            ("user", "둘째?"),
            ("assistant", "2"),
            ("user", "셋째?"),
            ("assistant", "3"),
        ]

    def test_dolly_category_is_the_skill(self) -> None:
        (draft,) = FAMILIES["alpaca"].convert({"instruction": "q", "context": "", "response": "a", "category": "closed_qa"})
        assert draft.skill == "closed_qa"


class TestAlpacaTemplate:
    TEXT = (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nClassify the following into animals, plants, and minerals\n\n"
        "### Input:\nOak tree, copper ore, elephant\n\n"
        "### Response:\nOak tree: Plant\nCopper ore: Mineral\nElephant: Animal"
    )

    def test_rendered_text_round_trips_to_messages(self) -> None:  # AX37
        fields = {
            "instruction": "Classify the following into animals, plants, and minerals",
            "input": "Oak tree, copper ore, elephant",
            "output": "Oak tree: Plant\nCopper ore: Mineral\nElephant: Animal",
        }
        assert parse_alpaca(self.TEXT) == fields
        assert parse_alpaca(self.TEXT.replace("Response:\n", "Response:")) == fields, "as in Stanford's training code"
        for row in (self.TEXT, {"text": self.TEXT}):
            assert (
                turns("alpaca", row)
                == turns("alpaca", fields)
                == [
                    ("user", "Classify the following into animals, plants, and minerals\n\nOak tree, copper ore, elephant"),
                    ("assistant", "Oak tree: Plant\nCopper ore: Mineral\nElephant: Animal"),
                ]
            )

    def test_without_input(self) -> None:
        text = "Below is an instruction that describes a task.\n\n### Instruction:\n부사를 하나 쓰세요.\n\n### Response:\n매우"
        assert parse_alpaca(text) == {"instruction": "부사를 하나 쓰세요.", "input": "", "output": "매우"}

    @given(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="#\r")) for _ in range(3)])
    def test_whatever_is_rendered_is_read_back(self, instruction: str, context: str, output: str) -> None:
        middle = f"\n\n### Input:\n{context}" if context else ""
        assert parse_alpaca(f"### Instruction:\n{instruction}{middle}\n\n### Response:\n{output}") == {
            "instruction": instruction,
            "input": context,
            "output": output,
        }


class TestPromptCompletion:
    def test_end_of_text_is_no_text(self) -> None:
        row = {"prompt": "What label best describes this news article?\n", "completion": " Business<|endoftext|>"}
        assert turns("prompt_completion", row) == [
            ("user", "What label best describes this news article?\n"),
            ("assistant", "Business"),
        ]

    @pytest.mark.parametrize(
        "names",
        [
            ("inputs", "targets"),
            ("query", "response"),
            ("question", "answer"),
            ("instruction", "output"),
            ("input", "output"),
            ("prompt", "completion"),
        ],
    )
    def test_column_names(self, names: tuple[str, str]) -> None:
        assert turns("prompt_completion", dict(zip(names, ("물음", "답"), strict=True))) == [
            ("user", "물음"),
            ("assistant", "답"),
        ]


class TestPair:
    CAKE = "케이크를 구우려고 하는데, 어떤 맛이 좋을지 추천해줄래?"
    FLAVOURS = "레몬 블루베리, 초콜릿 오렌지, 바닐라 라즈베리, 당근 크림치즈, 녹차 말차는 어떠세요?"

    @pytest.mark.parametrize(
        "row",
        [
            [CAKE, FLAVOURS],
            {"prompt": CAKE, "response": FLAVOURS},
            {"사용자": CAKE, "도우미": FLAVOURS},
            {"instruction": CAKE, "text": FLAVOURS, "decoded": "cake", "id": 7},
        ],
        ids=["list", "known columns", "two columns of any name", "Dolly beside a model's answer"],
    )
    def test_pair_becomes_messages(self, row: Any) -> None:  # AX15
        assert turns("pair", row) == [("user", self.CAKE), ("assistant", self.FLAVOURS)]

    def test_columns_system_user_assistant(self) -> None:
        row = {"system": "당신은 요리사입니다.", "user": self.CAKE, "assistant": self.FLAVOURS}
        assert turns("pair", row)[0] == ("system", "당신은 요리사입니다.")


class TestNoRobots:
    def test_brainstorm(self) -> None:  # AX15
        question = "I would like to bake a cake. Can you give me some ideas on what flavors I could try?"
        row = {
            "prompt": question,
            "category": "Brainstorm",
            "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "Lemon blueberry, …"}],
        }
        (draft,) = FAMILIES["no_robots"].convert(row)
        assert (draft.skill, draft.note, draft.messages[0].content) == ("brainstorm", None, question)

    def test_rewrite_in_pair_form(self) -> None:  # AX16
        row = {"prompt": "이 제품 리뷰를 읽기 쉽고 짧은 문장으로 다시 써줘.", "completion": "짧습니다.", "category": "Rewrite"}
        (draft,) = FAMILIES["no_robots"].convert(row)
        assert draft.skill == "rewrite" and len(draft.messages) == 2

    def test_a_prompt_that_is_not_the_first_message_is_reported_and_the_row_kept(self) -> None:  # AX16
        row = {
            "prompt": "Rewrite this product review so that the sentences are shorter and easier to read.",
            "category": "Rewrite",
            "messages": [
                {"role": "user", "content": "Rewrite this product review so that the sentences are shorter and clearer."},
                {"role": "assistant", "content": "It works. I like it."},
            ],
        }
        (draft,) = FAMILIES["no_robots"].convert(row)
        assert draft.messages[0].content.endswith("clearer.")
        assert draft.note is not None and draft.note.startswith(
            "prompt is not the first user message: 'Rewrite this product review"
        )


def test_self_instruct_gives_a_conversation_an_instance() -> None:
    row = {"instruction": "반의어를 쓰세요.", "instances": [{"input": "밤", "output": "낮"}, {"input": "", "output": "없음"}]}
    drafts = FAMILIES["self_instruct"].convert(row)
    assert [[m.content for m in d.messages] for d in drafts] == [["반의어를 쓰세요.\n\n밤", "낮"], ["반의어를 쓰세요.", "없음"]]


@pytest.mark.parametrize("names", [("Q", "A"), ("question", "answer"), ("질문", "답변")])
def test_korean_questions_and_answers(names: tuple[str, str]) -> None:
    row = dict(zip(names, ("3박4일 놀러가고 싶다", "여행은 언제나 좋죠."), strict=True)) | {"label": "0"}
    assert turns("korean_qa", row) == [("user", "3박4일 놀러가고 싶다"), ("assistant", "여행은 언제나 좋죠.")]


class TestPersona:
    def test_persona_hub_row(self) -> None:
        row = {
            "input persona": "A jazz pianist",
            "synthesized text": '"{\\n\\"name\\": \\"Chord Finder\\"\\n}"',
            "description": "tool development",
        }
        (draft,) = FAMILIES["persona"].convert(row)
        assert draft.persona == "A jazz pianist"
        assert [m.content for m in draft.messages] == [
            "Task: tool development\nPersona: A jazz pianist\n\nWrite what the task asks for, as this persona would need it.",
            '{\n"name": "Chord Finder"\n}',
        ]

    def test_row_with_its_own_question_and_answer(self) -> None:
        row = {"persona": "수학을 전공한 대학 교수", "prompt": "3x² + 4x - 4 = 0을 푸시오.", "response": "D = 64, x = 2/3, -2"}
        (draft,) = FAMILIES["persona"].convert(row)
        assert (draft.persona, draft.messages[1].content) == ("수학을 전공한 대학 교수", "D = 64, x = 2/3, -2")


class TestSafetyLabels:
    def test_sentence(self) -> None:
        row = {"context": "요즘 취업하기가 너무 힘들다.", "sentence": "청년 실업률이 높다.", "sentence_label": "safe"}
        assert turns("safety_labels", row) == [
            (
                "user",
                "다음 문장에 사회적 편견이나 차별이 담겨 있습니까? '안전' 또는 '위험'으로만 답하세요.\n\n"
                "요즘 취업하기가 너무 힘들다.\n청년 실업률이 높다.",
            ),
            ("assistant", "안전"),
        ]

    def test_question(self) -> None:
        assert turns("safety_labels", {"question": "법은 옳은가?", "sensitive?": 1})[1] == ("assistant", "예")
