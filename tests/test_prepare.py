"""prepare: every source of a recipe in its own process; what is done is skipped, one failure does not end the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain.storage import load_manifest

TRAINING = {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64}
ALPACA = [{"instruction": f"질문 {n}?", "input": "", "output": f"답 {n}"} for n in range(30)]


def recipe(folder: Path, *sources: dict[str, Any]) -> Path:
    shared = {"origin": "here", "license": "MIT"}
    value = {
        "name": "three", "description": "Sources for a test.", "sources": [shared | source for source in sources],
        "mix": {"sft": [{"source": sources[0]["name"], "proportion": 1.0}]}, "model": {"kind": "tiny"},
        "sft": TRAINING, "dpo": TRAINING, "rlvr": TRAINING,
    }
    path = folder / "three.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    return path


def write(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def sources(folder: Path) -> list[dict[str, Any]]:
    write(folder / "alpaca.jsonl", [*ALPACA, {"instruction": "no answer"}])
    (folder / "pairs.jsonl").write_text('{"prompt": "q", "chosen": "a", "rejected": "b"}\n{broken\n')
    return [
        {"name": "alpaca", "family": "alpaca", "load": {"kind": "file", "path": "alpaca.jsonl"}},
        {"name": "pairs", "family": "preference", "load": {"kind": "file", "path": "pairs.jsonl"}},
        {"name": "sums", "family": "gsm8k", "load": {"kind": "procedural", "rows": 20, "skills": ["addition"]}},
    ]


def posttrain(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "POSTTRAIN_WORKSPACE": str(folder / "workspace"), "POSTTRAIN_DATA_ROOT": str(folder)}
    return subprocess.Popen([sys.executable, "-m", "posttrain", *map(str, arguments)], cwd=folder, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_all_sources_once_and_then_nothing(tmp_path: Path) -> None:
    path = recipe(tmp_path, *sources(tmp_path))
    code, out, err = finished(posttrain("prepare", path, "--jobs", "2", "--json", folder=tmp_path))
    assert code == 0, err
    found = json.loads(out)
    assert [(s["source"], s["read"], s["kept"], s["rejected"]) for s in found["sources"]] == [
        ("alpaca", 31, 30, 1), ("pairs", 2, 1, 1), ("sums", 20, 20, 0)]
    assert found["total"] == {"read": 53, "kept": 51, "rejected": 2}
    assert found["sources"][1]["reasons"] == {"invalid_json": 1} and not any(s["unchanged"] for s in found["sources"])
    assert load_manifest(found["sources"][2]["path"]).written == {"sft": 20, "rlvr": 20}
    assert "[3/3]" in err and "rows/s" in err and "s left" in err

    write(tmp_path / "alpaca.jsonl", ALPACA[:10])  # one source changes: only that one is done again
    code, out, _ = finished(posttrain("prepare", path, folder=tmp_path))
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0 and "(unchanged)" in lines["pairs"] and "(unchanged)" in lines["sums"]
    assert "(unchanged)" not in lines["alpaca"] and lines["alpaca"].split()[2:5] == ["10", "10", "0"]
    assert lines["total"].split()[1:4] == ["32", "31", "1"]


def test_one_source_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    hub = {"name": "hub", "family": "alpaca", "load": {"kind": "hub", "id": "no/where", "revision": "main"}}
    code, out, err = finished(posttrain("prepare", recipe(tmp_path, *sources(tmp_path), hub), "--json", folder=tmp_path))
    assert code == 1 and "1 of 4 sources failed" in err and "hub: SourceError" in err
    by_name = {s["source"]: s for s in json.loads(out)["sources"]}
    assert by_name["hub"]["error"] and by_name["sums"]["kept"] == 20 and not by_name["sums"]["error"]


def test_a_file_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    given = sources(tmp_path)
    (tmp_path / "pairs.jsonl").unlink()
    code, out, err = finished(posttrain("prepare", recipe(tmp_path, *given), folder=tmp_path))
    assert code == 1 and not out and "pairs.jsonl" in err and "[1/" not in err


def test_an_interrupt_leaves_no_process_and_nothing_half_done_behind(tmp_path: Path) -> None:
    """The signal goes to the main process alone, which is harder than Ctrl-C: it has to end its workers itself."""
    path = recipe(tmp_path, *sources(tmp_path), {
        "name": "many", "family": "gsm8k", "load": {"kind": "procedural", "rows": 8_000, "skills": ["addition"]}})
    process = posttrain("prepare", path, "--jobs", "2", folder=tmp_path)
    assert process.stderr
    lines = iter(process.stderr.readline, "")
    assert any("[3/4]" in line for line in lines)  # the large source is under way
    process.send_signal(signal.SIGINT)
    rest = "".join(lines)
    assert process.wait(timeout=60) == 130 and "Traceback" not in rest and "interrupted with 3 of 4 sources done" in rest
    with pytest.raises(ProcessLookupError):
        for _ in range(50):  # no process is left over
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    code, out, err = finished(posttrain("prepare", path, "--json", folder=tmp_path))
    assert code == 0, err
    *small, many = json.loads(out)["sources"]
    assert [(s["kept"], s["unchanged"]) for s in small] == [(30, True), (1, True), (20, True)]
    assert many["read"] == 8_000 == many["kept"] + many["rejected"] and not many["unchanged"]
