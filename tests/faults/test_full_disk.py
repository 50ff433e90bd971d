"""A disk that is full or read-only: one line says so, nothing half done is taken for whole, and the same command goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posttrain.run import load_run
from posttrain.storage import load_manifest, read_table


def run(workspace: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Recipe smoke to its mixture. `limit`: no file may become larger, in bytes, as if the disk were full."""
    def no_file_over() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit or -1, limit or -1))

    environment = os.environ | {"POSTTRAIN_WORKSPACE": str(workspace), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", "posttrain", "--quiet", "run", "smoke", "--until", "mix", "--run-id", "half"],
                          env=environment, capture_output=True, text=True, check=False,
                          preexec_fn=no_file_over if limit else None)


def mixture(workspace: Path) -> dict[str, bytes]:
    manifest = load_run("half", str(workspace)).manifest("mix")
    return {entry.name: Path(manifest.file(entry.name)).read_bytes() for entry in manifest.files}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The mixture of a run that nothing disturbs."""
    workspace = tmp_path_factory.mktemp("quiet")
    assert run(workspace).returncode == 0
    return mixture(workspace)


def check_refused(done: subprocess.CompletedProcess[str], workspace: Path, why: str) -> None:
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
def test_no_file_can_grow(limit: int, quiet: dict[str, bytes], tmp_path: Path) -> None:
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
def test_a_full_disk(size: str, quiet: dict[str, bytes], mounted: Callable[[str], Path]) -> None:
    workspace = mounted(f"size={size}")
    check_refused(run(workspace), workspace, "No space left on device")
    check_whole(workspace)
    mounted("remount,size=64m")
    assert run(workspace).returncode == 0
    assert mixture(workspace) == quiet


def test_a_read_only_disk(quiet: dict[str, bytes], mounted: Callable[[str], Path]) -> None:
    workspace = mounted("size=64m")
    mounted("remount,ro")
    check_refused(run(workspace), workspace, "Read-only file system")
    mounted("remount,rw")
    assert run(workspace).returncode == 0
    assert mixture(workspace) == quiet


def test_a_workspace_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    check_refused(run(tmp_path / "file" / "workspace"), tmp_path / "file", "Not a directory")
