"""Two nights compared: the numbers add up, and every row says why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from posttrain.cli import app
from posttrain.mix import mix_rows
from posttrain.mix.diff import compare_mixtures, find_mixture
from posttrain.recipe import Amount, Mix
from posttrain.run import Run
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, StorageError, read_rows


def keys(mixture: Manifest) -> Counter[tuple[str, str, str]]:
    return Counter((split, row["source"], row["id"]) for split in mixture.written for row in read_rows(mixture, split))


def test_two_nights(nights: tuple[Run, Run]) -> None:
    monday, tuesday = (run.manifest("mix") for run in nights)
    found = compare_mixtures(monday, tuesday)
    before, after = keys(monday), keys(tuesday)
    assert sum(c.added for c in found.counts) == (after - before).total() > 0
    assert sum(c.removed for c in found.counts) == (before - after).total() > 0
    assert sum(c.rows_b for c in found.counts) == sum(tuesday.written.values())
    for what in ("added", "removed", "changed"):
        assert sum(r.rows for r in found.reasons if r.what == what) == sum(getattr(c, what) for c in found.counts)
    whys = {(r.what, r.source): [x.why for x in found.reasons if (x.what, x.source) == (r.what, r.source)] for r in found.reasons}
    assert "filter: too_short in B" in whys["removed", "word_problems"]
    assert "mix: not_sampled in A" in whys["added", "word_problems"]
    assert any(why.startswith("the source changed: A has no such row") for why in whys["added", "word_problems"])
    assert whys["removed", "improved"] == ["B has no source improved"]
    assert not any("unexplained" in reason.why for reason in found.reasons)
    settings = {(s.stage, s.key): (s.a, s.b) for s in found.settings}
    assert settings["filter", "min_tokens"] == (1, 20) and settings["mix", "rlvr.word_problems.count"] == (64, 60)
    assert settings["collect word_problems", "load.rows"] == (400, 410)
    assert ("collect word_problems", "(raw rows)") in settings


def test_a_mixture_is_itself(nights: tuple[Run, Run]) -> None:
    mixture = nights[0].manifest("mix")
    found = compare_mixtures(mixture, mixture)
    assert found.same and found.reasons == [] and found.settings == []
    assert sum(count.rows_a for count in found.counts) == sum(mixture.written.values())


def example(n: int, source: str = "s", answer: str = "fine") -> SFTExample:
    return SFTExample(id=f"{source}-{n}", source=source, category="general", skill="general", language="en", license="MIT",
                      messages=(Message("user", f"Question {n}?"), Message("assistant", answer)))


def night(folder: Path, name: str, rows: list[SFTExample], recipe: Mix) -> Manifest:
    clean = ArtifactWriter(str(folder / f"clean-{name}"), stage="decontaminate", settings={"threshold": 0.5})
    for row in rows:
        clean.read(row.source)
        clean.keep(row)
    done = clean.finish()
    parent = {"stage": done.stage, "path": done.path, "content": done.content}
    out = ArtifactWriter(str(folder / name), stage="mix", parents=[parent])
    mix_rows([done], recipe, {}, 0, out)
    return out.finish()


def test_repeats_gone_sources_and_changed_rows(tmp_path: Path) -> None:
    amounts = {"s": Amount(source="s", proportion=1.0), "t": Amount(source="t", proportion=1.0)}
    rows = [example(n) for n in range(4)] + [example(n, "t") for n in range(2)]
    a = night(tmp_path, "a", rows, Mix(sft=tuple(amounts.values())))
    changed = [example(0, answer="better"), replace(example(1), raw_row=7), *rows[2:4]]
    b = night(tmp_path, "b", changed, Mix(sft=(Amount(source="s", proportion=2.0),)))
    found = compare_mixtures(a, b)
    counts = {count.source: (count.rows_a, count.rows_b, count.added, count.removed, count.changed) for count in found.counts}
    assert counts == {"s": (4, 8, 4, 0, 1), "t": (2, 0, 0, 2, 0)}  # another raw row is no change
    whys = {(r.what, r.source): (r.why, r.rows, r.examples) for r in found.reasons}
    assert whys["added", "s"] == ("repeated fewer times in A", 4, ["s-0", "s-1", "s-2", "s-3"])
    assert whys["removed", "t"] == ("B has no source t", 2, ["t-0", "t-1"])
    assert whys["changed", "s"][1:] == (1, ["s-0"])


def test_mixtures_of_files_are_compared_by_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mixed on the command line from JSONL: one row goes, one comes, one is rewritten."""
    monkeypatch.chdir(tmp_path)

    def mixed(name: str, answers: dict[str, str]) -> str:
        turns = {id_: [{"role": "user", "content": f"Why {id_}?"}, {"role": "assistant", "content": answer}]
                 for id_, answer in answers.items()}
        lines = [{"id": id_, "source": "mine", "messages": messages} for id_, messages in turns.items()]
        Path("rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        done = CliRunner().invoke(app, ["mix", "--in", "rows.jsonl", "--out", name, "--json"])
        assert done.exit_code == 0, done.output
        return str(tmp_path / name)

    a, b = mixed("a", {"x": "1", "y": "2", "z": "3"}), mixed("b", {"y": "2", "z": "three", "w": "4"})
    found = compare_mixtures(find_mixture(a, str(tmp_path)), find_mixture(b, str(tmp_path)))
    assert {(r.what, r.why, tuple(r.examples)) for r in found.reasons} == {
        ("removed", "the input files differ: B has no such row", ("x",)),
        ("added", "the input files differ: A has no such row", ("w",)),
        ("changed", "the input files differ", ("z",))}
    assert [setting.stage for setting in found.settings] == ["file"]


def test_rows_that_moved_up_in_their_file_are_told_from_rewritten_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without an id are named by their place: the first of five goes, the last is rewritten, the others move up by one."""
    monkeypatch.chdir(tmp_path)

    def mixed(name: str, answers: list[str]) -> Manifest:
        lines = [{"messages": [{"role": "user", "content": f"Why {a}?"}, {"role": "assistant", "content": a}]} for a in answers]
        Path("rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        done = CliRunner().invoke(app, ["mix", "--in", "rows.jsonl", "--out", name, "--json"])
        assert done.exit_code == 0, done.output
        return find_mixture(str(tmp_path / name), str(tmp_path))

    found = compare_mixtures(mixed("a", ["0", "1", "2", "3", "4"]), mixed("b", ["1", "2", "3", "four"]))
    assert {(r.what, r.why, r.rows, tuple(r.examples)) for r in found.reasons} == {
        ("changed", "the input files differ: the row moved, A has its text under another id", 3, ("rows_0", "rows_1", "rows_2")),
        ("changed", "the input files differ", 1, ("rows_3",)),
        ("removed", "the input files differ: B has no such row", 1, ("rows_4",))}


def test_the_command(nights: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", nights[0].workspace)
    shown = CliRunner().invoke(app, ["diff", "monday", "tuesday"])
    assert shown.exit_code == 0 and "filter: too_short in B" in shown.stdout and "min_tokens" in shown.stdout
    folder = nights[1].manifest("mix").path
    value = json.loads(CliRunner().invoke(app, ["diff", "monday", folder, "--json"]).stdout)
    assert value["same"] is False and value["b"] == folder
    assert set(value["reasons"][0]) == {"what", "source", "why", "rows", "examples"}
    assert "the same rows in both" in CliRunner().invoke(app, ["diff", "monday", "monday"]).stdout
    with pytest.raises(StorageError, match="no run 'sunday' in .*; runs there: monday, tuesday"):
        find_mixture("sunday", nights[0].workspace)
