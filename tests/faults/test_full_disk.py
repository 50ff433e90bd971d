"""A disk that is full or read-only: one line says so, nothing half done is taken for whole, and the same command goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from posttrain.run import load_run
from posttrain.storage import load_manifest, read_table


@dataclass(frozen=True)
class Done:
    returncode: int
    stderr: str


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """`run(workspace, limit)`: recipe smoke to its mixture, in a process. No file may become larger than `limit` bytes, as if
    the disk were full."""
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("warm_runs.py"))], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert server.stdin and server.stdout
    err = tmp_path_factory.mktemp("warm") / "err"

    def do(workspace: Path, limit: int | None = None) -> Done:
        arguments = ["--quiet", "run", "smoke", "--until", "mix", "--run-id", "half"]
        task = {"arguments": arguments, "environment": {"POSTTRAIN_WORKSPACE": str(workspace)}, "limit": limit, "err": str(err)}
        server.stdin.write(json.dumps(task) + "\n")
        server.stdin.flush()
        return Done(int(server.stdout.readline()), err.read_text())

    yield do
    server.stdin.close()
    assert server.wait(timeout=10) == 0


def mixture(workspace: Path) -> dict[str, bytes]:
    manifest = load_run("half", str(workspace)).manifest("mix")
    return {entry.name: Path(manifest.file(entry.name)).read_bytes() for entry in manifest.files}


@pytest.fixture(scope="module")
def quiet(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The mixture of a run that nothing disturbs."""
    workspace = tmp_path_factory.mktemp("quiet")
    assert run(workspace).returncode == 0
    return mixture(workspace)


def check_refused(done: Done, workspace: Path, why: str) -> None:
    """Exit status 1 and one line that says why and where."""
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and done.stderr.rstrip().endswith(errors[0]), done.stderr[-2000:]
    assert why in errors[0] and str(workspace) in errors[0] and "Traceback" not in done.stderr, done.stderr[-2000:]


def check_whole(workspace: Path) -> None:
    """Every artifact that has a manifest has all of its files, and they can be read."""
    for path in workspace.rglob("manifest.json"):
        for entry in load_manifest(str(path)).files:
            file = path.parent / entry.name
            assert file.stat().st_size == entry.bytes
            if entry.name.endswith(".parquet"):
                read_table(str(file))
    assert not list(workspace.rglob("*.tmp-*"))


@pytest.mark.parametrize("limit", [4_000, 20_000])
def test_no_file_can_grow(limit: int, run: Run, quiet: dict[str, bytes], tmp_path: Path) -> None:
    """4,000 bytes stop the run at its first part, 20,000 late."""
    check_refused(run(tmp_path, limit), tmp_path, "File too large")
    check_whole(tmp_path)
    assert run(tmp_path).returncode == 0
    assert mixture(tmp_path) == quiet


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system in memory, (re)mounted with options. Only root may do that, and not in every container."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize("size", ["300k", "900k"])
def test_a_full_disk(size: str, run: Run, quiet: dict[str, bytes], mounted: Callable[[str], Path]) -> None:
    workspace = mounted(f"size={size}")
    check_refused(run(workspace), workspace, "No space left on device")
    check_whole(workspace)
    mounted("remount,size=64m")
    assert run(workspace).returncode == 0
    assert mixture(workspace) == quiet


def test_a_read_only_disk(run: Run, quiet: dict[str, bytes], mounted: Callable[[str], Path]) -> None:
    workspace = mounted("size=64m")
    mounted("remount,ro")
    check_refused(run(workspace), workspace, "Read-only file system")
    mounted("remount,rw")
    assert run(workspace).returncode == 0
    assert mixture(workspace) == quiet


def test_a_workspace_below_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    check_refused(run(tmp_path / "file" / "workspace"), tmp_path / "file", "Not a directory")
