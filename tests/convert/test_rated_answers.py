"""Preference sets that publish scores, ranks, votes or labels: the better answer is chosen, a tie gives no pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.convert import FAMILIES
from posttrain.convert.draft import Draft
from posttrain.convert.helpsteer2 import join_answers, prompt_turns
from posttrain.convert.rated_answers import choose_pair
from posttrain.convert.rows import convert_rows
from posttrain.recipe import Source
from posttrain.schema import UnreadableRow
from posttrain.storage import ArtifactWriter, read_examples


def pair(family: str, row: Any, **options: Any) -> Draft:
    convert, _ = FAMILIES[family].bind(options)
    (draft,) = convert(row)
    assert draft.kind == "preference"
    return draft


def answers(draft: Draft) -> tuple[str, str]:
    return draft.chosen[-1].content, draft.rejected[-1].content


def refused(family: str, row: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(UnreadableRow) as error:
        pair(family, row, **options)
    return error.value.reason, error.value.field


class TestChoosePair:
    @given(st.lists(st.integers(0, 5).map(float), min_size=2, max_size=8), st.text())
    def test_the_chosen_is_a_best_one_and_the_rejected_strictly_lower(self, scores: list[float], key: str) -> None:
        if len(set(scores)) == 1:
            with pytest.raises(UnreadableRow, match="tied_pair"):
                choose_pair(scores, key, "f")
        else:
            chosen, rejected = choose_pair(scores, key, "f")
            assert scores[chosen] == max(scores) > scores[rejected]
            assert (chosen, rejected) == choose_pair(scores, key, "f")
            assert scores[choose_pair(scores, key, "f", worst=True)[1]] == min(scores)

    def test_every_lower_answer_is_drawn_for_some_prompt(self) -> None:
        assert {choose_pair([5, 1, 2, 5], f"prompt {n}", "f") for n in range(40)} == {(0, 1), (0, 2)}

    def test_margin(self) -> None:
        assert choose_pair([3, 2.5, 1], "k", "f", margin=1) == (0, 2)
        with pytest.raises(UnreadableRow, match="margin_too_small"):
            choose_pair([3, 2.5, 2.1], "k", "f", margin=1)

    def test_one_answer_is_no_comparison(self) -> None:
        with pytest.raises(UnreadableRow, match="too_few_answers"):
            choose_pair([3], "k", "f")


# ---------------------------------------------------------------- SHP


class TestShp:
    ROW = {
        "post_id": "himc90", "domain": "askculinary_train", "upvote_ratio": 0.99, "history": "스테이크를 어떻게 굽나요?",
        "c_root_id_A": "f1", "c_root_id_B": "f2", "created_at_utc_A": 1, "created_at_utc_B": 2, "score_A": 10, "score_B": 40,
        "human_ref_A": "Grill it.", "human_ref_B": "Salt it first.", "labels": 0, "seconds_difference": 1.0, "score_ratio": 4.0,
    }

    def test_labels_decide(self) -> None:
        assert answers(pair("shp", self.ROW)) == ("Salt it first.", "Grill it.")
        draft = pair("shp", self.ROW | {"labels": 1, "score_A": 40, "score_B": 10})
        assert (answers(draft), draft.prompt, draft.tags) == (
            ("Grill it.", "Salt it first."), "스테이크를 어떻게 굽나요?", ("askculinary_train",))

    @pytest.mark.parametrize(
        ("change", "options", "reason"),
        [
            ({"score_A": 40}, {}, ("tied_pair", "score_B")),
            ({"labels": 1}, {}, ("rating_contradicts_order", "labels")),  # the card: the label is the higher score
            ({"human_ref_A": "Salt it first. "}, {}, ("tied_pair", "rejected")),
            ({"score_ratio": 1.9}, {"min_ratio": 2.0}, ("margin_too_small", "score_ratio")),
            ({"score_ratio": None, "score_B": 15}, {"min_ratio": 2.0}, ("margin_too_small", "score_ratio")),
            ({"human_ref_B": "[removed]"}, {}, ("not_human_answer", "human_ref_B")),
            ({"human_ref_A": "Removed. *I am a bot, and this action was performed automatically.*"}, {},
             ("not_human_answer", "human_ref_A")),
            ({"human_ref_A": None}, {}, ("missing_field", "human_ref_A")),
            ({"labels": None}, {}, ("missing_field", "labels")),
            ({"labels": 2}, {}, ("wrong_type", "labels")),
        ],
    )
    def test_refusals(self, change: dict[str, Any], options: dict[str, Any], reason: tuple[str, str]) -> None:
        assert refused("shp", self.ROW | change, **options) == reason

    def test_a_ratio_at_the_bound_is_enough(self) -> None:
        assert pair("shp", self.ROW | {"score_ratio": 2.0}, min_ratio=2.0)

    def test_the_option_is_checked(self) -> None:
        with pytest.raises(ValueError, match="min_ratio"):
            FAMILIES["shp"].bind({"min_ratio": 0.5})


# ---------------------------------------------------------------- UltraFeedback


def rated(model: str, response: str, *ratings: str) -> dict[str, Any]:
    aspects = ("helpfulness", "honesty", "instruction_following", "truthfulness")
    return {"model": model, "response": response, "overall_score": 1.0, "critique": "…",
            "annotations": {a: {"Rating": r, "Rationale": "…"} for a, r in zip(aspects, ratings, strict=True)}}


class TestUltraFeedback:
    ROW = {
        "source": "sharegpt", "instruction": "기후 변화를 설명해줘", "models": ["gpt-4", "alpaca-7b", "bard"],
        "completions": [rated("alpaca-7b", "low", "1", "2", "1", "2"), rated("gpt-4", "high", "5", "5", "4", "5"),
                        rated("bard", "unrated", "5", "5", "5", "N/A")],
        "correct_answers": ["None"], "incorrect_answers": ["None"],
    }

    def test_the_mean_of_four_aspects_decides(self) -> None:
        draft = pair("ultrafeedback", self.ROW)  # 1.5 and 4.75; the third answer lacks a rating and is not compared
        assert (answers(draft), draft.chosen_model, draft.rejected_model) == (("high", "low"), "gpt-4", "alpaca-7b")
        assert draft.prompt == "기후 변화를 설명해줘"

    def test_one_aspect_alone_does_not_decide(self) -> None:
        row = self.ROW | {"completions": [rated("a", "helpful only", "5", "1", "1", "1"), rated("b", "even", "4", "4", "4", "4")]}
        assert answers(pair("ultrafeedback", row)) == ("even", "helpful only")

    def test_the_worst_can_be_asked_for(self) -> None:
        completions = [rated("a", "best", *"5555"), rated("b", "middle", *"3333"), rated("c", "worst", *"1111")]
        row = self.ROW | {"completions": completions}
        assert answers(pair("ultrafeedback", row, rejected="worst")) == ("best", "worst")
        drawn = {answers(pair("ultrafeedback", row | {"instruction": f"q{n}"}))[1] for n in range(30)}
        assert drawn == {"middle", "worst"}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"source": "truthful_qa"}, ("eval_prompt", "source")),
            ({"source": "TruthfulQA"}, ("eval_prompt", "source")),
            ({"completions": [rated("a", "x", *"4444"), rated("b", "y", *"4444")]}, ("tied_pair", "completions")),
            ({"completions": [rated("a", "x", *"4444")]}, ("too_few_answers", "completions")),
            ({"completions": ["x", "y"]}, ("wrong_type", "completions[0]")),
            ({"completions": [{"model": "a", "response": "x"}]}, ("missing_field", "completions[0].annotations")),
            ({"completions": [rated("a", "x", "good", "4", "4", "4")]}, ("wrong_type", "completions[0].annotations.helpfulness")),
        ],
    )
    def test_refusals(self, change: dict[str, Any], reason: tuple[str, str]) -> None:
        assert refused("ultrafeedback", self.ROW | change) == reason

    BINARISED = {
        "source": "evol_instruct", "prompt": "q", "score_chosen": 8.5, "score_rejected": 7.0,
        "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
        "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}],
    }

    def test_binarised_rows_are_taken_as_they_are_without_the_eval_prompts(self) -> None:
        assert answers(pair("ultrafeedback", self.BINARISED)) == ("good", "bad")
        assert refused("ultrafeedback", self.BINARISED | {"source": "truthful_qa"}) == ("eval_prompt", "source")

    @pytest.mark.parametrize("names", [("score_chosen", "score_rejected"), ("chosen-rating", "rejected-rating")])
    def test_a_binarised_row_must_not_contradict_its_own_scores(self, names: tuple[str, str]) -> None:
        row = {k: v for k, v in self.BINARISED.items() if not k.startswith("score")}
        for family in ("ultrafeedback", "preference"):
            assert refused(family, row | dict(zip(names, (6.0, 7.0), strict=True))) == ("rating_contradicts_order", names[1])
            assert refused(family, row | dict(zip(names, (7.0, 7.0), strict=True))) == ("tied_pair", names[1])

    def test_models_with_a_dash_in_their_column(self) -> None:
        draft = pair("preference", self.BINARISED | {"chosen-model": "gpt-4", "rejected-model": "bard"})
        assert (draft.chosen_model, draft.rejected_model) == ("gpt-4", "bard")


# ---------------------------------------------------------------- HelpSteer2


def steered(prompt: str, response: str, *ratings: int) -> dict[str, Any]:
    aspects = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    return {"prompt": prompt, "response": response} | dict(zip(aspects, ratings, strict=True))


class TestHelpSteer2:
    LONG, SHORT = steered("q", "long", 3, 3, 4, 2, 4), steered("q", "short", 4, 4, 4, 1, 1)

    def joined(self, *rows: Any, **options: Any) -> Draft:
        (value, members), = join_answers(("f", n, row) for n, row in enumerate(rows))
        assert len(members) == len(rows)
        return pair("helpsteer2", value, **options)

    def test_the_mean_counts_verbosity_for_and_the_weighted_sum_against(self) -> None:
        # means: long 16/5, short 14/5; 70b: long 1.95+2.4+1.8+1.1-1.6 = 5.65, short 2.6+3.2+1.8+.55-.4 = 7.75
        assert answers(self.joined(self.LONG, self.SHORT)) == ("long", "short")
        assert answers(self.joined(self.LONG, self.SHORT, score="70b")) == ("short", "long")
        assert answers(self.joined(self.SHORT, self.LONG, score="340b")) == ("short", "long")
        assert answers(self.joined(self.LONG, self.SHORT, ignore_aspects=("verbosity", "complexity"))) == ("short", "long")

    def test_several_turns(self) -> None:
        prompt = "1+1?\n<extra_id_1>Assistant\n2\n<extra_id_1>User\n그럼 2+2는?"
        draft = self.joined(steered(prompt, "4", 4, 4, 4, 1, 1), steered(prompt, "5", 0, 0, 1, 1, 1))
        assert [(m.role, m.content) for m in draft.chosen] == [
            ("user", "1+1?"), ("assistant", "2"), ("user", "그럼 2+2는?"), ("assistant", "4")]
        assert draft.prompt == "1+1?"

    def test_a_mark_at_the_very_beginning(self) -> None:
        assert [m.content for m in prompt_turns("<extra_id_1>User\nq")] == ["q"]

    PREFERENCE = {
        "split": "train", "prompt": "q", "response_1": "first", "response_2": "second", "preference_strength": 1,
        "preference_statement": "@Response 2 is better.", "preference_elaboration": "…",
    }

    @pytest.mark.parametrize(("strength", "chosen"), [(-3, "first"), (-1, "first"), (1, "second"), (3, "second")])
    def test_the_preference_file_names_the_better_of_two(self, strength: int, chosen: str) -> None:
        draft = self.joined(self.PREFERENCE | {"preference_strength": strength})
        assert (draft.prompt, draft.chosen[-1].content) == ("q", chosen)

    def test_two_preference_rows_of_one_prompt_are_two_pairs(self) -> None:
        rows = [("f", n, self.PREFERENCE | {"response_1": str(n)}) for n in range(2)]
        assert [answers(pair("helpsteer2", value))[1] for value, _ in join_answers(rows)] == ["0", "1"]

    @pytest.mark.parametrize(
        ("rows", "options", "reason"),
        [
            ((PREFERENCE | {"preference_strength": 0},), {}, "tied_pair"),
            ((PREFERENCE,), {"margin": 2}, "margin_too_small"),
            ((PREFERENCE | {"preference_strength": None},), {}, "missing_field"),
            ((PREFERENCE | {"response_2": None},), {}, "missing_field"),
            ((LONG,), {}, "too_few_answers"),
            ((LONG, LONG | {"response": "other"}), {}, "tied_pair"),
            ((LONG, SHORT), {"min_score": 3.5}, "rated_too_low"),
            ((LONG, SHORT), {"margin": 0.5}, "margin_too_small"),
            ((LONG, SHORT | {"coherence": None}), {}, "missing_field"),
            ((LONG, SHORT | {"coherence": "high"}), {}, "wrong_type"),
        ],
    )
    def test_refusals(self, rows: Any, options: dict[str, Any], reason: str) -> None:
        with pytest.raises(UnreadableRow, match=reason):
            self.joined(*rows, **options)

    def test_answers_find_each_other_wherever_they_stand_and_every_row_is_accounted_for(self, tmp_path: Path) -> None:
        rows = [self.LONG, steered("r", "a", 4, 4, 4, 4, 4), "no object", self.SHORT, {"response": "no prompt"},
                steered("r", "b", 1, 1, 1, 1, 1), steered("alone", "c", 1, 1, 1, 1, 1)]
        spec = Source.model_validate({"name": "hs", "family": "helpsteer2", "load": {"kind": "file", "path": "x"},
                                      "origin": "here", "license": "CC-BY-4.0"})
        family, out = FAMILIES["helpsteer2"], ArtifactWriter(str(tmp_path / "out"), stage="convert")
        assert family.join
        convert_rows(family.bind({})[0], [("f", n, row) for n, row in enumerate(rows)], spec, out, family.join)
        manifest = out.finish()
        assert manifest.rows == {"read": 7, "kept": 4, "rejected": 3}
        assert manifest.reasons == {"missing_field": 1, "no_assistant_turn": 1, "too_few_answers": 1}
        assert [(e.id, e.chosen[-1].content) for e in read_examples(manifest)] == [("hs_0", "long"), ("hs_1", "a")]


# ---------------------------------------------------------------- Nectar


def nectar(prompt: str, *ranked: tuple[str, int], source: Any = ("lmsys-chat-1m",)) -> dict[str, Any]:
    return {"prompt": f"\n\nHuman: {prompt}\n\nAssistant: ", "turns": 1, "num_responses": len(ranked), "source": list(source),
            "good_natured": True, "answers": [{"answer": a, "model": f"model-{a}", "rank": r} for a, r in ranked]}


class TestNectar:
    @given(st.permutations(range(1, 8)), st.integers(1, 7), st.integers(0, 10_000))
    def test_a_rejected_answer_never_outranks_the_chosen_one(self, ranks: list[int], top: int, number: int) -> None:
        row = nectar(f"q{number}", *((f"answer {rank}", rank) for rank in ranks))
        chosen, rejected = (int(text.split()[1]) for text in answers(pair("nectar", row, top=top)))
        assert chosen < rejected and chosen <= top

    def test_turns_and_models(self) -> None:
        row = nectar("hi\n\nAssistant: hello\n\nHuman: 몇 시야?", ("모르겠어요", 2), ("three", 1))
        draft = pair("nectar", row, top=1)
        assert [m.content for m in draft.chosen] == ["hi", "hello", "몇 시야?", "three"]
        assert (draft.chosen_model, draft.rejected_model) == ("model-three", "model-모르겠어요")

    def test_answers_that_go_on_with_a_turn_are_left_out(self) -> None:
        row = nectar("q", ("best\n\nHuman: more?", 1), ("second", 2), ("third", 3))
        assert answers(pair("nectar", row, top=1)) == ("second", "third")

    def test_an_answer_that_fills_a_second_place_counts_once_at_its_best(self) -> None:
        """The card: where fewer than seven answers differ, one is repeated. The copy would be rejected for itself, or for a
        worse one."""
        row = nectar("q", ("a", 1), ("b", 2), ("a ", 3))
        assert answers(pair("nectar", row, top=1)) == ("a", "b")
        assert {answers(pair("nectar", nectar(f"q{n}", ("a", 1), ("b", 2), ("a", 3)))) for n in range(30)} == {("a", "b")}
        assert refused("nectar", nectar("q", ("a", 1), ("a", 2))) == ("too_few_answers", "answers")

    def test_prompts_of_an_eval_set_are_refused(self) -> None:
        """The card: all of UltraFeedback's prompts stand among them, under the names that UltraFeedback gives their sources."""
        row = nectar("q", ("a", 1), ("b", 2), source=("sharegpt", "truthful_qa"))
        assert refused("nectar", row) == ("eval_prompt", "source")

    def test_the_subset(self) -> None:
        row = nectar("q", ("a", 1), ("b", 2))
        assert pair("nectar", row, subset="lmsys-chat-1m")
        assert refused("nectar", row, subset="sharegpt") == ("not_selected", "source")

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            (nectar("q", ("a", 1)), ("too_few_answers", "answers")),
            (nectar("q", ("a", 2), ("b", 2)), ("tied_pair", "answers")),
            (nectar("q", ("a", 1), ("b", 2)) | {"answers": "a"}, ("wrong_type", "answers")),
            (nectar("q") | {"answers": [{"answer": "a", "rank": None}]}, ("missing_field", "answers[0].rank")),
        ],
    )
    def test_refusals(self, row: Any, reason: tuple[str, str]) -> None:
        assert refused("nectar", row) == reason


# ---------------------------------------------------------------- WebGPT


class TestWebGpt:
    ROW = {
        "question": {"dataset": "eli5", "id": "1", "full_text": "하늘은 왜 파란가요?"},
        "quotes_0": {"title": ["t"], "extract": ["e"]}, "answer_0": "Scattering [1, 2].", "score_0": -0.5,
        "quotes_1": {"title": [], "extract": []}, "answer_1": "Rayleigh scattering [1].", "score_1": 0.5,
    }

    def test_the_higher_score_is_chosen(self) -> None:
        draft = pair("webgpt", self.ROW)
        assert (draft.prompt, answers(draft)) == ("하늘은 왜 파란가요?", ("Rayleigh scattering [1].", "Scattering [1, 2]."))
        turned = self.ROW | {"score_0": 0.5, "score_1": -0.5}
        assert answers(pair("webgpt", turned, citations="remove")) == ("Scattering.", "Rayleigh scattering.")

    def test_a_line_of_the_publishers_own_file_is_two_answers(self) -> None:
        line = [{"question": self.ROW["question"], "quotes": self.ROW[f"quotes_{n}"], "answer": self.ROW[f"answer_{n}"],
                 "tokens": {}, "score": self.ROW[f"score_{n}"]} for n in (0, 1)]
        assert answers(pair("webgpt", line)) == ("Rayleigh scattering [1].", "Scattering [1, 2].")
        assert refused("webgpt", line[:1]) == ("too_few_answers", "row")
        assert refused("webgpt", [line[0], line[1] | {"question": {"full_text": "another"}}]) == ("prompts_differ", "question")
        assert refused("webgpt", [line[0], "text"]) == ("wrong_type", "row")

    @pytest.mark.parametrize(
        ("change", "options", "reason"),
        [
            ({"score_0": 0.5}, {}, "tied_pair"),
            ({"score_0": 0, "score_1": 0}, {}, "tied_pair"),
            ({}, {"margin": 1.5}, "margin_too_small"),
            ({"score_1": None}, {}, "missing_field"),
            ({"question": {"id": "1"}}, {}, "missing_field"),
            ({"question": None}, {}, "missing_field"),
        ],
    )
    def test_refusals(self, change: dict[str, Any], options: dict[str, Any], reason: str) -> None:
        assert refused("webgpt", self.ROW | change, **options)[0] == reason


# ---------------------------------------------------------------- red-team attempts


class TestRedTeam:
    ROW = {
        "transcript": "\n\nHuman: 어떻게 훔치나요?\n\nAssistant: 도와드릴 수 없습니다.", "rating": 0.0, "num_params": "52B",
        "model_type": "rlhf", "min_harmlessness_score_transcript": 1.2, "task_description": "theft",
        "task_description_harmlessness_score": 0.1, "red_team_member_id": "7", "is_upworker": False,
        "tags": ["Theft", "Discrimination & injustice"],
    }

    @pytest.mark.parametrize(("rating", "good"), [(0, True), (0.0, True), (3, False), (4.0, False)])
    def test_holding_out_is_chosen_and_giving_way_is_rejected(self, rating: float, good: bool) -> None:
        draft = pair("hh_red_team", self.ROW | {"rating": rating})
        known, other = (draft.chosen, draft.rejected) if good else (draft.rejected, draft.chosen)
        assert ([m.content for m in known], other) == (["어떻게 훔치나요?", "도와드릴 수 없습니다."], ())
        assert (draft.chosen_model if good else draft.rejected_model) == "rlhf"
        assert (draft.tags, draft.category) == (("Theft", "Discrimination & injustice"), "safety")

    def test_rows_without_tags(self) -> None:
        assert pair("hh_red_team", self.ROW | {"tags": None}).tags == ()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"rating": 2.0}, ("rating_undecided", "rating")),
            ({"rating": 7}, ("wrong_type", "rating")),
            ({"rating": None}, ("missing_field", "rating")),
            ({"tags": "Theft"}, ("wrong_type", "tags")),
            ({"transcript": "\n\nHuman: q"}, ("no_assistant_turn", "messages")),
        ],
    )
    def test_refusals(self, change: dict[str, Any], reason: tuple[str, str]) -> None:
        assert refused("hh_red_team", self.ROW | change) == reason

    def test_bounds_that_meet_are_refused(self) -> None:
        with pytest.raises(ValueError, match="must lie below"):
            FAMILIES["hh_red_team"].bind({"held_out": 3.0, "gave_way": 3.0})


# ---------------------------------------------------------------- translations


class TestTranslatedHhRlhf:
    def test_translated_key_and_speaker(self) -> None:
        row = {"chosen": '\n\nHuman: 뭐예요?"\n\n조수: 연필이에요.\n\nHuman: 왜요?\n\nAssistant: 쓰려고요."',
               "거부됨": "\n\nHuman: 이게 뭐죠?\n\nAssistant: 연필입니다.\n\nHuman: 왜요?\n\n보조자: 몰라요."}
        draft = pair("hh_rlhf_translated", row)
        assert [m.content for m in draft.chosen] == ["뭐예요?", "연필이에요.", "왜요?", "쓰려고요."]
        assert [m.content for m in draft.rejected] == ["뭐예요?", "연필이에요.", "왜요?", "몰라요."]

    def test_a_turn_that_is_missing_on_one_side(self) -> None:
        row = {"chosen": "\n\nHuman: 1\n\nAssistant: 2\n\nHuman: 3\n\nAssistant: 4", "거부": "\n\nHuman: 1\n\nAssistant: 2"}
        assert refused("hh_rlhf_translated", row) == ("prompts_differ", "거부")

    def test_a_quotation_that_belongs_to_the_turn_stays(self) -> None:
        row = {"chosen": '\n\nHuman: 번역: "안녕"\n\nAssistant: "Hi"', "rejected": '\n\nHuman: 번역: "안녕"\n\nAssistant: "Bye"'}
        assert answers(pair("hh_rlhf_translated", row)) == ('"Hi"', '"Bye"')
