"""Every published training file of POSTTRAIN_TEST_DATA through collect and convert: nothing crashes, the books balance.

The expected numbers were counted by hand or follow from the files' own documentation; a file that no family reads
(batch logs, prompts without answers) must be refused row by row, with a reason.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from posttrain.collect import collect
from posttrain.convert import FAMILIES, convert_source
from posttrain.convert.gsm8k_guard import HASHES, hash_questions
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Source
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected

ROOT = Path(os.environ.get("POSTTRAIN_TEST_DATA") or Path(__file__).parents[2] / "../shared/data").resolve()
if not (ROOT / "train").is_dir():
    if os.environ.get("CI"):
        pytest.fail(f"NO REAL DATA at {ROOT}, and in CI these tests must run", pytrace=False)
    pytest.skip(f"NO REAL DATA at {ROOT}: set POSTTRAIN_TEST_DATA to run these tests", allow_module_level=True)

T0 = "train/t0_train/yizhongw__self-instruct/*"
FACTORY = "train/hiyouga__LLaMA-Factory"
TULU = "train/allenai__open-instruct"
PREDICTIONS = "train/self_instruct_predictions/yizhongw__self-instruct/*"
SYNTH = "train/synth_pref_example/allenai__open-instruct"

# path or glob: families, rows read by collect, examples written, rows dropped by collect and convert together
FILES: dict[str, tuple[str, int, dict[str, int], dict[str, int]]] = {
    "train/tatsu-lab__stanford_alpaca/*.json.gz": ("stanford_alpaca", 4000, {"sft": 4000}, {}),
    "train/yizhongw__self-instruct/seed_tasks.jsonl.gz": ("self_instruct", 175, {"sft": 175}, {}),
    "train/nayohan__dolly-15k-analysis/*.jsonl.gz": ("pair", 5120, {"sft": 5120}, {}),
    f"{FACTORY}/lima.4of5.json.gz": ("lima", 824, {"sft": 824}, {}),
    f"{FACTORY}/alpaca_en_demo.json.gz": ("alpaca", 999, {"sft": 999}, {}),
    f"{FACTORY}/identity.json": ("alpaca", 91, {"sft": 6}, {"template_placeholder": 85}),
    f"{FACTORY}/glaive_toolcall_en_demo.json.gz": ("sharegpt", 300, {"sft": 147}, {"tool_call_turns": 153}),
    f"{FACTORY}/v1_sft_demo.jsonl.gz": ("messages", 500, {"sft": 450}, {"template_placeholder": 50}),
    f"{FACTORY}/reason_tool_use_demo_50.jsonl.gz": ("messages", 50, {"sft": 19}, {"tool_call_turns": 31}),
    f"{FACTORY}/kto_en_demo.json.gz": ("kto", 300, {"preference": 300}, {}),
    f"{FACTORY}/dpo_en_demo.4of5.json.gz": ("preference", 240, {"preference": 240}, {}),
    f"{FACTORY}/oaast_sft_zh.json.gz": ("alpaca", 766, {"sft": 766}, {}),
    f"{FACTORY}/oaast_rm_zh.json.gz": ("oasst_ranked", 775, {"preference": 772}, {"tied_pair": 3}),
    f"{TULU}/sft_sample.jsonl.gz": ("messages, tulu3_sft_mixture", 100, {"sft": 100}, {}),
    f"{TULU}/rlvr_sample.jsonl.gz": ("rlvr, rlvr_mixed", 100, {"rlvr": 100}, {}),
    f"{TULU}/preference_sample.jsonl.gz": ("preference, tulu3_preference_8b", 100, {"preference": 100}, {}),
    f"{TULU}/tulu2_mix_sample_debug.jsonl.gz": ("messages", 512, {"sft": 512}, {}),
    f"{TULU}/if_constraint_fewshots_handwritten.json": ("prompt_completion", 1, {}, {"missing_field": 1}),
    f"{TULU}/acecode_sample.jsonl": ("code_tests", 1, {"rlvr": 1}, {}),
    f"{SYNTH}/create_annotation_mix_out*": ("preference", 8, {}, {"missing_field": 8}),
    f"{SYNTH}/generate_responses_in*": ("prompt_completion", 2, {}, {"missing_field": 2}),
    f"{SYNTH}/generate_responses_out*": ("messages", 8, {}, {"missing_field": 8}),
    "train/LAION-AI__Open-Assistant/en_100_tree.jsonl.gz": ("oasst", 100, {"sft": 95}, {"no_complete_path": 5}),
    "train/LAION-AI__Open-Assistant/prompt_lottery_en_250_text.jsonl": ("messages", 250, {}, {"no_assistant_turn": 250}),
    "train/lm-sys__FastChat/dummy_conversation.json.gz": ("sharegpt", 500, {"sft": 500}, {}),
    "train/sahil280114__codealpaca/code_alpaca_2k.json.gz": ("alpaca", 2017, {"sft": 2017}, {}),
    "train/sahil280114__codealpaca/new_codealpaca.4of5.json.gz": ("alpaca", 3628, {"sft": 3628}, {}),
    "train/tencent-ailab__persona-hub/tool.4of5.jsonl.gz": ("persona", 4000, {"sft": 4000}, {}),
    "train/openai__grade-school-math/train.jsonl.gz": ("gsm8k", 7473, {"sft": 7473, "rlvr": 7473}, {}),
    "train/GAIR-NLP__LIMR/math.8k.4of5.json.gz": ("math", 6819, {"rlvr": 6818}, {"no_final_answer": 1}),
    "train/anthropics__hh-rlhf/test.4of5.jsonl.gz": ("hh_rlhf", 1850, {"preference": 1844}, {"roles_do_not_alternate": 6}),
    "train/sionic-ai__Data_Ko_hh-rlhf/*.txt.gz": (
        "hh_rlhf_translated",
        1850,
        {"preference": 268},
        {"invalid_json": 1490, "roles_do_not_alternate": 55, "no_assistant_turn": 35, "prompts_differ": 1, "tied_pair": 1},
    ),
    "train/songys__Chatbot_data/ChatbotData.4of5.csv.gz": ("korean_qa, chatbot_data_ko", 9459, {"sft": 9459}, {}),
    "train/vinid__safety-tuned-llamas/*.json.gz": ("alpaca", 1987, {"sft": 1987}, {}),
    "train/naver-ai__korean-safety-benchmarks/kosbi_valid.json.gz": ("safety_labels", 3421, {"sft": 3421}, {}),
    "train/naver-ai__korean-safety-benchmarks/question_valid.json.gz": ("safety_labels", 6882, {"sft": 6882}, {}),
    "train/WeOpenML__PandaLM/testset-v1.json.gz": ("pandalm", 999, {"preference": 888}, {"tied_pair": 105, "wrong_type": 6}),
    "train/BunsenFeng__model_collaboration/coconot.dev.json.gz": ("prompt_completion", 1000, {}, {"no_assistant_turn": 1000}),
    "train/BunsenFeng__model_collaboration/sciriff.dev.json.gz": ("prompt_completion, sciriff", 114, {"sft": 114}, {}),
    "train/BunsenFeng__model_collaboration/tablemwp_free_text.dev.json.gz": ("prompt_completion", 375, {"sft": 375}, {}),
    "train/allenai__noncompliance/coconot_pref.4of5.jsonl.gz": ("preference", 742, {"preference": 742}, {}),
    "train/NExTplusplus__TAT-QA/tatqa_dataset_dev.json.gz": ("tatqa", 278, {"sft": 1668}, {}),
    "train/pubmedqa__pubmedqa/ori_pqal.json.gz": ("pubmedqa", 1000, {"sft": 1000}, {}),
    "train/lmarena__arena-hard-auto/question.jsonl.gz": ("prompt_completion", 500, {}, {"no_assistant_turn": 500}),
    "train/lmarena__arena-hard-auto/gpt-*.jsonl.gz": ("arena_answers", 1000, {"sft": 1000}, {}),
    PREDICTIONS: ("alpaca", 1008, {"sft": 1008}, {}),
    "train/sagorbrur__tydiqa-language-specific/korean*": ("squad, tydiqa_goldp", 1625, {"sft": 1625}, {}),
    "train/sagorbrur__tydiqa-language-specific/english*": ("tydiqa_goldp", 3696, {"sft": 3696}, {}),
    "train/sagorbrur__tydiqa-language-specific/swahili*": ("tydiqa_goldp", 2755, {"sft": 2755}, {}),
    T0: ("p3", 14132, {"sft": 14131}, {"empty_file": 1}),
}


def _convert(path: str, family: str, folder: Path) -> tuple[Manifest, Manifest]:
    spec = Source.model_validate(
        {"name": "source", "family": family, "load": {"kind": "file", "path": path}, "origin": "test data", "license": "test"}
    )
    out = ArtifactWriter(str(folder / "raw"), stage="collect")
    collect(spec, ROOT, 0, out)
    collected = out.finish()
    out = ArtifactWriter(str(folder / "rows"), stage="convert")
    convert_source(collected, spec, out)
    return collected, out.finish()


@pytest.mark.parametrize(("path", "family"), [(path, name) for path, case in FILES.items() for name in case[0].split(", ")])
def test_file(path: str, family: str, tmp_path: Path) -> None:
    _, rows, written, reasons = FILES[path]
    collected, converted = _convert(path, family, tmp_path)
    assert collected.rows["read"] == rows
    assert converted.rows["read"] == collected.rows["kept"]
    assert converted.rows["kept"] + converted.rows["rejected"] + collected.rows["rejected"] == rows
    assert converted.written == written
    assert Counter(collected.reasons) + Counter(converted.reasons) == reasons
    ids = [(type(example), example.id) for example in read_examples(converted)]
    assert len({example_id for _, example_id in ids}) == len(ids)
    dropped = [*read_rejected(collected), *read_rejected(converted)]
    assert len(dropped) == sum(reasons.values()) and all(row["row"] and row["raw_file"] for row in dropped)


def test_the_table_of_families_says_which_files_are_converted_here() -> None:
    """`tested_on`, which docs/sources.md shows, is what FILES does: the files of which a family writes examples.

    A family that came with a test module, as docs/data.md shows it, reads its file there.
    """
    done: dict[str, set[str]] = {}
    for path, (family, _, written, _) in FILES.items():
        for name in family.split(", ") if written else ():
            done.setdefault(name, set()).add(path)
    own = {name for name in FAMILIES if name not in done and Path(__file__).with_name(f"test_{name}.py").exists()}
    assert {name: set(family.tested_on) for name, family in FAMILIES.items() if family.tested_on and name not in own} == done


def test_no_training_file_is_left_out() -> None:
    covered = {path for pattern in FILES for path in ROOT.glob(pattern)}
    assert {path for path in (ROOT / "train").rglob("*") if path.is_file()} == covered


def test_gsm8k_rows_are_as_published(tmp_path: Path) -> None:
    _, converted = _convert("train/openai__grade-school-math/train.jsonl.gz", "gsm8k", tmp_path)
    first, twin = next(read_examples(converted, "sft")), next(read_examples(converted, "rlvr"))
    assert (first.id, twin.id, twin.ground_truth, twin.language) == ("source_0", "source_0-rlvr", "72", "en")
    assert first.messages[1].content == (
        "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n#### 72"
    )
    assert not any("<<" in row.messages[1].content for row in read_examples(converted, "sft"))
    assert all(row.ground_truth.lstrip("-").replace(".", "").isdigit() for row in read_examples(converted, "rlvr"))


def test_the_whole_gsm8k_test_split_is_refused(tmp_path: Path) -> None:
    _, converted = _convert("eval/openai__grade-school-math/test.jsonl.gz", "gsm8k", tmp_path)
    assert converted.rows == {"read": 1319, "kept": 0, "rejected": 1319} and converted.reasons == {"test_split_row": 1319}


def test_the_shipped_hashes_are_those_of_the_test_split() -> None:
    path = ROOT / "eval/openai__grade-school-math/test.jsonl.gz"
    assert hash_questions(row["question"] for _, row in read_raw_file(path)) == HASHES.read_bytes()


def test_every_eval_file_is_read_with_the_rows_that_its_manifest_states() -> None:
    stated = {entry["file"]: entry["rows"] for entry in json.loads((ROOT / "manifest.json").read_text())}
    files = [path for path in sorted((ROOT / "eval").rglob("*")) if path.is_file()]
    read = {path.relative_to(ROOT).as_posix(): [value for _, value in read_raw_file(path)] for path in files}
    assert not [path for path, rows in read.items() if any(isinstance(row, Broken) for row in rows)]
    assert {path: len(rows) for path, rows in read.items()} == {path: stated[path] for path in read}
