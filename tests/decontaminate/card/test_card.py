"""The decontamination card: its page is what the command writes, and a pair file gives the figures one can redo by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.card import CARD, PAIRS, PLOT, make_card
from posttrain.decontaminate.card.__main__ import main
from posttrain.decontaminate.card.leaks import CLEAN, LEAKS, TRANSLATED, card_items, card_rows
from posttrain.decontaminate.card.pairs import Pair, PairsFileError, judged_score, pair_scores, read_pairs
from posttrain.decontaminate.card.score import Flagged
from posttrain.decontaminate.card.verbatim import verbatim, verbatim_page
from posttrain.decontaminate.index import load_index
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.storage import ArtifactWriter


def test_the_card_in_docs_is_what_the_command_writes(project: Path, tmp_path: Path) -> None:
    make_card(tmp_path)
    for name in (CARD, PLOT):
        assert (project / "docs" / name).read_text(encoding="utf-8") == (tmp_path / name).read_text(encoding="utf-8"), (
            f"docs/{name} is old: run `make decontamination-card`")


def test_every_item_leaks_in_every_way_and_has_three_clean_rows() -> None:
    items = card_items()
    rows = list(card_rows(items))
    assert {item.language for item in items} == {"en", "ko"}
    assert len(rows) == len(items) * (len(LEAKS) + 1 + 3)
    assert {row.kind for row in rows} == {*LEAKS, TRANSLATED, CLEAN}
    changed = [(row.turn, item.question) for item in items for row in card_rows([item, *items])
               if row.kind.startswith("paraphrased") and row.item == (item.language, item.number)]
    assert all(turn != question for turn, question in changed)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def test_pairs_of_texts(tmp_path: Path) -> None:
    item = "A gardener plants 14 rows of 12 tulips and a storm breaks 95 of the flowers. How many tulips are left?"
    path = write(tmp_path / "pairs.jsonl", [
        {"train": item, "eval": item, "label": "same_item"},
        {"train": "Which bird lays the largest eggs?", "eval": item, "label": "coincidence"},
        {"train": "A knitter buys wool.", "eval": item, "label": "variant"},
    ])
    scores = pair_scores(*read_pairs(path, None, tmp_path))
    for rule in ("preset tulu3", "preset balanced", "ngram_coverage ≥ 0.9"):
        score = scores[rule]
        assert (score.found, score.leaks, score.false, score.clean, score.recall, score.precision) == (1, 2, 0, 1, 0.5, 1.0)


def test_what_a_judge_would_make_of_the_band_by_hand() -> None:
    """Ten pairs: 2 leaks and 1 other removed, 2 leaks and 3 others in review, 1 leak and 1 other not found."""
    labels = ["same_item"] * 2 + ["other"] + ["variant"] * 2 + ["other"] * 3 + ["variant", "other"]
    pairs = [Pair(("turn",), n, label) for n, label in enumerate(labels)]
    flagged = Flagged({n: {n} for n in range(3)}, {n: {n} for n in range(3, 8)})
    assert judged_score(pairs, flagged, 1.0) == (4 / 5, 4 / 5)
    assert judged_score(pairs, flagged, 0.5) == (3 / 5, 3 / (3 + 1 + 1.5))
    recall, precision = judged_score(pairs, flagged, 0.9)
    assert recall == pytest.approx(3.8 / 5) and precision == pytest.approx(3.8 / (3.8 + 1 + 0.3))


def test_verbatim_items_by_set_and_preset(tmp_path: Path) -> None:
    """Of 30 near copies each is found by its own row; a word that stands alone is found by all presets too."""
    lines = [{"question": f"A shelf in the hall holds {n} books and {n + 3} more arrive on Monday. How many?"} for n in range(30)]
    write(tmp_path / "many.jsonl", lines)
    write(tmp_path / "short.jsonl", [{"question": "Rust?"}, {"question": "What is the deepest lake on Earth?"}])
    sets = tuple(EvalSet(name=name, load=FileLoad(kind="file", path=f"{name}.jsonl")) for name in ("many", "short"))
    writer = ArtifactWriter(str(tmp_path / "index"), stage="index_evals")
    index_eval_sets(sets, tmp_path, 0, Decontaminate(), writer)
    index = load_index(writer.finish())
    assert verbatim(index, "tulu3") == {("many", False): {"remove": 30}, ("short", True): {"remove": 2}}
    for preset in ("seed", "balanced"):
        found = verbatim(index, preset)
        assert {key: counts["keep"] for key, counts in found.items()} == {("many", False): 0, ("short", True): 0}
    page = verbatim_page(index)
    assert "| tulu3 | 32 | 32 | 0 | 0 | 2 | 2 | 0 | 0 |" in page
    assert "| many | 30 / 30 / 0 / 0 |" in page


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.jsonl", [{"train": "a", "eval": "b", "label": "x"}, {"train": "a"}])
    with pytest.raises(PairsFileError, match=r"pairs.jsonl:2: expected train, eval and label"):
        read_pairs(path, None, tmp_path)
    files = write(tmp_path / "files.jsonl", [
        {"train_file": "a", "train_file_index": 0, "eval_file": "b", "eval_file_index": 0, "label": "x"}])
    with pytest.raises(PairsFileError, match="--data-root"):
        read_pairs(files, None, tmp_path)


def test_balanced_on_labelled_pairs_of_real_files(test_data: Path, tmp_path: Path) -> None:
    """At least 90 % of the same items and variants, at a precision of at least .85, which coverage over one half misses."""
    labelled = test_data / "contamination" / "labelled_pairs.jsonl"
    scores = pair_scores(*read_pairs(labelled, test_data, tmp_path))
    balanced, published = scores["preset balanced"], scores["preset tulu3"]
    assert balanced.leaks == 24 and balanced.recall >= 0.9 and balanced.precision >= 0.85
    assert published.precision < balanced.precision


def test_the_command_writes_the_pairs_beside_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "pairs.jsonl", [{"train": "What is rust?", "eval": "What is rust?", "label": "same_item"}])
    monkeypatch.setattr("sys.argv", ["card", "--out", str(tmp_path / "out"), "--pairs", str(path)])
    assert main() == 0
    assert "| preset balanced | 1.000 | 1.000 | 1 of 1 | 0 of 0 |" in (tmp_path / "out" / PAIRS).read_text(encoding="utf-8")
