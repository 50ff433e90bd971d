"""`decontaminate` on a full disk, interrupted, killed, and without a network: one line says so, and the same command works."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from posttrain.recipe import RECIPE_FOLDER
from posttrain.storage import load_manifest

DUCKS = "Janet's ducks lay sixteen eggs per day and she eats three of them for breakfast every single morning"
ROWS = 20_000


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train.jsonl`, in which every thousandth row is the eval item, and `evals/farm.jsonl`."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "evals").mkdir()
    (folder / "evals" / "farm.jsonl").write_text(json.dumps({"question": DUCKS}) + "\n")
    with (folder / "train.jsonl").open("w") as f:
        for n in range(ROWS):
            text = DUCKS if n % 1000 == 0 else f"Question {n}: how far is it from the mill at {n} metres to the bridge?"
            f.write(json.dumps({"id": f"row-{n}", "prompt": text}) + "\n")
    return folder


def command(given: Path, out: Path, evals: str | None = None) -> list[str]:
    return [sys.executable, "-m", "posttrain", "decontaminate", "--train", str(given / "train.jsonl"),
            "--evals", evals or str(given / "evals"), "--preset", "tulu3", "--out", str(out)]


def run(given: Path, out: Path, limit: int | None = None, evals: str | None = None, **environment: str) -> Any:
    """The command in `out`'s folder. `limit`: no file may become larger, in bytes, as if the disk were full."""
    def no_file_over() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit or -1, limit or -1))

    return subprocess.run(command(given, out, evals), env=environment_of(out, **environment), capture_output=True, text=True,
                          check=False, preexec_fn=no_file_over if limit else None)


def environment_of(out: Path, **more: str) -> dict[str, str]:
    return os.environ | {"POSTTRAIN_WORKSPACE": str(out.parent / "workspace"), "PYTHONDONTWRITEBYTECODE": "1"} | more


def check_whole(given: Path, out: Path) -> None:
    """The same command does all of it, as if nothing had been."""
    done = run(given, out)
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = load_manifest(str(out))
    assert manifest.rows == {"read": ROWS, "kept": ROWS - ROWS // 1000, "rejected": ROWS // 1000}
    assert all((out / entry.name).stat().st_size == entry.bytes for entry in manifest.files)


def check_nothing_left(out: Path) -> None:
    assert not out.exists()
    assert [path.name for path in out.parent.iterdir() if path.name != "workspace"] == []


def test_a_full_disk_is_one_line_and_leaves_nothing(given: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(given, out, limit=30_000)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1 and len(errors) == 1 and "File too large" in errors[0], done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    check_nothing_left(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_can_be_given_again(given: Path, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C clears up after itself; after a SIGKILL the next start does."""
    out = tmp_path / "out"
    process = subprocess.Popen(command(given, out), env=environment_of(out), stderr=subprocess.PIPE, text=True)
    index = tmp_path / ".out.unfinished" / "index" / "manifest.json"
    deadline = time.monotonic() + 120
    while not index.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert psutil.wait_procs(family, timeout=30)[1] == [], "a process lives on"
    if number == signal.SIGINT:
        assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors, errors[-2000:]
        check_nothing_left(out)
    assert not out.exists()
    check_whole(given, out)


FILES = 150


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train/` with 150 files, each a block of 20 rows; every tenth holds the eval item, and one column has two types."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "evals").mkdir()
    (folder / "evals" / "farm.jsonl").write_text(json.dumps({"question": DUCKS}) + "\n")
    (folder / "train").mkdir()
    for n in range(FILES):
        rows = [{"id": f"{n}-{k}", "prompt": DUCKS if not (k or n % 10) else f"What is {n} times {k}?", "n": k if n % 2 else "k"}
                for k in range(20)]
        (folder / "train" / f"{n:03d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def command_on_many(many: Path, out: Path, preset: str = "tulu3") -> list[str]:
    return [sys.executable, "-m", "posttrain", "decontaminate", "--train", str(many / "train"), "--evals", str(many / "evals"),
            "--preset", preset, "--out", str(out), "--set", "drop_overlapping_sources=true"]


def done_blocks(out: Path) -> list[Path]:
    return list(out.parent.glob(f".{out.name}.unfinished/shards/*/*/done-*.json"))


def stopped_in_the_middle(many: Path, out: Path, number: signal.Signals) -> tuple[list[Path], str]:
    """(the blocks that were done, standard error) of a command that is stopped when some blocks are done."""
    process = subprocess.Popen(command_on_many(many, out), env=environment_of(out), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(done_blocks(out)) < 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    return done_blocks(out), errors


def files_of(out: Path) -> dict[str, str]:
    return {entry.name: entry.sha256 for entry in load_manifest(str(out)).files}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_given_again_goes_on_where_it_was(many: Path, tmp_path: Path, number: signal.Signals) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    done, errors = stopped_in_the_middle(many, out, number)
    assert 20 <= len(done) < FILES and not out.exists()
    if number == signal.SIGINT:
        assert "what is done is kept in" in errors and "Traceback" not in errors, errors[-2000:]
        assert [path.name for path in (tmp_path / ".out.unfinished").iterdir()] == ["shards"]
    again = subprocess.run(command_on_many(many, out), env=environment_of(out), capture_output=True, text=True, check=False)
    assert again.returncode == 0 and f"going on where it was stopped: {len(done)} blocks" in again.stderr, again.stderr[-2000:]
    once = subprocess.run(command_on_many(many, whole), env=environment_of(whole), capture_output=True, text=True, check=False)
    assert once.returncode == 0 and "going on" not in once.stderr
    assert files_of(out) == files_of(whole) and len(files_of(out)) > FILES
    assert load_manifest(str(out)).content == load_manifest(str(whole)).content
    assert load_manifest(str(out)).facts == load_manifest(str(whole)).facts
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "workspace") == ["out", "whole"]


def test_another_command_does_not_take_what_a_stopped_one_left(many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert stopped_in_the_middle(many, out, signal.SIGKILL)[0]
    other = subprocess.run(command_on_many(many, out, "balanced"), env=environment_of(out), capture_output=True, text=True,
                           check=False)
    assert other.returncode == 0 and "going on" not in other.stderr
    assert load_manifest(str(out)).settings["preset"] == "balanced"
    assert [path.name for path in tmp_path.iterdir() if path.name != "workspace"] == ["out"]


def test_an_eval_set_of_the_hub_without_a_network(given: Path, tmp_path: Path) -> None:
    """Nothing has been fetched before, and the Hub cannot be reached: an error that names the eval's data set."""
    recipe = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    recipe["evals"].append({"name": "far", "load": {"kind": "hub", "id": "someone/far-away", "revision": "v1"}})
    path = tmp_path / "far.yaml"
    path.write_text(yaml.safe_dump(recipe))
    done = run(given, tmp_path / "out", evals=str(path), HF_HOME=str(tmp_path / "workspace" / "hub"), HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error:" in done.stderr and "someone/far-away" in done.stderr
    assert not (tmp_path / "out").exists()
