"""Families with an answer that can be checked or was read in a passage; among them AX26 and AX39."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.convert import FAMILIES, convert_source, gsm8k_guard
from posttrain.convert.draft import Draft, check_draft
from posttrain.convert.gsm8k_guard import hash_questions, holds_test_question, normalize_question
from posttrain.convert.math_problems import last_boxed
from posttrain.problems import raw_rows
from posttrain.recipe import Source
from posttrain.schema import RAW_SCHEMA, UnreadableRow
from posttrain.storage import ArtifactWriter
from posttrain.verifiers import verify


def turns(family: str, row: Any) -> list[tuple[str, str]]:
    (draft,) = FAMILIES[family].convert(row)
    return [(m.role, m.content) for m in draft.messages]


class TestGsm8k:
    def test_conversation_and_twin(self) -> None:
        sft, twin = FAMILIES["gsm8k"].convert(
            {
                "question": "Natalia sold clips to 48 friends in April, and half as many in May. How many altogether?",
                "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nAltogether 48+24 = <<48+24=72>>72 clips.\n#### 72",
            }
        )
        assert sft.messages[1].content == "Natalia sold 48/2 = 24 clips in May.\nAltogether 48+24 = 72 clips.\n#### 72"
        assert (twin.kind, twin.verifier, twin.ground_truth, twin.messages) == ("rlvr", "gsm8k", "72", sft.messages[:1])

    def test_korean(self) -> None:  # AX26
        sft, twin = FAMILIES["gsm8k"].convert(
            {
                "question": "철수는 사과 5개를 가지고 있다가 3개를 더 받고 2개를 주었다. 몇 개인가?",
                "answer": "5 + 3 - 2 = 6\n#### 6",
            }
        )
        assert (len(sft.messages), twin.ground_truth) == (2, "6")

    @pytest.mark.parametrize(("tail", "truth"), [("#### 1,234,567", "1234567"), ("####-5", "-5"), ("#### 3\n#### 4 ", "4")])
    def test_the_number_after_the_last_mark(self, tail: str, truth: str) -> None:
        assert FAMILIES["gsm8k"].convert({"question": "q", "answer": f"So it is.\n{tail}"})[1].ground_truth == truth

    def test_the_row_may_name_its_skill(self) -> None:
        drafts = FAMILIES["gsm8k"].convert({"question": "q", "answer": "#### 1", "skill": "addition"})
        assert {draft.skill for draft in drafts} == {"addition"}

    def test_an_empty_answer_gives_no_twin(self) -> None:
        (draft,) = FAMILIES["gsm8k"].convert({"question": "q", "answer": ""})
        assert draft.messages[1].content == ""

    def test_every_procedural_row_with_an_answer_is_readable(self) -> None:
        rows = [row for row in raw_rows(300, ("addition", "korean_addition"), 0.0, 1) if row["answer"] is not None]
        assert all(isinstance(draft, Draft) for row in rows for draft in FAMILIES["gsm8k"].convert(row))


class TestGsm8kGuard:
    EGGS = "A hen lays 3 eggs a day. How many eggs does she lay in a week?"

    @pytest.fixture(autouse=True)
    def own_list(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """The guard with a list of one question, made by the function that made the real list."""
        data = hash_questions([self.EGGS])
        (tmp_path / "list").write_bytes(data)
        monkeypatch.setattr(gsm8k_guard, "HASHES", tmp_path / "list")
        monkeypatch.setattr(gsm8k_guard, "SHA256", hashlib.sha256(data).hexdigest())
        gsm8k_guard.known_questions.cache_clear()
        yield
        gsm8k_guard.known_questions.cache_clear()

    @pytest.mark.parametrize(
        "text",
        [
            EGGS,
            EGGS.upper(),
            EGGS.replace(" ", "  ").replace("?", " ?"),
            f"Question: 1+1?\nAnswer: 2\n\nQuestion: {EGGS}\nAnswer:",
            f"질문: 1+1?\n답: 2\n\n질문: {EGGS}",
            f"Solve this {EGGS.rstrip('?')}\nLet's think step by step.",
            EGGS.replace("a", "\uff41"),
            f"{EGGS} And in a year?",
        ],
        ids=["as it is", "upper case", "other spaces", "after worked examples", "Korean examples", "in an instruction",
             "full-width letters", "with an addition"],
    )
    def test_a_listed_question_is_known(self, text: str) -> None:
        assert holds_test_question(text)

    @pytest.mark.parametrize("text", [EGGS.replace("3", "4"), "", "Question:", EGGS[:-6], EGGS[2:]])
    def test_another_question_is_not(self, text: str) -> None:
        assert not holds_test_question(text)

    @pytest.mark.parametrize("prompt", [EGGS, EGGS.lower(), f"Question: {EGGS}", f"질문: {EGGS}\n차근차근 풀어줘."])
    def test_no_conversation_begins_with_one_in_any_source(self, prompt: str) -> None:
        (draft,) = FAMILIES["alpaca"].convert({"instruction": prompt, "output": "21"})
        with pytest.raises(UnreadableRow, match="test_split_row"):
            check_draft(draft, guarded=False)

    @pytest.mark.parametrize(
        ("family", "row"),
        [
            ("gsm8k", {"question": EGGS, "answer": "3 * 7 = 21\n#### 21"}),
            ("math", {"prompt": EGGS, "answer": "21"}),
            ("math", {"problem": EGGS, "solution": "It is $\\boxed{21}$."}),
            ("rlvr", {"messages": [{"role": "user", "content": f"Question: {EGGS}"}], "ground_truth": "21", "dataset": "gsm8k"}),
            ("rlvr", {"messages": [{"role": "user", "content": EGGS}, {"role": "assistant", "content": "?"},
                                   {"role": "user", "content": "So?"}], "ground_truth": "21", "dataset": "MATH"}),
            ("code_tests", {"question": f"Write a function. {EGGS}", "test_cases": ["assert f() == 21"]}),
            ("ifeval_rows", {"prompt": f"{EGGS} Use no commas.", "instruction_id_list": ["punctuation:no_comma"]}),
        ],
    )
    def test_it_never_becomes_a_reward_row(self, family: str, row: Any) -> None:
        with pytest.raises(UnreadableRow) as error:
            for draft in FAMILIES[family].convert(row):
                check_draft(draft)
        assert error.value.reason == "test_split_row"

    def test_the_conversation_of_a_source_that_rewards_can_use_is_refused_as_well(self, tmp_path: Path) -> None:
        """The SFT draft of a GSM8K row without an answer, which has no RLVR twin."""
        spec = Source.model_validate({"name": "s", "family": "gsm8k", "load": {"kind": "file", "path": "rows.jsonl"},
                                      "origin": "here", "license": "MIT"})
        out = ArtifactWriter(str(tmp_path / "raw"), stage="collect")
        row = json.dumps({"question": self.EGGS, "answer": ""})
        out.read("s")
        out.kept("s")
        out.write("raw", {"raw_file": "rows.jsonl", "raw_row": 0, "raw": row}, RAW_SCHEMA)
        collected, out = out.finish(), ArtifactWriter(str(tmp_path / "rows"), stage="convert")
        convert_source(collected, spec, out)
        assert out.finish().reasons == {"test_split_row": 1}

    def test_a_changed_list_is_not_used(self) -> None:
        gsm8k_guard.HASHES.write_bytes(b"12345678")
        with pytest.raises(RuntimeError, match="not the file"):
            holds_test_question("anything")

    @given(st.text())
    def test_normalising_twice_changes_nothing(self, text: str) -> None:
        assert normalize_question(normalize_question(text)) == normalize_question(text)


def test_the_real_list_has_1319_questions() -> None:
    assert sum(len(records) for records in gsm8k_guard.known_questions().values()) == 1319


class TestMath:
    def test_solution_gives_conversation_and_twin(self) -> None:
        sft, twin = FAMILIES["math"].convert({"problem": "Half of one?", "solution": "It is $\\boxed{\\frac{1}{2}}$."})
        assert sft.messages[1].content == "It is $\\boxed{\\frac{1}{2}}$."
        assert (twin.verifier, twin.ground_truth) == ("math", "\\frac{1}{2}")

    @pytest.mark.parametrize(
        ("labels", "skill", "tags"),
        [
            ({"level": "Level 3", "type": "Intermediate Algebra"}, "intermediate_algebra", ("Level 3",)),
            ({"level": 5, "subject": "Number Theory", "unique_id": "x"}, "number_theory", ("Level 5",)),
            ({"level": None, "type": "MATH_AnsAug"}, None, ()),
        ],
    )
    def test_level_and_subject_stay_with_both_drafts(self, labels: Any, skill: str | None, tags: tuple[str, ...]) -> None:
        drafts = FAMILIES["math"].convert({"problem": "q", "solution": "\\boxed{1}"} | labels)
        assert [(d.skill, d.tags) for d in drafts] == [(skill, tags)] * 2

    @pytest.mark.parametrize(("answer", "truth"), [("118", "118"), (118, "118"), (2.0, "2"), (0.5, "0.5")])
    def test_answer_alone_gives_a_reward_row(self, answer: Any, truth: str) -> None:
        (twin,) = FAMILIES["math"].convert({"prompt": "q", "answer": answer})
        assert (twin.kind, twin.ground_truth) == ("rlvr", truth)

    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("\\boxed{5}", "5"),
            ("\\boxed{1} then \\boxed{x^{2^{3}}}.", "x^{2^{3}}"),
            ("\\fbox{a}", "a"),
            ("$\\boxed 5$.", "5"),
            ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
            ("\\boxed{open", None),
            ("none", None),
            ("\\boxed", None),
        ],
    )
    def test_last_boxed(self, text: str, answer: str | None) -> None:
        assert last_boxed(text) == answer


class TestRlvr:
    @pytest.mark.parametrize(
        ("dataset", "verifier", "category"),
        [("gsm8k", "gsm8k", "math"), ("MATH", "math", "math")],
    )
    def test_dataset_names_the_verifier(self, dataset: str, verifier: str, category: str) -> None:
        row = {"messages": [{"role": "user", "content": "q"}], "ground_truth": "126", "dataset": dataset, "constraint": None}
        (draft,) = FAMILIES["rlvr"].convert(row)
        assert (draft.kind, draft.verifier, draft.category, draft.ground_truth) == ("rlvr", verifier, category, "126")

    IF_TRUTH = '{"func_name": "verify_keywords", "keyword_list": ["봄"], "N": null}'

    @pytest.mark.parametrize(
        ("truth", "text"),
        [
            (IF_TRUTH, IF_TRUTH),
            (json.loads(IF_TRUTH), '{"N": null, "func_name": "verify_keywords", "keyword_list": ["봄"]}'),
            ("[{'instruction_id': ['punctuation:no_comma'], 'kwargs': [None]}]",
             '{"instruction_id": ["punctuation:no_comma"], "kwargs": [null]}'),
        ],
        ids=["as published", "an object", "Python's form"],
    )
    def test_constraints(self, truth: Any, text: str) -> None:
        row = {"messages": [{"role": "user", "content": "q"}], "ground_truth": truth, "dataset": "ifeval",
               "constraint_type": "Include Keywords", "constraint": "Include 봄."}
        (draft,) = FAMILIES["rlvr"].convert(row)
        assert (draft.verifier, draft.category, draft.ground_truth) == ("ifeval", "precise_if", text)
        assert draft.tags == ("Include Keywords",)
        assert verify("ifeval", "봄이 온다", draft.ground_truth).score == 1.0

    @pytest.mark.parametrize("truth", ["8", 8, "[]", "os.system('x')", {"N": 1}, "{'a': "])
    def test_a_ground_truth_that_is_no_constraint(self, truth: Any) -> None:
        row = {"messages": [{"role": "user", "content": "q"}], "ground_truth": truth, "dataset": "ifeval"}
        with pytest.raises(UnreadableRow) as error:
            FAMILIES["rlvr"].convert(row)
        assert (error.value.reason, error.value.field) == ("wrong_type", "ground_truth")

    def test_code(self) -> None:
        row = {"messages": [{"role": "user", "content": "q"}], "ground_truth": ["assert f() == 1"], "dataset": "code"}
        (draft,) = FAMILIES["rlvr"].convert(row)
        assert (draft.verifier, draft.ground_truth) == ("code", '["assert f() == 1"]')

    def test_subject_and_level(self) -> None:
        row = {"messages": [{"role": "user", "content": "q"}], "ground_truth": "1", "dataset": "MATH",
               "level": "Level 5", "type": "Counting & Probability"}
        (draft,) = FAMILIES["rlvr"].convert(row)
        assert (draft.skill, draft.tags) == ("counting_and_probability", ("Level 5",))

    @pytest.mark.parametrize(
        ("truth", "text"), [(["8"], "8"), (8, "8"), (8.0, "8")]
    )
    def test_ground_truth_of_other_releases(self, truth: Any, text: str) -> None:
        row = {"messages": [{"role": "user", "content": "q"}], "ground_truth": truth, "dataset": "gsm8k"}
        assert FAMILIES["rlvr"].convert(row)[0].ground_truth == text


class TestIfEvalRows:
    ROW = {"key": 1000, "prompt": "봄에 대해 써줘. 쉼표는 쓰지 마.",
           "instruction_id_list": ["punctuation:no_comma", "keywords:existence"],
           "kwargs": [{"keywords": None}, {"keywords": ["봄"], "num_words": None}]}

    def test_a_row_of_its_layout(self) -> None:
        (draft,) = FAMILIES["ifeval_rows"].convert(self.ROW)
        assert (draft.kind, draft.verifier, draft.category) == ("rlvr", "ifeval", "precise_if")
        assert json.loads(draft.ground_truth)["kwargs"] == [{}, {"keywords": ["봄"]}]
        assert draft.tags == ("punctuation:no_comma", "keywords:existence")
        assert verify("ifeval", "봄이 왔다", draft.ground_truth).score == 1.0
        assert verify("ifeval", "봄, 봄", draft.ground_truth).score == 0.5

    @pytest.mark.parametrize(
        ("change", "reason", "field"),
        [
            ({"instruction_id_list": None}, "missing_field", "instruction_id_list"),
            ({"instruction_id_list": []}, "wrong_type", "instruction_id_list"),
            ({"kwargs": [{}]}, "wrong_type", "kwargs"),
            ({"kwargs": ["x", "y"]}, "wrong_type", "kwargs"),
            ({"prompt": 3}, "wrong_type", "prompt"),
        ],
    )
    def test_refusals(self, change: dict[str, Any], reason: str, field: str) -> None:
        with pytest.raises(UnreadableRow) as error:
            FAMILIES["ifeval_rows"].convert(self.ROW | change)
        assert (error.value.reason, error.value.field) == (reason, field)


class TestCodeTests:
    TESTS = ["assert double(2) == 4", "assert double(-1) == -2"]

    @pytest.mark.parametrize(
        "row",
        [
            {"id": "oss_1", "source": "oss", "question": "Write double.", "test_cases": TESTS, "inferences": []},
            {"task_id": 1, "text": "Write double.", "code": "…", "test_list": TESTS},
            {"prompt": "Write double.", "tests": json.dumps(TESTS)},
        ],
        ids=["AceCode", "MBPP", "JSON text"],
    )
    def test_every_layout(self, row: Any) -> None:
        (draft,) = FAMILIES["code_tests"].convert(row)
        assert (draft.kind, draft.verifier, draft.category, draft.messages[0].content) == (
            "rlvr", "code", "code", "Write double.")
        assert json.loads(draft.ground_truth) == self.TESTS

    @pytest.mark.parametrize(
        ("tests", "reason"), [
            (None, "missing_field"), ([], "no_final_answer"), (["  "], "no_final_answer"), ("not json", "wrong_type"),
            ([1], "wrong_type"), ({"a": 1}, "wrong_type"),
        ],
    )
    def test_refusals(self, tests: Any, reason: str) -> None:
        with pytest.raises(UnreadableRow, match=reason):
            FAMILIES["code_tests"].convert({"question": "q", "test_cases": tests})


class TestSquad:
    CONTEXT = "그 축제는 매년 봄에 약 한 달 동안 열린다."

    @pytest.mark.parametrize(
        "answers",
        [
            [{"text": "한 달", "answer_start": 14}],
            {"text": ["한 달"], "answer_start": [14]},
            ["한 달"],
            [{"answer_start": 14, "answer_end": 17}],
            [{"start": 14, "end": 17}],
        ],
        ids=["list of answers", "columns", "texts", "span", "short names"],
    )
    def test_the_span_becomes_text(self, answers: Any) -> None:  # AX39
        row = {"context": self.CONTEXT, "question": "얼마 동안 열리나요?", "answers": answers}
        assert turns("squad", row) == [("user", f"{self.CONTEXT}\n\n얼마 동안 열리나요?"), ("assistant", "한 달")]

    def test_encoder_span_123_to_126(self) -> None:  # AX39
        row = {"context": "가" * 123 + "한 달" + "나", "question": "기간은?", "start": 123, "end": 126}
        assert turns("squad", row)[1] == ("assistant", "한 달")
        row = {"context": "x" * 123 + "a month.", "question": "How long?", "answers": [{"answer_start": 123, "answer_end": 130}]}
        assert turns("squad", row)[1] == ("assistant", "a month")


class TestTatQa:
    ROW = {
        "table": {"table": [["", "2019"], ["Sales", "$1,496.5"]]},
        "paragraphs": [{"order": 2, "text": "Second."}, {"order": 1, "text": "First."}],
    }

    def test_table_paragraphs_and_questions(self) -> None:
        drafts = FAMILIES["tatqa"].convert(
            self.ROW
            | {
                "questions": [
                    {"question": "Which?", "answer": ["a", "b", ""], "scale": ""},
                    {"question": "How much?", "answer": 172, "scale": "million"},
                ]
            }
        )
        assert drafts[0].messages[0].content == " | 2019\nSales | $1,496.5\n\nFirst.\n\nSecond.\n\nWhich?".strip()
        assert [d.messages[1].content for d in drafts] == ["a, b", "172 million"]

    @pytest.mark.parametrize(
        ("answer", "scale", "text"),
        [
            (12.5, "percent", "12.5%"),
            (["12.5%"], "percent", "12.5%"),
            (["$1,496.5"], "million", "$1,496.5 million"),
            (["Germany"], "thousand", "Germany"),
            (50.0, "", "50"),
            ("3", "", "3"),
        ],
    )
    def test_scales(self, answer: Any, scale: str, text: str) -> None:
        row = self.ROW | {"questions": [{"question": "q", "answer": answer, "scale": scale}]}
        assert turns("tatqa", row)[1][1] == text


@pytest.mark.parametrize(
    "row",
    [
        {"_key": "1", "QUESTION": "q?", "CONTEXTS": ["one", "two"], "LONG_ANSWER": "Because.", "final_decision": "yes"},
        {
            "pubid": 1,
            "question": "q?",
            "context": {"contexts": ["one", "two"]},
            "long_answer": "Because.",
            "final_decision": "yes",
        },
    ],
)
def test_pubmedqa(row: dict[str, Any]) -> None:
    assert turns("pubmedqa", row) == [("user", "one\n\ntwo\n\nq?"), ("assistant", "Yes. Because.")]
