"""Which raw rows of a source are taken: `where`, the samples of FLAN and OpenCodeReasoning; every other row is kept aside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.convert import FAMILIES
from posttrain.convert.flan import TULU3_SAMPLE, FlanOptions, collection_of, sample_collections
from posttrain.convert.rows import convert_rows
from posttrain.convert.where import rows_where
from posttrain.raw_rows import RawRow
from posttrain.recipe import Source, load_recipe
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected


def taken(rows: list[Any], where: dict[str, Any]) -> list[Any]:
    found = rows_where((("f", n, row) for n, row in enumerate(rows)), where)
    return [row[2] for row in found if len(row) == 3]


class TestWhere:
    MODELS = ("gpt-4-0314", "gpt-4-1106-preview", "gpt-3.5-turbo-0613", "mygpt-4", None, 4)

    @pytest.mark.parametrize(
        ("wanted", "models"),
        [
            ("gpt-4-0314", ["gpt-4-0314"]),
            ("gpt-4*", ["gpt-4-0314", "gpt-4-1106-preview"]),
            (("gpt-4-0314", "gpt-3.5*"), ["gpt-4-0314", "gpt-3.5-turbo-0613"]),
            ("!gpt-4*", ["gpt-3.5-turbo-0613", "mygpt-4", None, 4]),
            (("*gpt-4*", "!mygpt*"), ["gpt-4-0314", "gpt-4-1106-preview"]),
            (("*", "!*preview", "!my*"), ["gpt-4-0314", "gpt-3.5-turbo-0613"]),
            (None, [None]),
            (4, [4]),
            (4.0, [4]),
            ("4", []),
            ("gpt-?-0314", []),
            ("[g]pt-4*", []),
        ],
    )
    def test_values(self, wanted: Any, models: list[Any]) -> None:
        rows = [{"model": model} for model in self.MODELS]
        assert [row["model"] for row in taken(rows, {"model": wanted})] == models

    @pytest.mark.parametrize(("wanted", "kept"), [(False, [0]), (True, [1]), ((True, False), [0, 1])])
    def test_a_boolean_is_no_number_and_no_text(self, wanted: Any, kept: list[int]) -> None:
        rows = [{"toxic": value, "n": n} for n, value in enumerate([False, True, 0, 1, "false", None])]
        assert [row["n"] for row in taken(rows, {"toxic": wanted})] == kept

    def test_every_column_has_to_agree(self) -> None:
        rows = [{"a": 1, "b": {"c": "x"}}, {"a": 1, "b": {"c": "y"}}, {"a": 2, "b": {"c": "x"}}]
        assert taken(rows, {"a": 1, "b.c": "x"}) == rows[:1]

    @pytest.mark.parametrize("row", [{}, {"modle": "gpt-4"}, [], "gpt-4", None, {"model": ["gpt-4"]}, {"model": {"gpt-4": 1}}])
    def test_a_row_without_such_a_value_is_not_taken(self, row: Any) -> None:
        assert taken([row], {"model": "gpt-4"}) == []

    def test_a_misspelt_column_takes_nothing_even_with_a_negation(self) -> None:
        assert taken([{"model": "gpt-4"}], {"modle": "!gpt-4"}) == []

    @given(
        st.lists(st.sampled_from(["", "a", "ab", "b", None, True, 1])), st.sampled_from(["a", "a*", "!a", "*b", None, 1, True])
    )
    def test_what_is_wanted_and_what_is_not_make_up_all(self, values: list[Any], wanted: Any) -> None:
        rows = [("f", n, {"v": value}) for n, value in enumerate(values)]
        found = list(rows_where(iter(rows), {"v": wanted}))
        assert [row if len(row) == 3 else row[0] for row in found] == rows


def source(family: str, **fields: Any) -> Source:
    load = {"kind": "file", "path": "x"}
    return Source.model_validate({"name": "s", "family": family, "load": load, "origin": "o", "license": "l", **fields})


def convert(spec: Source, rows: list[RawRow], out: Path) -> Manifest:
    family = FAMILIES[spec.family]
    function, sample = family.bind(spec.options)
    writer = ArtifactWriter(str(out), stage="convert")
    convert_rows(function, rows, spec, writer, sample=sample)
    return writer.finish()


def chat(model: str, **fields: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": f"{model} answers"}]
    return {"conversation_hash": model, "model": model, "conversation": turns, "toxic": False, "redacted": False, **fields}


def test_wildchat_is_split_by_model_and_the_other_rows_are_kept_aside(tmp_path: Path) -> None:
    chats = [chat("gpt-4-0314"), chat("gpt-3.5-turbo-0301"), chat("gpt-4-0613", toxic=True), chat("gpt-4-0125", redacted=True)]
    rows = [("w.jsonl", n, row) for n, row in enumerate(chats)]
    where = {"model": "gpt-4*", "toxic": False, "redacted": False}
    manifest = convert(source("wildchat", where=where), rows, tmp_path / "a")
    assert manifest.rows == {"read": 4, "kept": 1, "rejected": 3} and manifest.reasons == {"not_selected": 3}
    assert [e.id for e in read_examples(manifest)] == ["gpt-4-0314"]
    assert [(r["field"], r["detail"]) for r in read_rejected(manifest)] == [
        ("model", "'gpt-3.5-turbo-0301'"), ("toxic", "True"), ("redacted", "True")]
    assert [e.tags for e in read_examples(convert(source("wildchat"), rows, tmp_path / "c"))] == [
        ("gpt-4-0314",), ("gpt-3.5-turbo-0301",), ("gpt-4-0613", "toxic"), ("gpt-4-0125", "redacted")]
    manifest = convert(source("wildchat", where={"model": "gpt-3.5*"}), rows, tmp_path / "b")
    assert [e.id for e in read_examples(manifest)] == ["gpt-3.5-turbo-0301"]


def test_open_math_instruct_gsm8k_part(tmp_path: Path) -> None:
    sources = ["gsm8k", "augmented_gsm8k", "math", "augmented_math"]
    problems = [{"problem": name, "generated_solution": "1", "problem_source": name} for name in sources]
    rows = [("o.parquet", n, row) for n, row in enumerate(problems)]
    manifest = convert(source("open_math_instruct_2", where={"problem_source": "*gsm8k"}), rows, tmp_path)
    assert [e.messages[0].content for e in read_examples(manifest)] == ["gsm8k", "augmented_gsm8k"]


# ---------------------------------------------------------------- FLAN


def task(number: int, task_source: str, template: str, file: str = "train.jsonl") -> RawRow:
    return (file, number, {"inputs": f"q{number}", "targets": "a", "_task_source": task_source, "_template_type": template})


@pytest.mark.parametrize(
    ("row", "collection"),
    [
        (task(0, "CoT", "fs_opt"), "cot_fsopt"),
        (task(0, "Flan2021", "zs_noopt"), "flan_zsnoopt"),
        (task(0, "NIv2", "zs_opt"), "niv2_zsopt"),
        (task(0, "T0", "fs_opt"), "t0_fsopt"),
        (task(0, "P3", "fs_opt"), "t0_fsopt"),  # as the FLAN collection marks the rows of its t0 part
        (("x", 0, {"task_source": "Dialog", "template_type": "fs_opt"}), "dialog_fsopt"),
        (("flan/cot_zsopt_data/part.3.parquet", 0, {"inputs": "q"}), "cot_zsopt"),
        (("niv2_fs_opt.jsonl", 0, "text"), "niv2_fsopt"),
        (("x", 0, "text"), ""),
    ],
)
def test_the_sub_collection_of_a_row(row: RawRow, collection: str) -> None:
    assert collection_of(row) == collection


def test_the_sample_is_tulu3s() -> None:
    assert sum(TULU3_SAMPLE.values()) == 90_000 and FlanOptions().sample == TULU3_SAMPLE


def test_a_fixed_number_of_rows_of_each_sub_collection(tmp_path: Path) -> None:
    rows = [task(n, name, "fs_opt") for n, name in enumerate(["CoT", "NIv2", "T0"] * 20)]
    manifest = convert(source("flan", options={"sample": {"cot_fsopt": 5, "t0_fsopt": 30}}), rows, tmp_path)
    assert manifest.rows == {"read": 60, "kept": 25, "rejected": 35} and manifest.reasons == {"not_selected": 35}
    kept = [e.raw_row for e in read_examples(manifest)]
    assert Counter(row % 3 for row in kept) == {0: 5, 2: 20} and kept == sorted(kept)
    aside = Counter(row["detail"] for row in read_rejected(manifest))
    assert aside == {"cot_fsopt has more than 5 rows": 15, "niv2_fsopt is not in the sample": 20}


@given(st.permutations(range(30)), st.integers(0, 3))
def test_the_sample_does_not_depend_on_the_order_but_on_the_seed(order: list[int], seed: int) -> None:
    rows = [task(n, "CoT", "fs_opt") for n in range(30)]
    options = FlanOptions(sample={"cot_fsopt": 7}, seed=seed)

    def chosen(rows: list[RawRow]) -> set[int]:
        return {row[1] for row in sample_collections(rows, options) if len(row) == 3}

    assert chosen([rows[n] for n in order]) == chosen(rows) and len(chosen(rows)) == 7


def test_seeds_give_different_samples_and_an_empty_sample_takes_all() -> None:
    rows = [task(n, "CoT", "fs_opt") for n in range(100)]
    chosen = [[row[1] for row in sample_collections(rows, FlanOptions(sample={"cot_fsopt": 10}, seed=seed))
               if len(row) == 3] for seed in (0, 1)]
    assert chosen[0] != chosen[1]
    assert list(sample_collections(rows, FlanOptions(sample={}))) == rows


# ---------------------------------------------------------------- OpenCodeReasoning


def test_so_many_answers_to_a_problem(tmp_path: Path) -> None:
    rows = [("o.parquet", n, {"id": problem, "input": problem, "output": str(n)}) for n, problem in enumerate("aababa")]
    manifest = convert(source("open_code_reasoning", options={"answers_per_problem": 2}), rows, tmp_path)
    assert [e.raw_row for e in read_examples(manifest)] == [0, 1, 2, 4] and manifest.reasons == {"not_selected": 2}


# ---------------------------------------------------------------- the recipe


@pytest.mark.parametrize("name", ["tulu3-8b", "tulu3-70b", "tulu3-405b"])
def test_the_recipe_loads_what_the_table_of_families_names(name: str) -> None:
    for spec in load_recipe(name).sources:
        family = FAMILIES[spec.family]
        if family.hub is not None and spec.load.kind == "hub":
            assert (spec.load.id, spec.load.config) == (family.hub, family.config), spec.name
            assert spec.non_commercial == (family.commercial_use == "no"), spec.name


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("tulu_v3.9_wildchat_100k", chat("gpt-4-0314"), True),
        ("tulu_v3.9_wildchat_100k", chat("gpt-3.5-turbo-0301"), False),
        ("tulu_v3.9_wildchat_100k", chat("gpt-4-0314", toxic=True), False),
        ("tulu_v3.9_sciriff_10k", {"dataset": "science.bioasq"}, True),
        ("tulu_v3.9_sciriff_10k", {"dataset": "tulu"}, False),
        ("tulu_v3.9_open_math_2_gsm8k_50k", {"problem_source": "augmented_gsm8k"}, True),
        ("tulu_v3.9_open_math_2_gsm8k_50k", {"problem_source": "augmented_math"}, False),
    ],
)
def test_tulu3_takes_the_published_part_of_a_pool(name: str, row: dict[str, Any], expected: bool) -> None:
    assert (taken([row], load_recipe("tulu3-8b").source(name).where) == [row]) == expected
