"""Duplicates in meaning through the whole filter stage, with a real sentence-transformers model of random weights made here.

A word that the model does not know is one unknown word: rows that differ in such words only have the same vector.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.decontaminate.test_dense import save_model

from posttrain import sentence_vectors, shards
from posttrain.filters import filter_examples, meanings, stage_settings
from posttrain.recipe import Filter, RecipeError, load_recipe
from posttrain.schema import Message, PreferencePair, SFTExample
from posttrain.sentence_vectors import DenseModelUnusable
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected, read_table

FACTS = dict(category="general", skill="general", language="en", license="MIT", raw_file="f")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("semantic"), seed=0))


def row(row_id: str, question: str, answer: str = "the sun ran home", source: str = "one") -> SFTExample:
    return SFTExample(id=row_id, source=source, messages=(Message("user", question), Message("assistant", answer)), **FACTS)


ROWS = [row("story", "the cat sat on the zorp mat"), row("same story", "the cat sat on the blip mat", source="two"),
        row("moon", "the moon", "blue"), row("exact", "The moon", "Blue", source="two"),
        row("apples 3", "how many are 3 red cats"), row("apples 5", "how many are 5 red cats", source="two"),
        row("long", "the red " + "dog " * 40, source="two")]


def filtered(folder: Path, rows: list[Any], sources: tuple[str, ...] = ("one", "two"), **duplicates: Any) -> Manifest:
    inputs = []
    for name in sources:
        writer = ArtifactWriter(str(folder / f"in-{name}"), stage="convert")
        for one in rows:
            if one.source == name:
                writer.read(name)
                writer.keep(one)
        inputs.append(writer.finish())
    settings = Filter.model_validate({"duplicates": duplicates, "one_word_answers": "off"})
    out = ArtifactWriter(str(folder / "filter"), stage="filter", settings=stage_settings(settings), shards=str(folder / "shards"))
    filter_examples(inputs, settings, out)
    return out.finish()


def test_rows_that_mean_the_same_fall_and_the_books_name_them(tmp_path: Path, model: str) -> None:
    done = filtered(tmp_path, ROWS, semantic={"model": model, "threshold": 0.999})
    assert [e.id for e in read_examples(done)] == ["story", "moon", "apples 3", "apples 5", "long"]
    assert done.reasons == {"semantic_duplicate": 1, "duplicate_conversation": 1} and done.facts["rules"]["duplicates"] == 2
    details = {one["id"]: one["detail"] for one in read_rejected(done)}
    assert details["same story"] == "story of one is kept (cosine 1.000)"
    clusters = {one["id"]: one for one in read_table(done.file("clusters.parquet")).to_pylist()}
    fallen = clusters["same story"]
    told = {name: fallen[name] for name in ("reason", "kept_id", "jaccard", "cosine")}
    assert told == {"reason": "semantic_duplicate", "kept_id": "story", "jaccard": None, "cosine": 1.0}
    assert clusters["exact"]["cosine"] is None and clusters["story"]["kept"]
    facts = done.facts["duplicates"]
    assert facts["semantic_duplicate"] == 1 and facts["semantic_rows"] == 5 and facts["semantic_clusters"] == 0
    assert facts["semantic_not_read_whole"] == 1, "a model of 32 words does not see how the long one ends"


def test_one_template_with_other_numbers_is_spared_and_shown(tmp_path: Path, model: str) -> None:
    done = filtered(tmp_path / "a", ROWS, semantic={"model": model, "threshold": 0.999})
    assert done.facts["duplicates"]["spared_for_other_numbers"] == 1
    assert read_table(done.file("spared.parquet")).to_pylist() == [
        {"id": "apples 5", "source": "two", "kept_id": "apples 3", "cosine": 1.0}]
    done = filtered(tmp_path / "b", ROWS, semantic={"model": model, "threshold": 0.999, "same_numbers": False})
    assert "apples 5" not in {e.id for e in read_examples(done)} and done.facts["duplicates"]["semantic_with_other_numbers"] == 1
    assert all(entry.name != "spared.parquet" for entry in done.files)


def test_priority_sources_left_out_and_what_is_compared(tmp_path: Path, model: str) -> None:
    own = {"model": model, "threshold": 0.999}
    done = filtered(tmp_path / "a", ROWS, semantic=own, priority=["two"])
    assert {"same story", "exact"} <= {e.id for e in read_examples(done)}
    done = filtered(tmp_path / "b", ROWS, semantic=own | {"leave_out": ["two"]})
    assert done.reasons == {"duplicate_conversation": 1} and done.facts["duplicates"]["semantic_rows"] == 3
    two = [row("a", "the zorp cat", "the moon"), row("b", "the blip cat", "how many dogs are there")]
    assert filtered(tmp_path / "c", two, semantic=own).reasons == {}
    assert filtered(tmp_path / "d", two, semantic=own | {"what": "prompt"}).reasons == {"semantic_duplicate": 1}


def test_what_stood_for_others_falls_and_they_go_over_to_the_kept_row(tmp_path: Path, model: str) -> None:
    words = "the cat sat on the {} mat how many are there the red dog ran home the sun"
    rows = [row("first", words.format("zorp"), "one two three four five six seven eight"),
            row("second", words.format("blip"), "nine ten eleven twelve thirteen fourteen fifteen sixteen", source="two"),
            row("near", words.format("blip"), "nine ten eleven twelve thirteen fourteen fifteen other", source="two"),
            row("copy", words.format("Blip"), "nine ten eleven twelve thirteen fourteen fifteen sixteen", source="two")]
    done = filtered(tmp_path, rows, near={"threshold": 0.8}, semantic={"model": model, "threshold": 0.999})
    table = [(one["id"], one["reason"], one["kept_id"], one["jaccard"], one["cosine"])
             for one in read_table(done.file("clusters.parquet")).to_pylist()]
    assert table == [
        ("first", None, "first", 1.0, None), ("copy", "duplicate_conversation", "first", None, 1.0),
        ("near", "near_duplicate", "first", None, 1.0), ("second", "semantic_duplicate", "first", None, 1.0)]


def test_pairs_are_compared_side_by_side(tmp_path: Path, model: str) -> None:
    def pair(row_id: str, chosen: str, rejected: str) -> PreferencePair:
        asked = Message("user", "the cat")
        return PreferencePair(id=row_id, source="one", prompt="the cat", chosen=(asked, Message("assistant", chosen)),
                              rejected=(asked, Message("assistant", rejected)), **FACTS)

    rows = [pair("a", "the sun ran home zorp", "how many dogs"), pair("b", "the sun ran home blip", "how many dogs"),
            pair("c", "how many dogs", "the sun ran home zap"), pair("d", "the sun ran home zorp", "blue moon sat on there")]
    done = filtered(tmp_path, rows, ("one",), semantic={"model": model, "threshold": 0.999})
    assert [one["id"] for one in read_rejected(done)] == ["b"]


def test_vectors_are_made_once_and_other_workers_change_nothing(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {"model": model, "threshold": 0.999}
    alone = filtered(tmp_path / "a", ROWS, semantic=own)
    monkeypatch.setattr(shards, "ROWS_FOR_WORKERS", 1)
    monkeypatch.setenv("POSTTRAIN_WORKERS", "2")
    both = filtered(tmp_path / "b", ROWS, semantic=own)
    assert [(e.name, e.sha256) for e in both.files] == [(e.name, e.sha256) for e in alone.files]

    encoded: list[str] = []
    real = meanings.encode
    monkeypatch.setattr(meanings, "encode", lambda name, texts, setting: encoded.extend(texts) or real(name, texts, setting))
    (tmp_path / "c").mkdir()
    (tmp_path / "b" / "shards").rename(tmp_path / "c" / "shards")
    filtered(tmp_path / "c", ROWS, semantic=own | {"threshold": 0.9})
    assert encoded == [], "another threshold encodes nothing"
    (tmp_path / "d").mkdir()
    (tmp_path / "c" / "shards").rename(tmp_path / "d" / "shards")
    filtered(tmp_path / "d", [*ROWS, row("new", "blue dog", source="two")], semantic=own)
    assert len(encoded) == 3 and encoded[-1] == "blue dog\nthe sun ran home", "of two sources the changed one"


def test_without_the_section_nothing_is_different(tmp_path: Path) -> None:
    done = filtered(tmp_path, ROWS)
    assert read_table(done.file("clusters.parquet")).column_names[-1] == "jaccard"
    assert set(done.facts["duplicates"]) == {"kept", "duplicate_conversation", "duplicate_prompt", "near_duplicate"}


def test_a_model_in_a_folder_counts_by_its_files(tmp_path: Path, model: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modules.json").write_text("[]", encoding="utf-8")
    settings = Filter.model_validate({"duplicates": {"semantic": {"model": str(folder)}}})
    before = stage_settings(settings)
    (folder / "modules.json").write_text("[ ]", encoding="utf-8")
    assert stage_settings(settings) != before


# ---------------------------------------------------------------- refused when the recipe is read


def refusal(semantic: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as error:
        load_recipe("smoke", {"filter": {"duplicates": {"semantic": semantic}}})
    return str(error.value)


def test_a_folder_that_is_not_there_or_holds_no_model(tmp_path: Path) -> None:
    assert "filter.duplicates.semantic.model" in (said := refusal({"model": str(tmp_path / "none")}))
    assert "there is no folder" in said and "name a folder with a sentence-transformers model" in said
    assert "holds no model" in refusal({"model": str(tmp_path)})
    assert "source 'nobody' is not defined" in refusal({"model": "any/model", "leave_out": ["nobody"]})


def test_without_the_package_the_recipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    assert "pip install sentence-transformers" in refusal({"model": "any/model"})


def test_a_name_that_cannot_be_loaded_names_the_setting(tmp_path: Path) -> None:
    sentence_vectors.encoder.cache_clear()
    with pytest.raises(DenseModelUnusable, match="filter.duplicates.semantic.model nobody/none cannot be loaded"):
        filtered(tmp_path, ROWS, semantic={"model": "nobody/none"})


def test_lone_surrogates_are_read(model: str) -> None:
    one, two = sentence_vectors.encode(model, ["the cat \ud800", "the cat ?"], "setting")
    assert (one == two).all() and sentence_vectors.read_whole(model, ["\ud800", "dog " * 31], "setting").tolist() == [True, True]
    assert sentence_vectors.read_whole(model, ["dog " * 33, "dog " * 300], "setting").tolist() == [False, False]
