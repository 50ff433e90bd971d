"""Known overlaps of real public files, and verbatim prompts of whole eval sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.card.verbatim import verbatim
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.matches import Finding, TrainingRow, decide, find_contamination
from posttrain.decontaminate.presets import PRESETS
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import read_raw_file
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.storage import ArtifactWriter, sha256_file

EVALS = {
    "gsm8k": "eval/openai__grade-school-math/test.jsonl.gz",
    "agieval/math": "eval/agieval/ruixiangcui__AGIEval/math.jsonl.gz",
    "ifeval": "eval/ShotaSato0916__google-research-IFEval/input_data.3of5.jsonl.gz",
    "alpaca_eval": "eval/tatsu-lab__alpaca_eval/alpaca_eval_example_outputs.json.gz",
    "mmlu": "eval/mmlu_test/google-deepmind__opro/*.csv*",
    "mmlu/algebra": "eval/mmlu_test/google-deepmind__opro/abstract_algebra_test.csv",
    "bbh": "eval/bbh/google-deepmind__opro/sports_understanding.json",
    "kobbq": "eval/naver-ai__KoBBQ/KoBBQ_test_samples.4of5.tsv.gz",
}


@pytest.fixture(scope="module")
def index(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvalIndex]:
    """An index of real eval sets; afterwards their files are what they were."""
    fields = {"agieval/math": ("passage", "question"), "kobbq": ("context", "question")}
    evals = tuple(
        EvalSet(name=name, load=FileLoad(kind="file", path=path), fields=fields.get(name, ())) for name, path in EVALS.items()
    )
    before = {path: sha256_file(str(path)) for spec in evals for path in test_data.glob(spec.load.path)}
    writer = ArtifactWriter(str(tmp_path_factory.mktemp("real") / "index"), stage="index_evals")
    index_eval_sets(evals, test_data, 0, Decontaminate(), writer)
    yield load_index(writer.finish())
    assert {path: sha256_file(str(path)) for path in before} == before


def compare(index: EvalIndex, path: Path) -> tuple[int, list[list[Finding]]]:
    """(rows, findings of each row) of a file's prompts."""
    rows = [TrainingRow(str(n), path.name, user_turns(value)) for n, value in read_raw_file(path)]
    return len(rows), find_contamination(rows, embedded(index), Decontaminate(preset="tulu3"))


def hits(found: list[list[Finding]], name: str) -> tuple[int, int]:
    """(eval items, training rows) above the rule for one eval."""
    items = {f.item_id for row in found for f in row if f.eval == name and f.decision == "remove"}
    return len(items), sum(any(f.eval == name and f.decision == "remove" for f in row) for row in found)


def test_gsm8k_train_holds_2_test_items_in_3_rows(index: EvalIndex, test_data: Path) -> None:
    rows, found = compare(index, test_data / "train/openai__grade-school-math/train.jsonl.gz")
    assert rows == 7473
    assert hits(found, "gsm8k") == (2, 3)


def test_math_rows_stand_in_agieval(index: EvalIndex, test_data: Path) -> None:
    """Another tokenisation, for which 2x is one word and \\left, \\le and \\frac are words, counts 516 items in 651 rows by
    coverage alone; items shorter than 8 words add the rest."""
    _, found = compare(index, test_data / "train/GAIR-NLP__LIMR/math.8k.4of5.json.gz")
    assert hits(found, "agieval/math") == (522, 661)
    by_coverage = [[f for f in row if not f.is_short] for row in found]
    assert hits(by_coverage, "agieval/math") == (515, 654)


@pytest.mark.parametrize(("name", "items"), [("gsm8k", 1319), ("ifeval", 325), ("alpaca_eval", 805), ("agieval/math", 1000),
                                             ("mmlu/algebra", 100), ("bbh", 250)])
def test_every_verbatim_prompt_is_found_short_ones_too(index: EvalIndex, test_data: Path, name: str, items: int) -> None:
    count = 0
    for path in sorted(test_data.glob(EVALS[name])):
        rows, found = compare(index, path)
        missed = [number for number, row in enumerate(found) if decide(row) != "remove"]
        assert (path.name, missed) == (path.name, [])
        count += rows
    assert count == items


def test_verbatim_items_are_found_by_every_preset(index: EvalIndex) -> None:
    """Every fortieth item; `make decontamination-card DATA_ROOT=...` does it for all of them."""
    sample = range(0, len(index.item_id), 40)
    for preset in PRESETS:
        found = verbatim(index, preset, sample)
        assert sum(counts.total() for counts in found.values()) == len(sample)
        assert {key: counts["keep"] for key, counts in found.items() if counts["keep"]} == {}, preset
