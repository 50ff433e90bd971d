"""A key changes with what decides the work, and with nothing else."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.storage.unit import question, run

from posttrain.schema import Message
from posttrain.storage import ArtifactWriter, artifact_key, sha256_json


def test_an_unchanged_stage_is_skipped_and_says_why(tmp_path):
    first = run(str(tmp_path), keywords=True)
    before = (tmp_path / "artifacts" / "filter" / first.manifest.key / "manifest.json").stat().st_mtime_ns
    time.sleep(0.01)
    again = run(str(tmp_path), lambda out: pytest.fail("the work was done again"), keywords=True)
    assert (first.skipped, again.skipped) == (False, True)
    assert again.why == f"unchanged: same settings, code and inputs as filter/{first.manifest.key}"
    assert again.manifest == first.manifest
    assert (tmp_path / "artifacts" / "filter" / first.manifest.key / "manifest.json").stat().st_mtime_ns == before


def test_the_key_changes_with_settings_code_stage_and_inputs(tmp_path):
    parent = run(str(tmp_path)).manifest
    key = artifact_key("mix", {"seed": 0}, "c1", [parent])
    assert key == artifact_key("mix", {"seed": 0}, "c1", [parent])
    assert len(key) == 20 and set(key) <= set("0123456789abcdef")
    others = {
        artifact_key("mix", {"seed": 1}, "c1", [parent]),
        artifact_key("mix", {"seed": 0}, "c2", [parent]),
        artifact_key("convert", {"seed": 0}, "c1", [parent]),
        artifact_key("mix", {"seed": 0}, "c1", []),
        artifact_key("mix", {"seed": 0}, "c1", [parent, parent]),
        artifact_key("mix", {"seed": 0}, "c1", [replace(parent, content="another")]),
    }
    assert key not in others and len(others) == 6


def test_the_key_goes_by_content_and_not_by_path_or_order_of_settings(tmp_path):
    one, two = run(str(tmp_path / "a")).manifest, run(str(tmp_path / "b"), seed=7).manifest
    assert one.path != two.path and one.key != two.key and one.content == two.content
    assert artifact_key("mix", {"a": 1, "b": 2}, "c", [one]) == artifact_key("mix", {"b": 2, "a": 1}, "c", [two])


def test_one_changed_character_is_another_content(tmp_path):
    def other(out: ArtifactWriter) -> None:
        out.read("unit")
        out.keep(replace(question(1), messages=(Message("user", "1+1!"), Message("assistant", "2"))))

    def same(out: ArtifactWriter) -> None:
        out.read("unit")
        out.keep(question(1))

    contents = [run(str(tmp_path / name), work).manifest.content for name, work in [("a", same), ("b", other), ("c", same)]]
    assert contents[0] == contents[2] != contents[1]


def test_a_changed_rejected_row_redoes_the_next_stage_and_is_no_other_mixture(tmp_path):
    """`improve` reads what the filter rejected; the mixture's own content stays what its kept rows are."""
    def other(out: ArtifactWriter) -> None:
        out.read("unit", 3)
        out.keep(question(1))
        out.keep(question(2))
        out.reject_example(question(4), "too_simple", "bare arithmetic")

    one, two = run(str(tmp_path / "a")).manifest, run(str(tmp_path / "b"), other).manifest
    assert one.content == two.content
    assert artifact_key("improve", {}, "c", [one]) != artifact_key("improve", {}, "c", [two])


def test_settings_that_are_no_json_are_refused():
    with pytest.raises(TypeError):
        sha256_json({"skills": {"addition", "division"}})


def test_parents_are_named_in_the_manifest(tmp_path):
    parent = run(str(tmp_path)).manifest
    child = run(str(tmp_path), inputs=[parent]).manifest
    assert child.parents == [{"stage": "filter", "path": parent.path, "content": parent.content}]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    files = []
    for name in ("a", "b"):
        manifest = run(str(tmp_path / name)).manifest
        files.append({e.name: Path(manifest.file(e.name)).read_bytes() for e in manifest.files})
    assert files[0] == files[1]
