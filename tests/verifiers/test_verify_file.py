from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.schema import REASONS
from posttrain.verifiers import VERIFIERS, verify, verify_file


def score_lines(tmp_path: Path, name: str, lines: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    source, target = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = verify_file(name, str(source), str(target))
    return counts, [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


def test_same_rows_with_score_and_extracted(tmp_path: Path) -> None:
    counts, rows = score_lines(tmp_path, "gsm8k", [
        json.dumps({"id": "a", "completion": "철수는 사과 6개", "ground_truth": "6"}, ensure_ascii=False),
        json.dumps({"id": "b", "completion": "7", "ground_truth": 6}),
    ])
    assert rows == [
        {"id": "a", "completion": "철수는 사과 6개", "ground_truth": "6", "score": 1.0, "extracted": "6"},
        {"id": "b", "completion": "7", "ground_truth": 6, "score": 0.0, "extracted": "7"},
    ]
    assert counts == {"rows": {"read": 2, "kept": 2, "rejected": 0}, "reasons": {}, "mean_score": 0.5}


def test_bad_rows_keep_their_place_and_name_file_line_and_field(tmp_path: Path) -> None:
    counts, rows = score_lines(tmp_path, "ifeval", [
        '{"completion": "a"}', "{broken", "", "[1]", '{"completion": true, "ground_truth": "{}"}',
        '{"completion": "a", "ground_truth": {"func_name": "nope"}}',
        '{"completion": "a", "ground_truth": {"func_name": "validate_no_commas"}}',
    ])
    assert [row["score"] for row in rows] == [None, None, None, None, None, 1.0]
    errors = [row.get("error", "") for row in rows]
    assert errors[0].endswith("rows.jsonl:1: field 'ground_truth': missing_field: absent or null")
    assert ":2:" in errors[1] and "invalid_json" in errors[1]
    assert ":4:" in errors[2] and "object, not list" in errors[2]
    assert "rows.jsonl:5: field 'completion': wrong_type: text expected, found bool" in errors[3]
    assert "rows.jsonl:6: field 'ground_truth': unknown func_name 'nope'" in errors[4]
    assert counts["rows"] == {"read": 6, "kept": 1, "rejected": 5}
    assert counts["reasons"] == {"invalid_json": 1, "missing_field": 1, "wrong_type": 3}
    assert set(counts["reasons"]) <= set(REASONS)


def test_an_empty_file_has_no_mean(tmp_path: Path) -> None:
    counts, rows = score_lines(tmp_path, "math", [""])
    assert (counts["rows"]["read"], counts["mean_score"], rows) == (0, None, [])


def test_unknown_verifiers_are_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="gsm8k, math, ifeval, ifeval_prompt_loose, code"):
        verify("exact", "a", "a")
    with pytest.raises(KeyError, match="no verifier 'exact'"):
        verify_file("exact", str(tmp_path / "in"), str(tmp_path / "out"))
    assert list(VERIFIERS) == ["gsm8k", "math", "ifeval", "ifeval_prompt_loose", "code"]
