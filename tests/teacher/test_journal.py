from __future__ import annotations

import logging
from pathlib import Path

import pytest

from posttrain.teacher.journal import Journal, Record

KEY = "ab" + "0" * 62
RECORD = Record(KEY, {"model": "m", "messages": []}, '{"answer": "모두 4"}', "m", 10, 5)


def test_a_record_comes_back(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "openai_default", "org/model:1")
    assert journal.read(KEY) is None
    journal.write(RECORD)
    assert journal.read(KEY) == RECORD
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.json")] == [
        f"journal/openai_default-org-model-1/ab/{KEY}.json"]


@pytest.mark.parametrize("damage", [
    lambda text: text[: len(text) // 2],
    lambda text: "",
    lambda text: "[]",
    lambda text: text.replace('"prompt_tokens": 10', '"prompt_tokens": "10"'),
    lambda text: text.replace(KEY, "cd" + KEY[2:]),
])
def test_a_damaged_record_is_none_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage) -> None:
    journal = Journal(str(tmp_path), "procedural", "m")
    journal.write(RECORD)
    path = Path(journal.path(KEY))
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert journal.read(KEY) is None
    assert "damaged" in caplog.text and str(path) in caplog.text


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "procedural", "m")
    journal.write(RECORD)
    Path(journal.path(KEY)).write_bytes(b"\xff\xfe\x00")
    assert journal.read(KEY) is None
