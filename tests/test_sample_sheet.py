"""The sheet that a reviewer looks at: seeded, escaped, with everything that a decision needs."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from posttrain.cli import main
from posttrain.sample_sheet import COLUMNS, Sheet, csv_sheet, draw_rows, html_sheet
from posttrain.schema import Message, PreferencePair, RLVRExample, SFTExample

OWN: dict[str, Any] = {"source": "s", "category": "safety", "skill": "safety", "language": "ko", "license": "MIT",
                       "raw_file": "a.jsonl", "raw_row": 7}
EVIL = '=HYPERLINK("http://x")<script>alert(1)</script>'
SFT = SFTExample(id="s_1", **OWN, messages=(Message("user", EVIL), Message("assistant", "안 돼요.\n\"왜요?\"")))
LONG = SFTExample(id="s_2", **OWN, messages=(Message("system", "짧게"), Message("user", "q"), Message("assistant", "-1")))
PAIR = PreferencePair(id="s_3", **OWN, prompt="q", chosen=(), rejected=(Message("user", "q"), Message("assistant", "나쁜 답")),
                      tags=("Theft",))
REWARD = RLVRExample(id="s_4", **OWN, messages=(Message("user", "1+1?"),), ground_truth="2", verifier="gsm8k")
SHEET = Sheet("s <1>", {"licence": "MIT & more"}, [SFT, LONG, PAIR, REWARD],
              [{"raw_file": "a.jsonl", "raw_row": 3, "reason": "missing_field", "field": "output", "detail": "<b>",
                "row": '{"a": "<i>"}'}])


class TestDrawRows:
    @given(st.integers(0, 60), st.integers(1, 20), st.integers())
    def test_so_many_different_rows_in_their_order(self, total: int, count: int, seed: int) -> None:
        drawn = draw_rows(range(total), count, seed)
        assert len(drawn) == min(total, count) and drawn == sorted(set(drawn)) == draw_rows(iter(range(total)), count, seed)

    def test_every_row_has_the_same_chance(self) -> None:
        """3 of 10, 2,000 times: 600 each; 5 standard deviations (20.5) is far."""
        seen = Counter(row for seed in range(2000) for row in draw_rows(range(10), 3, seed))
        assert len(seen) == 10 and all(abs(count - 600) < 5 * 20.5 for count in seen.values())


def test_csv_reads_back_and_holds_no_formula() -> None:
    rows = list(csv.DictReader(csv_sheet(SHEET).splitlines(keepends=True)))
    assert tuple(rows[0]) == COLUMNS and [row["id"] for row in rows] == ["s_1", "s_2", "s_3", "s_4"]
    assert rows[0]["prompt"] == "'" + EVIL and rows[0]["answer"] == "안 돼요.\n\"왜요?\""
    assert rows[1]["prompt"] == "[system]\n짧게\n\n[user]\nq" and rows[1]["answer"] == "'-1"
    assert (rows[2]["answer"], rows[2]["rejected answer"], rows[2]["tags"]) == ("", "나쁜 답", "Theft")
    assert (rows[3]["prompt"], rows[3]["ground truth"]) == ("1+1?", "gsm8k: 2")
    assert all(row["verdict"] == row["remark"] == "" for row in rows)


def test_html_is_escaped_and_self_contained() -> None:
    page = html_sheet(SHEET)
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "MIT &amp; more" in page
    assert "src=" not in page and "href=" not in page.replace("&quot;", "")
    assert "missing_field in output &lt;b&gt;" in page and "{&quot;a&quot;: &quot;&lt;i&gt;&quot;}" in page
    assert "s &lt;1&gt;" in page


# ---------------------------------------------------------------- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def recipe(test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    training = {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64}
    source = {"name": "hh", "family": "hh_rlhf", "origin": "anthropics/hh-rlhf", "license": "MIT",
              "load": {"kind": "file", "path": "train/anthropics__hh-rlhf/test.4of5.jsonl.gz"}}
    value = {"name": "one", "description": "One source.", "sources": [source], "seed": 5, "model": {"kind": "tiny"},
             "mix": {"preference": [{"source": "hh", "proportion": 1.0}]}, "sft": training, "dpo": training, "rlvr": training}
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(test_data))
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", str(tmp_path / "workspace"))
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(value))
    return tmp_path / "one.yaml"


def test_a_source_of_a_recipe(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, *more in (("a.csv",), ("b.csv",), ("c.csv", "--seed", "6"), ("d.html",)):
        code, out, err = run(capsys, "sample", "hh", "--recipe", recipe, "--rows", "12", "--out", tmp_path / name, *more)
        assert code == 0 and "12 random rows of hh" in out, err
    a, b, c = ((tmp_path / name).read_text() for name in ("a.csv", "b.csv", "c.csv"))
    assert a == b != c and len(list(csv.DictReader(a.splitlines(keepends=True)))) == 12
    page = (tmp_path / "d.html").read_text()
    assert "1,850 read, 1,844 kept, 6 rejected" in page and "roles_do_not_alternate" in page and "none yet" in page


def test_a_file_without_a_recipe(tmp_path: Path, test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = test_data / "train/allenai__open-instruct/sft_sample.jsonl.gz"
    code, out, _ = run(capsys, "sample", file, "--rows", "3", "--out", tmp_path / "s.csv")
    assert code == 0 and len(list(csv.DictReader((tmp_path / "s.csv").open()))) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nothing", "--out", "s.csv"), 2, "needs --recipe"),
        (("nothing", "--recipe", "smoke", "--out", "s.csv"), 2, "has no source 'nothing'"),
        (("x", "--recipe", "smoke", "--out", "s.pdf"), 2, ".csv or .html"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, _, err = run(capsys, "sample", *arguments)
    assert found == code and says in err


def test_a_sheet_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.csv").write_text("remarks of a person")
    code, _, err = run(capsys, "sample", "word_problems", "--recipe", "smoke", "--out", tmp_path / "s.csv")
    assert code == 1 and "exists" in err and (tmp_path / "s.csv").read_text() == "remarks of a person"
