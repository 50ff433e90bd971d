"""The release folder: it loads, its cards say what was measured, and it is refused where the gate did not pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from posttrain.cards import hub_license, size_category
from posttrain.gate import judge_run
from posttrain.recipe import check_recipe
from posttrain.release import ReleaseRefused, build_release, push
from posttrain.run import Run, start_run
from posttrain.schema import SCHEMAS, Message, PreferencePair, RLVRExample, SFTExample, kind_of, to_row
from posttrain.storage import ArtifactWriter, Manifest, StageResult

RECIPE: dict[str, Any] = {
    "name": "small", "description": "Sums, and 덧셈 in Korean.", "seed": 0,
    "sources": [
        {"name": "sums", "family": "gsm8k", "origin": "written by hand | here", "license": "Apache-2.0",
         "load": {"kind": "procedural", "rows": 2, "skills": ["addition"]}},
        {"name": "research", "family": "gsm8k", "origin": "a paper", "license": "CC BY-NC 4.0", "non_commercial": True,
         "load": {"kind": "procedural", "rows": 1, "skills": ["addition"]}},
    ],
    "evals": [{"name": "sums_test", "skill": "addition", "task": "word_problems",
               "load": {"kind": "procedural", "rows": 4, "skills": ["addition"]}}],
    "mix": {"sft": [{"source": "sums", "proportion": 1.0}], "allow_non_commercial": True},
    "model": {"kind": "tiny", "vocab_size": 300, "layers": 1, "width": 32, "heads": 2, "mlp_width": 32, "max_positions": 64},
    "sft": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "dpo": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "rlvr": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "evaluate": {"checkpoints": ["base", "sft"]},
    "gate": {"thresholds": {"addition": 0.5}},
    "release": {"model_name": "small-sums", "license": "apache-2.0"},
}
ASKED, SAID = Message("user", "1 + 1?"), Message("assistant", "2")


def example(kind: str, number: int, source: str, license: str, language: str = "en") -> Any:
    own = {"id": f"{source}_{number}", "source": source, "category": "math", "skill": "addition", "language": language,
           "license": license, "raw_file": "sums.jsonl", "raw_row": number}
    if kind == "rlvr":
        return RLVRExample(**own, messages=(ASKED,), ground_truth="2", verifier="gsm8k")
    if kind == "preference":
        return PreferencePair(**own, prompt="1 + 1?", chosen=(ASKED, SAID), rejected=(ASKED, Message("assistant", "3")))
    return SFTExample(**own, messages=(ASKED, SAID))


def record(run: Run, stage: str, inputs: list[Manifest], work: Any) -> Manifest:
    result: StageResult = run.stage(stage, "posttrain.storage", inputs=inputs, settings={}, work=work)
    return result.manifest


def make_run(folder: Path, *, score: float) -> Run:
    """A run up to the gate: three rows, a real tiny model, and the given score on addition."""
    from posttrain.train.base import make_tiny, train_tokenizer

    run = start_run(check_recipe(RECIPE, "test"), "small-run", workspace=str(folder / "workspace"))
    rows = [example("sft", 0, "sums", "Apache-2.0"), example("sft", 1, "sums", "Apache-2.0", "ko"),
            example("sft", 0, "research", "CC BY-NC 4.0"), example("rlvr", 2, "sums", "Apache-2.0")]

    def mix(out: ArtifactWriter) -> None:
        for row in rows:
            out.read(row.source)
            out.kept(row.source)
            out.write(kind_of(row), to_row(row), SCHEMAS[kind_of(row)])

    def checkpoint(out: ArtifactWriter) -> None:
        tokenizer = train_tokenizer(iter(["1 + 1?", "2"]), 300)
        local = folder / f"checkpoint-{out.stage}"
        make_tiny(run.recipe.model, tokenizer, 0).save_pretrained(local)
        tokenizer.save_pretrained(local)
        out.facts["parameters"] = 12_345
        out.add_folder("checkpoint", str(local))

    def preferences(out: ArtifactWriter) -> None:
        out.read("sums")
        out.keep(example("preference", 5, "sums", "Apache-2.0"))

    mixture = record(run, "mix", [], mix)
    base = record(run, "base", [mixture], checkpoint)
    sft = record(run, "sft", [base, mixture], checkpoint)
    record(run, "preferences", [sft, mixture], preferences)
    scores = {"base": {"addition": 0.0}, "sft": {"addition": score}}
    record(run, "evaluate", [base, sft], lambda out: out.facts.update(scores=scores, tasks={}))
    judge_run(run)
    return run


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    run = make_run(tmp_path_factory.mktemp("release"), score=0.75)
    return run, Path(build_release(run).manifest.path)


def header(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])


def test_the_model_loads_and_answers(released: tuple[Run, Path]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(released[1] / "model") for kind in (AutoModelForCausalLM, AutoTokenizer))
    messages = [{"role": "user", "content": "1 + 1?"}]
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert model.generate(**inputs, max_new_tokens=2).shape[1] == inputs["input_ids"].shape[1] + 2


def test_the_checkpoint_of_the_run_is_still_there(released: tuple[Run, Path]) -> None:
    run, folder = released
    original = Path(run.manifest("sft").file("checkpoint/model.safetensors"))
    assert original.read_bytes() == (folder / "model" / "model.safetensors").read_bytes()


def test_the_model_card_has_the_measured_scores(released: tuple[Run, Path]) -> None:
    card = released[1] / "README.md"
    head = header(card)
    assert (head["license"], head["library_name"], head["language"]) == ("apache-2.0", "transformers", ["en", "ko"])
    assert head["model-index"][0]["name"] == "small-sums"
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.75
    assert "| addition | 0.0 | 75.0 | 50.0 |" in card.read_text(encoding="utf-8")


def test_the_data_set_has_published_columns_and_a_card_that_names_its_files(released: tuple[Run, Path]) -> None:
    folder = released[1] / "dataset"
    head = header(folder / "README.md")
    assert head["size_categories"] == ["n<1K"] and head["license"] == ["apache-2.0", "cc-by-nc-4.0"]
    assert {c["config_name"]: c["data_files"][0]["path"] for c in head["configs"]} == {
        "sft": "sft/*.parquet", "rlvr": "rlvr/*.parquet", "preference": "preference/*.parquet"}
    columns = {split: pq.read_table(folder / split).column_names for split in ("sft", "rlvr", "preference")}
    assert columns["sft"][:3] == ["id", "messages", "source"]
    assert columns["preference"][:5] == ["id", "source", "prompt", "chosen", "rejected"]
    assert columns["rlvr"][:5] == ["id", "messages", "source", "ground_truth", "dataset"]
    assert pq.read_table(folder / "rlvr")["dataset"].to_pylist() == ["gsm8k"]


def test_the_data_set_loads_with_datasets(released: tuple[Run, Path]) -> None:
    from datasets import load_dataset

    rows = load_dataset(str(released[1] / "dataset"), "sft", split="train", cache_dir=str(released[1].parent / "cache"))
    assert [row["id"] for row in rows] == ["sums_0", "sums_1", "research_0"]


def test_licences_are_counted_and_the_restricted_source_is_named(released: tuple[Run, Path]) -> None:
    text = (released[1] / "LICENSES.md").read_text(encoding="utf-8")
    assert "**Not for commercial use**, because of: research." in text
    assert "| sums | Apache-2.0 | no | 3 | written by hand \\| here |" in text
    assert "| research | CC BY-NC 4.0 | yes | 1 | a paper |" in text


def test_manifests_and_lineage_cover_every_stage(released: tuple[Run, Path]) -> None:
    folder = released[1]
    stages = {"mix", "base", "sft", "preferences", "evaluate", "gate"}
    assert {p.stem for p in (folder / "manifests").iterdir()} == stages
    artifacts = json.loads((folder / "lineage.json").read_text())["artifacts"]
    assert artifacts["sft"]["made_from"] == ["base", "mix"]
    assert yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))["name"] == "small"


def test_a_second_release_is_skipped(released: tuple[Run, Path]) -> None:
    assert build_release(released[0]).skipped


def test_a_run_whose_gate_failed_is_not_released(tmp_path: Path) -> None:
    run = make_run(tmp_path, score=0.25)
    with pytest.raises(ReleaseRefused, match="its gate did not pass: addition is 25.0 % short"):
        build_release(run)
    assert not run.has("release")
    env = {**os.environ, "POSTTRAIN_WORKSPACE": run.workspace}
    command = [sys.executable, "-m", "posttrain", "release", "--run", "small-run"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "addition is 25.0 % short" in done.stderr and "Traceback" not in done.stderr


def test_a_push_without_a_token_is_refused_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ReleaseRefused, match="HF_TOKEN is not set"):
        push(str(tmp_path), "entity/name")


@pytest.mark.parametrize(
    ("text", "identifier"), [("Apache-2.0", "apache-2.0"), ("CC BY-NC 4.0", "cc-by-nc-4.0"), ("see the card", "other")],
)
def test_hub_licence_identifiers(text: str, identifier: str) -> None:
    assert hub_license(text) == identifier


@pytest.mark.parametrize(("rows", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (939_344, "100K<n<1M"), (10**8, "n>10M")])
def test_size_categories(rows: int, name: str) -> None:
    assert size_category(rows) == name
