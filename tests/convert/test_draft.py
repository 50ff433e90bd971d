"""From drafts to examples: ids, provenance, accounting, and the checks that hold for every family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posttrain.code_version import code_version
from posttrain.convert import FAMILIES, convert_source, converter_modules
from posttrain.convert.gsm8k_guard import SHA256
from posttrain.convert.rows import convert_rows
from posttrain.recipe import Source
from posttrain.schema import RAW_SCHEMA, Example, Message, RLVRExample, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected


def _source(family: str, **fields: Any) -> Source:
    return Source.model_validate(
        {
            "name": "tiny",
            "family": family,
            "load": {"kind": "file", "path": "x"},
            "origin": "this test",
            "license": "CC0-1.0",
            **fields,
        }
    )


def _convert(family: str, rows: list[Any], out: Path, **fields: Any) -> tuple[Manifest, list[Example]]:
    writer = ArtifactWriter(str(out), stage="convert")
    raw = [row if isinstance(row, tuple) else ("a.jsonl", n, row) for n, row in enumerate(rows)]
    spec = _source(family, **fields)
    convert_rows(FAMILIES[family].bind(spec.options)[0], raw, spec, writer)
    manifest = writer.finish()
    return manifest, list(read_examples(manifest))


def _chat(question: str, **fields: Any) -> dict[str, Any]:
    return fields | {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "네, 알겠습니다."}]}


def test_an_example_knows_where_it_comes_from(tmp_path: Path) -> None:
    _, (example,) = _convert("alpaca", [{"instruction": "줄여줘", "output": "네"}], tmp_path, category="knowledge")
    assert example == SFTExample(
        id="tiny_0",
        source="tiny",
        category="knowledge",
        skill="knowledge",
        language="ko",
        license="CC0-1.0",
        made_by="selected",
        raw_file="a.jsonl",
        raw_row=0,
        messages=(Message("user", "줄여줘"), Message("assistant", "네")),
    )


def test_a_row_with_a_twin_is_one_kept_row(tmp_path: Path) -> None:
    manifest, examples = _convert(
        "gsm8k", [{"question": "2+3?", "answer": "#### 5"}, {"question": "2+3?"}], tmp_path, category="math"
    )
    assert manifest.rows == {"read": 2, "kept": 1, "rejected": 1} and manifest.written == {"rlvr": 1, "sft": 1}
    assert {e.id for e in examples} == {"tiny_0", "tiny_0-rlvr"}
    assert next(e for e in examples if isinstance(e, RLVRExample)).verifier == "gsm8k"


def test_a_refused_row_is_kept_whole_with_file_row_and_field(tmp_path: Path) -> None:
    manifest, _ = _convert("alpaca", [("b.json", 7, {"instruction": "q", "output": None})], tmp_path)
    (row,) = read_rejected(manifest)
    assert (row["raw_file"], row["raw_row"], row["reason"], row["field"], row["row"]) == (
        "b.json",
        7,
        "missing_field",
        "output",
        '{"instruction": "q", "output": null}',
    )


class TestIds:
    def test_the_raw_id_is_kept_where_it_is_unique(self, tmp_path: Path) -> None:
        rows = [_chat("a", id="oasst1_5551"), _chat("b", id="oasst1_5551"), _chat("c"), _chat("d", id=4), _chat("e", id=" ")]
        _, examples = _convert("messages", rows, tmp_path)
        assert [e.id for e in examples] == ["oasst1_5551", "tiny_1", "tiny_2", "tiny_3", "tiny_4"]

    def test_a_raw_id_that_looks_like_ours_makes_no_second_one(self, tmp_path: Path) -> None:
        _, examples = _convert("messages", [_chat("a", id="tiny_1"), _chat("b")], tmp_path)
        assert [e.id for e in examples] == ["tiny_1", "tiny_1x"]

    def test_the_same_row_number_in_two_files(self, tmp_path: Path) -> None:
        rows = [("a.json", 0, {"instruction": "x", "output": "y"}), ("b.json", 0, {"instruction": "z", "output": "y"})]
        _, examples = _convert("alpaca", rows, tmp_path)
        assert [e.id for e in examples] == ["tiny_0", "tiny_0.1"]

    def test_several_conversations_of_a_row(self, tmp_path: Path) -> None:
        row = {"instruction": "q", "instances": [{"output": "1"}, {"output": "2"}, {"output": "3"}]}
        _, examples = _convert("self_instruct", [row], tmp_path)
        assert [e.id for e in examples] == ["tiny_0", "tiny_0-1", "tiny_0-2"]


    def test_the_number_of_a_draft_makes_no_second_one_either(self, tmp_path: Path) -> None:
        rows = [_chat("a", id="r-1"), _chat("b", id="r"), _chat("c", id="r-2")]
        _, examples = _convert("tulu3_hardcoded", rows, tmp_path, options={"repeat": 3})
        ids = [e.id for e in examples]
        assert ids == ["r-1", "r-1-1", "r-1-2", "r", "r-1x", "r-2", "tiny_2", "tiny_2-1", "tiny_2-2"] and len(set(ids)) == 9


class TestSkillAndLanguage:
    @pytest.mark.parametrize(
        ("row_skill", "source_skill", "skill"),
        [("addition", "arithmetic", "addition"), (None, "arithmetic", "arithmetic"), (None, None, "math")],
    )
    def test_row_before_source_before_category(self, row_skill: Any, source_skill: Any, skill: str, tmp_path: Path) -> None:
        row = {"question": "q", "answer": "#### 1", "skill": row_skill}
        _, examples = _convert("gsm8k", [row], tmp_path, category="math", skill=source_skill)
        assert {e.skill for e in examples} == {skill}

    @pytest.mark.parametrize(
        ("fields", "declared", "language"), [({}, None, "ko"), ({}, "zh", "zh"), ({"lang": "es"}, "zh", "es")]
    )
    def test_row_before_source_before_a_guess(self, fields: Any, declared: Any, language: str, tmp_path: Path) -> None:
        _, (example,) = _convert("messages", [_chat("안녕", **fields)], tmp_path, language=declared)
        assert example.language == language


class TestChecks:
    @pytest.mark.parametrize(
        ("text", "kept"),
        [
            ("Hello! I am {{name}}, an assistant.", 0),
            ("저는 {{author}}가 만들었습니다.", 0),
            ("Write ```html\n<p>{{name}}</p>\n```", 1),
            ("Use `{{name}}` in the template.", 1),
            ("{{lang}} is a template", 1),
            ("{ {name} }", 1),
        ],
    )
    def test_unfilled_placeholders_outside_of_code(self, text: str, kept: int, tmp_path: Path) -> None:
        manifest, _ = _convert("alpaca", [{"instruction": "Who are you?", "output": text}], tmp_path)
        assert manifest.rows["kept"] == kept
        assert manifest.reasons == ({} if kept else {"template_placeholder": 1})


def test_notes_are_counted_and_shown(tmp_path: Path) -> None:
    rows = [_chat("clearer", prompt="easier", category="Rewrite"), _chat("same", prompt="same", category="Rewrite")]
    manifest, _ = _convert("no_robots", rows, tmp_path)
    notes = manifest.facts["notes"]["tiny"]
    assert notes["rows"] == 1 and notes["first"][0] == {
        "id": "tiny_0",
        "raw_file": "a.jsonl",
        "raw_row": 0,
        "note": "prompt is not the first user message: 'easier' and 'clearer'",
    }


def test_convert_source_reads_what_collect_wrote(tmp_path: Path) -> None:
    out = ArtifactWriter(str(tmp_path / "raw"), stage="collect")
    out.read("tiny")
    out.kept("tiny")
    out.write("raw", {"raw_file": "a.csv", "raw_row": 3, "raw": '{"Q": "안녕", "A": "네"}'}, RAW_SCHEMA)
    collected = out.finish()
    out = ArtifactWriter(str(tmp_path / "rows"), stage="convert")
    convert_source(collected, _source("korean_qa"), out)
    (example,) = read_examples(out.finish())
    assert (example.id, example.raw_file, example.raw_row) == ("tiny_3", "a.csv", 3)


class TestKey:
    def test_every_family_has_its_own_module_among_the_converters(self) -> None:
        for family in FAMILIES:
            shared, own = converter_modules(family)
            assert shared == "posttrain.convert.rows" and own.startswith("posttrain.convert.")
            assert len(code_version(shared, own)) == 16

    def test_editing_one_family_does_not_redo_another_and_shared_code_redoes_all(self) -> None:
        """The modules that a family's key covers, as `code_version` walks them."""
        from posttrain.code_version import _imports, _module_file

        def reached(module: str, seen: set[str]) -> set[str]:
            if module not in seen:
                seen.add(module)
                for name in _imports(_module_file(module)):
                    reached(name, seen)
            return seen

        covered = {family: set.union(*(reached(module, set()) for module in converter_modules(family))) for family in FAMILIES}
        for family, modules in covered.items():
            assert {"posttrain.convert.draft", "posttrain.convert.gsm8k_guard", "posttrain.schema"} <= modules, family
            assert not {"posttrain.recipe", "posttrain.convert"} & modules, family
        assert "posttrain.convert.persona" not in covered["gsm8k"]

    def test_the_list_of_test_questions_is_part_of_the_code(self) -> None:
        assert SHA256 in Path(__file__).parents[2].joinpath("include/posttrain/convert/gsm8k_guard.py").read_text()
