"""The log under two writers at once, in a folder and in a bucket; what holds after any sequence of decisions and undos."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.decontaminate.review.decision_log import Decision, DecisionLog, LogError, in_force

TOLD = {"row_id": "r", "source": "train", "eval": "exam", "item_id": "exam:0", "measure": "ngram_coverage", "score": 0.4,
        "rule": "a rule", "before": "user: hi"}


def line(action: str = "keep", row: str = "row", evals: tuple[str, ...] = ("item",), who: str = "rita", **more: Any) -> Decision:
    return Decision(action=action, who=who, item=f"item-{row}", row=row, evals=evals, **TOLD | more)


def write(log: DecisionLog, *lines: Decision) -> list[Decision]:
    return log.append(lambda known: list(lines))


def test_a_line_comes_back_with_its_id_and_time(tmp_path: Path) -> None:
    (written,) = write(DecisionLog(str(tmp_path)), line(before="줄\u2028바꿈 \"quoted\"\n"))
    (read,) = DecisionLog(str(tmp_path)).lines()
    assert read == written and read.id == "00000001.0" and read.when.endswith("+00:00")
    assert [path.name for path in (tmp_path / "review/decisions").iterdir()] == ["00000001.jsonl"], "no temporary file is left"


def test_an_earlier_part_is_never_touched(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path))
    write(log, line())
    part = tmp_path / "review/decisions/00000001.jsonl"
    before = part.read_bytes()
    write(log, line("delete", who="sam"), line("delete", row="other", who="sam"))
    assert part.read_bytes() == before
    assert [entry.id for entry in log.lines()] == ["00000001.0", "00000002.0", "00000002.1"]


def test_a_broken_part_is_named(tmp_path: Path) -> None:
    write(DecisionLog(str(tmp_path)), line())
    (tmp_path / "review/decisions/00000002.jsonl").write_text('{"action": "keep"}\n')
    with pytest.raises(LogError, match="00000002.jsonl, line 1"):
        DecisionLog(str(tmp_path)).lines()


def test_a_writer_that_was_killed_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """Killed with SIGKILL while it writes a large part, again and again: the log holds whole parts only, and goes on."""
    write(DecisionLog(str(tmp_path)), line())
    for delay in (0.0, 0.01, 0.02, 0.04, 0.08):
        writer = multiprocessing.get_context("fork").Process(target=_write_much, args=(str(tmp_path),))
        writer.start()
        time.sleep(delay)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
    (tmp_path / "review/decisions/00000099.jsonl.tmp-0badcafe").write_text('{"action": "ke')  # half a line, not renamed yet
    before = DecisionLog(str(tmp_path)).lines()
    assert {len(list(lines)) for _, lines in groupby(before[1:], key=lambda read: read.id.partition(".")[0])} <= {500}
    (after,) = write(DecisionLog(str(tmp_path)), line("delete"))
    assert DecisionLog(str(tmp_path)).lines() == [*before, after]


def _write_much(workspace: str) -> None:
    log = DecisionLog(workspace)
    while True:
        write(log, *[line(row=f"row-{n}", before="x" * 2_000) for n in range(500)])


def test_what_make_refuses_is_not_written(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path))

    def refuse(known: list[Decision]) -> list[Decision]:
        raise ValueError("somebody was faster")

    with pytest.raises(ValueError, match="faster"):
        log.append(refuse)
    assert log.lines() == [] and write(log) == []


def _write_twenty(workspace: str, who: str) -> None:
    log = DecisionLog(workspace)
    for n in range(20):
        # A row that somebody has decided already is left to him: what two reviewers who see the same page do.
        log.append(lambda known, row=f"row-{n}": [] if any(k.row == row for k in known) else [line(row=row, who=who)])


def test_two_processes_never_decide_the_same_row_twice_and_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_twenty, args=(str(tmp_path), who)) for who in ("rita", "sam")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    rows = [entry.row for entry in DecisionLog(str(tmp_path)).lines()]
    assert sorted(rows) == sorted(f"row-{n}" for n in range(20))



def test_two_writers_in_an_object_store(bucket: str) -> None:
    threads = [threading.Thread(target=_write_twenty, args=(bucket, who)) for who in ("rita", "sam")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = DecisionLog(bucket).lines()
    assert sorted(entry.row for entry in lines) == sorted(f"row-{n}" for n in range(20))


# ---------------------------------------------------------------- what holds


def test_undo_gives_back_the_decision_before(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path))
    (kept,) = write(log, line("keep"))
    (gone,) = write(log, line("delete", who="sam"))
    assert in_force(log.lines())["row", "item"].action == "delete"
    write(log, line("undo", undoes=gone.id))
    assert in_force(log.lines())["row", "item"].id == kept.id
    write(log, line("undo", undoes=kept.id))
    assert in_force(log.lines()) == {}


def test_a_refused_paraphrase_and_what_nobody_decided_do_not_hold(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path))
    write(log, line("refused"), line("delete", by_person=False, who="unattended: delete"))
    assert len(log.lines()) == 2 and in_force(log.lines()) == {}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(["keep", "delete", "paraphrase"]), st.integers(0, 9)), max_size=12))
def test_any_sequence_is_the_stack_of_what_was_not_undone(steps: list[str | int]) -> None:
    """A number n undoes the n-th line so far, if there is one. The last decision that nobody took back holds."""
    lines, standing = list[Decision](), list[Decision]()
    for n, step in enumerate(steps):
        if isinstance(step, str):
            made = line(step, id=f"{n:08d}.0")
            standing.append(made)
        elif lines:
            undone = lines[step % len(lines)]
            made = line("undo", id=f"{n:08d}.0", undoes=undone.id)
            standing = [entry for entry in standing if entry.id != undone.id]
        else:
            continue
        lines.append(made)
    held = in_force(lines)
    assert (held.get(("row", "item")) == standing[-1]) if standing else held == {}
