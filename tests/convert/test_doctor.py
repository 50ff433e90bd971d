"""Which family reads an unknown file: the right one first for every real training file, and why the others do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.convert import FAMILIES
from posttrain.convert.doctor import columns_read, diagnose

FACTORY = "train/hiyouga__LLaMA-Factory"
TULU = "train/allenai__open-instruct"
COLLABORATION = "train/BunsenFeng__model_collaboration"
TYDIQA = "train/sagorbrur__tydiqa-language-specific"
ALPACA = "alpaca"

# file → the family that has to come first
EXPECTED: dict[str, str] = {
    "train/tatsu-lab__stanford_alpaca/alpaca_5000.4of5.json.gz": ALPACA,
    "train/yizhongw__self-instruct/seed_tasks.jsonl.gz": "self_instruct",
    "train/nayohan__dolly-15k-analysis/google_flan-t5-base_decode_output.4of5.jsonl.gz": "prompt_completion",
    f"{FACTORY}/lima.4of5.json.gz": ALPACA,
    f"{FACTORY}/alpaca_en_demo.json.gz": ALPACA,
    f"{FACTORY}/identity.json": ALPACA,
    f"{FACTORY}/glaive_toolcall_en_demo.json.gz": "sharegpt",
    f"{FACTORY}/v1_sft_demo.jsonl.gz": "messages",
    f"{FACTORY}/reason_tool_use_demo_50.jsonl.gz": "messages",
    f"{FACTORY}/kto_en_demo.json.gz": "kto",
    f"{FACTORY}/dpo_en_demo.4of5.json.gz": "preference",
    f"{FACTORY}/oaast_sft_zh.json.gz": ALPACA,
    f"{FACTORY}/oaast_rm_zh.json.gz": "oasst_ranked",
    f"{TULU}/sft_sample.jsonl.gz": "messages",
    f"{TULU}/rlvr_sample.jsonl.gz": "rlvr",
    f"{TULU}/preference_sample.jsonl.gz": "preference",
    f"{TULU}/tulu2_mix_sample_debug.jsonl.gz": "messages",
    f"{TULU}/acecode_sample.jsonl": "code_tests",
    "train/LAION-AI__Open-Assistant/en_100_tree.jsonl.gz": "oasst",
    "train/lm-sys__FastChat/dummy_conversation.json.gz": "sharegpt",
    "train/sahil280114__codealpaca/code_alpaca_2k.json.gz": ALPACA,
    "train/sahil280114__codealpaca/new_codealpaca.4of5.json.gz": ALPACA,
    "train/tencent-ailab__persona-hub/tool.4of5.jsonl.gz": "persona",
    "train/openai__grade-school-math/train.jsonl.gz": "gsm8k",
    "train/GAIR-NLP__LIMR/math.8k.4of5.json.gz": "math",
    "train/anthropics__hh-rlhf/test.4of5.jsonl.gz": "hh_rlhf",
    "train/sionic-ai__Data_Ko_hh-rlhf/ko_harmless_base_test.4of5.txt.gz": "hh_rlhf_translated",
    "train/songys__Chatbot_data/ChatbotData.4of5.csv.gz": "korean_qa",
    "train/vinid__safety-tuned-llamas/safety_only_data_Instructions.4of5.json.gz": ALPACA,
    "train/naver-ai__korean-safety-benchmarks/kosbi_valid.json.gz": "safety_labels",
    "train/naver-ai__korean-safety-benchmarks/question_valid.json.gz": "safety_labels",
    "train/WeOpenML__PandaLM/testset-v1.json.gz": "pandalm",
    f"{COLLABORATION}/sciriff.dev.json.gz": "prompt_completion",
    f"{COLLABORATION}/tablemwp_free_text.dev.json.gz": "prompt_completion",
    "train/allenai__noncompliance/coconot_pref.4of5.jsonl.gz": "preference",
    "train/NExTplusplus__TAT-QA/tatqa_dataset_dev.json.gz": "tatqa",
    "train/pubmedqa__pubmedqa/ori_pqal.json.gz": "pubmedqa",
    "train/lmarena__arena-hard-auto/gpt-4-0314.jsonl.gz": "arena_answers",
    "train/lmarena__arena-hard-auto/gpt-3.5-turbo-0125.jsonl.gz": "arena_answers",
    "train/self_instruct_predictions/yizhongw__self-instruct/text-davinci-003_predictions.jsonl.gz": ALPACA,
    "train/self_instruct_predictions/yizhongw__self-instruct/text-davinci-001_predictions.jsonl.gz": ALPACA,
    "train/self_instruct_predictions/yizhongw__self-instruct/davinci-self-instruct_predictions.jsonl.gz": ALPACA,
    "train/self_instruct_predictions/yizhongw__self-instruct/davinci-superni-ft_predictions.jsonl.gz": ALPACA,
    f"{TYDIQA}/korean_tydiqa_train.json.gz": "squad",
    f"{TYDIQA}/english_tydiqa_train.json.gz": "squad",
    f"{TYDIQA}/swahili_tydiqa_train.json.gz": "squad",
}
UNREADABLE = (
    f"{TULU}/if_constraint_fewshots_handwritten.json", "train/LAION-AI__Open-Assistant/prompt_lottery_en_250_text.jsonl",
    f"{COLLABORATION}/coconot.dev.json.gz", "train/lmarena__arena-hard-auto/question.jsonl.gz",
)
"""Prompts without answers, and a table of constraints."""


@pytest.mark.parametrize("name", EXPECTED)
def test_the_right_family_comes_first(name: str, test_data: Path) -> None:
    diagnosis = diagnose(test_data / name, 60)
    assert diagnosis.fits[0].family == EXPECTED[name], [(fit.family, fit.share) for fit in diagnosis.fits[:4]]


def test_the_t0_files(test_data: Path) -> None:
    """All of them have one layout; p3 reads them alike. One file is empty as published."""
    for path in sorted((test_data / "train/t0_train/yizhongw__self-instruct").glob("*"))[::6]:
        diagnosis = diagnose(path, 10)
        if diagnosis.rows:
            assert diagnosis.fits[0].family == "prompt_completion" and "p3" in diagnosis.fits[0].same_as, path


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_no_family_reads(name: str, test_data: Path) -> None:
    diagnosis = diagnose(test_data / name)
    assert diagnosis.rows and not any(fit.understood for fit in diagnosis.fits)
    assert all(fit.reasons and fit.bad_rows for fit in diagnosis.fits)


def test_every_training_file_has_an_expectation(test_data: Path) -> None:
    files = {path.relative_to(test_data).as_posix() for path in (test_data / "train").rglob("*") if path.is_file()}
    rest = {name for name in files if not name.startswith(("train/t0_train/", "train/synth_pref_example/"))}
    assert rest == EXPECTED.keys() | set(UNREADABLE)


# ---------------------------------------------------------------- rows written by hand


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


TURNS = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "네"}]


@pytest.mark.parametrize(
    ("row", "family"),
    [
        ({"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 1}, "shp"),
        ({"question": {"full_text": "q"}, "answer_0": "a", "answer_1": "b", "score_0": 1, "score_1": -1}, "webgpt"),
        ({"transcript": "\n\nHuman: q\n\nAssistant: a", "rating": 0, "tags": None}, "hh_red_team"),
        ({"prompt": "\n\nHuman: q\n\nAssistant: ", "answers": [{"answer": t, "rank": n} for n, t in enumerate("ab")]}, "nectar"),
        ({"prompt": "q", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}], "key": 1}, "ifeval_rows"),
        ({"problem": "1+1?", "solution": "\\boxed{2}", "level": "Level 1", "type": "Algebra"}, "math"),
        ({"prompt": "q", "messages": TURNS, "category": "Chat"}, "no_robots"),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca"),
        ({"text": "### Human: q### Assistant: a"}, "guanaco"),
    ],
)
def test_rows_of_a_known_schema(row: Any, family: str, tmp_path: Path) -> None:
    fits = diagnose(write(tmp_path / "rows.jsonl", row)).fits
    assert family in (fits[0].family, *fits[0].same_as)


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]


GUARD = {"prompt": "q", "adversarial": False, "prompt_harm_label": "harmful", "subcategory": "privacy"}
BINARIZED = {"prompt": "q", "prompt_id": "x", "chosen": asked("a"), "rejected": asked("b"), "messages": asked("a")}
ARGILLA = {"prompt": "q", "chosen": asked("a"), "chosen-rating": 5.0, "chosen-model": "m", "rejected": asked("b"),
           "rejected-rating": 2.5, "rejected-model": "n"}


@pytest.mark.parametrize(
    ("rows", "family"),
    [
        # Harmful answers are refused by the family that knows their label, and taken by one that does not.
        ([GUARD | {"response": "Sure", "response_harm_label": "harmful"},
          GUARD | {"response": "No.", "response_harm_label": "unharmful"}], "wildguardmix"),
        ([BINARIZED | {"score_chosen": 8.5, "score_rejected": 3.0}, BINARIZED | {"score_chosen": 5.0, "score_rejected": 5.0}],
         "ultrafeedback_binarized"),
        ([ARGILLA | {"source": "evol_instruct"}, ARGILLA | {"source": "truthful_qa"}], "ultrafeedback_cleaned"),
        # The question is the instruction, and not the empty column that other publishers call input.
        ([{"id": "alpaca_1", "instruction": "3+3은 얼마인가요", "input": "", "output": "6입니다"}], "kullm_v2"),
        # Prose is no ground truth.
        ([{"question": "안녕", "answer": "네"}], "korean_qa"),
        ([{"id": "x", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "<p>a <b>b</b></p>"}]}
          ], "sharegpt"),
    ],
)
def test_the_family_that_knows_the_rows_best(rows: list[Any], family: str, tmp_path: Path) -> None:
    fits = diagnose(write(tmp_path / "rows.jsonl", *rows)).fits
    assert family in (fits[0].family, *fits[0].same_as), [(fit.family, fit.converted, fit.understood) for fit in fits[:4]]


def test_rows_that_are_put_together_first(tmp_path: Path) -> None:
    aspects = dict.fromkeys(("helpfulness", "correctness", "coherence", "complexity", "verbosity"), 1)
    rows = [{"prompt": "q", "response": "a"} | aspects, {"prompt": "q", "response": "b"} | aspects | {"helpfulness": 4}]
    alone = [{"prompt": "tie", "response": "a"} | aspects, {"prompt": "tie", "response": "b"} | aspects]
    assert diagnose(write(tmp_path / "rows.jsonl", *rows, *alone)).fits[0].family == "helpsteer2"


def test_a_refused_test_question_speaks_for_the_family(test_data: Path) -> None:
    fit = diagnose(test_data / "eval/openai__grade-school-math/test.jsonl.gz", 20).fits[0]
    assert (fit.family, fit.converted, fit.understood, fit.reasons) == ("gsm8k", 0, 20, {"test_split_row": 20})


def test_alternatives_in_a_column_list() -> None:
    assert columns_read(FAMILIES["rlvr"], ["verifier", "messages", "x"]) == ["messages", "verifier"]
    assert columns_read(FAMILIES["pair"], ["a", "b"]) == []


# ---------------------------------------------------------------- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "rows.jsonl", {"messages": TURNS}, {"messages": "x"}, {"messages": TURNS})
    path.write_text(path.read_text() + "{broken\n", encoding="utf-8")
    code, out, _ = run(capsys, "doctor", "--rows", "50", path, "--json")
    found = json.loads(out)
    assert code == 0 and found["rows"] == 4 and found["columns"] == ["messages"]
    assert [(row["row"], row["reason"]) for row in found["unreadable"]] == [(3, "invalid_json")]
    best = found["families"][0]
    assert (best["family"], best["converted"], best["share"], best["kinds"]) == ("messages", 2, 0.5, ["sft"])
    assert best["bad_rows"][0] | {"detail": ""} == {"row": 1, "reason": "wrong_type", "field": "messages", "detail": ""}
    assert {fit["family"] for fit in found["families"] + found["others"]} == set(FAMILIES)
    alpaca = next(fit for fit in found["others"] if fit["family"] == "alpaca")
    assert alpaca["reasons"] and alpaca["bad_rows"][0]["field"] == "instruction"


def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "rows.jsonl", {"instruction": "q", "input": "", "output": "a"}, {"instruction": "q"})
    code, out, _ = run(capsys, "doctor", path)
    assert code == 0 and "Best: alpaca converts 1 of 2 rows to sft" in out and "convert --family alpaca" in out
    assert "row 1: missing_field in 'output'" in out or "row 1: no_assistant_turn" in out


@pytest.mark.parametrize(("content", "says"), [("", "The file holds no rows."), ('{"a": 1}\n', "No family reads it.")])
def test_nothing_to_read(content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    code, out, _ = run(capsys, "doctor", tmp_path / "rows.jsonl")
    assert code == 0 and says in out


def test_a_file_without_a_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.docx").write_text("x")
    code, _, err = run(capsys, "doctor", tmp_path / "rows.docx")
    assert code == 2 and "no reader for this ending" in err and "ValueError" not in err


def test_a_conversion_that_keeps_nothing_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text('{"instruction": "q", "output": "a"}\n')
    code, out, err = run(capsys, "convert", "--family", "kto", "--in", tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert code == 0 and "kept 0" in out and "`python -m posttrain doctor FILE`" in err
