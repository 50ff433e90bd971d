"""Lines about how far a stage is: every few seconds, and at the end of what took longer than a second."""

from __future__ import annotations

import logging

import pytest

from posttrain import progress
from posttrain.progress import SECONDS_BETWEEN_LINES, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_few_seconds_and_one_at_the_end(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Progress("filter:", 1000, 4)
    for seconds, rows in ((2, 100), (SECONDS_BETWEEN_LINES - 2, 150), (1, 250), (1, 500)):
        clock[0] += seconds
        stage.add(rows)
    assert [record.message for record in caplog.records] == [
        "filter: 2 of 4 shards, 250 of 1,000 rows, 50 rows/s, 15 s left",
        "filter: 4 of 4 shards, 1,000 of 1,000 rows, 143 rows/s, 0 s left",
    ]


def test_of_rows_without_parts_that_take_less_than_a_second_nothing_is_said(
    clock: list[float], caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    for rows in (Progress("mix: read", 10), Progress("filter:", 10, 1)):
        clock[0] += 0.9
        rows.add(10)
    assert [record.message[:21] for record in caplog.records] == ["filter: 1 of 1 shards"]


def test_of_rows_that_nobody_has_counted_the_parts_tell_the_time(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sources = Progress("collect:", None, 3, "sources")
    for rows in (600, 100, 50):
        clock[0] += SECONDS_BETWEEN_LINES
        sources.add(rows)
    assert [record.message for record in caplog.records] == [
        "collect: 1 of 3 sources, 600 rows, 120 rows/s, 10 s left",
        "collect: 2 of 3 sources, 700 rows, 70 rows/s, 5 s left",
        "collect: 3 of 3 sources, 750 rows, 50 rows/s, 0 s left",
    ]


def test_without_parts_only_rows_are_counted(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = Progress("mix: read", 10)
    clock[0] += 2
    rows.add(10)
    assert caplog.records[0].message == "mix: read 10 of 10 rows, 5 rows/s, 0 s left"


def test_of_files_the_bytes_tell_the_time(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """12 s for 3 of 4 MB: 4 s for the last one. The last line is written, however fast it was."""
    caplog.set_level(logging.INFO)
    files = Progress("decontaminate:", None, size=4_000_000)
    for seconds, rows, size in ((6, 1000, 1_000_000), (1, 750, 2_000_000), (5, 0, 0), (0.1, 250, 1_000_000)):
        clock[0] += seconds
        files.add(rows, size)
    assert [record.message for record in caplog.records] == [
        "decontaminate: 1,000 rows, 25 % of 4.0 MB, 167 rows/s, 18 s left",
        "decontaminate: 1,750 rows, 75 % of 4.0 MB, 146 rows/s, 4 s left",
        "decontaminate: 2,000 rows, 100 % of 4.0 MB, 165 rows/s, 0 s left",
    ]
