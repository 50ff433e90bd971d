"""Several processes behind one `map`, with real processes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posttrain.storage import write_atomic
from posttrain.workers import WorkerDied, Workers, worker_count


def test_the_results_come_in_the_order_of_the_items_and_from_other_processes() -> None:
    with Workers(2) as workers:
        assert list(workers.map(len, ["a", "", "한국어", "dd"])) == [1, 0, 3, 2]
        assert set(workers.map(_pid, range(4))).isdisjoint({os.getpid()})


def test_one_worker_or_one_item_needs_no_process() -> None:
    with Workers(1) as one, Workers(4) as many:
        assert set(one.map(_pid, range(3))) == set(many.map(_pid, [0])) == {os.getpid()}


def test_a_stream_makes_its_items_when_they_are_needed_and_keeps_their_order() -> None:
    made: list[int] = []

    def items() -> Iterator[str]:
        for n in range(40):
            made.append(n)
            yield "x" * n

    with Workers(2) as workers:
        results = workers.stream(len, items())
        assert next(results) == 0
        assert len(made) <= 2 * 2 + 1
        assert list(results) == list(range(1, 40))


def test_an_exception_in_a_stream_ends_it() -> None:
    with Workers(2) as workers, pytest.raises(ValueError, match="invalid literal"):
        list(workers.stream(int, ["1", "x", *map(str, range(20))]))


def test_an_exception_comes_back_with_the_place_where_it_was_raised() -> None:
    with Workers(2) as workers, pytest.raises(ValueError, match="invalid literal") as raised:
        list(workers.map(int, ["1", "x", "2"]))
    assert "in a worker process" in "".join(raised.value.__notes__)


def test_a_worker_that_is_killed_is_said_to_be() -> None:
    with Workers(2) as workers, pytest.raises(WorkerDied, match="status -9"):
        list(workers.map(_kill_own_process, range(2)))


def test_the_processes_end_with_the_block_whatever_happens() -> None:
    with pytest.raises(KeyboardInterrupt), Workers(2) as workers:
        pids = list(workers.map(_pid, range(2)))
        raise KeyboardInterrupt
    assert not any(_alive(pid) for pid in pids)


def test_what_a_worker_prints_does_not_disturb_its_results(capfd: pytest.CaptureFixture[str]) -> None:
    with Workers(2) as workers:
        assert list(workers.map(_print, ["a", "b"])) == ["a", "b"]
    assert sorted(capfd.readouterr().err.split()) == ["a", "b"]


@pytest.mark.parametrize("wrong", ["0", "-1", "two", ""])
def test_a_wrong_number_of_workers_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("POSTTRAIN_WORKERS", wrong)
    with pytest.raises(ValueError, match="POSTTRAIN_WORKERS"):
        worker_count()


def _pid(_: object) -> int:
    time.sleep(0.05)
    return os.getpid()


def _kill_own_process(_: object) -> None:
    os.kill(os.getpid(), 9)


def _print(text: str) -> str:
    print(text)
    os.system("true")
    return text


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _write_or_fail(task: tuple[str, bool]) -> None:
    path, fails = task
    if fails:
        while not list(Path(path).parent.glob("*.tmp-*")):
            time.sleep(0.01)
        raise OSError("no space")
    with write_atomic(path) as f:
        f.write(b"half")
        time.sleep(30)


def test_an_error_in_one_worker_leaves_no_half_written_file_of_another(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(OSError, match="no space"), Workers(2) as workers:
        list(workers.map(_write_or_fail, [(str(tmp_path / "a"), True), (str(tmp_path / "b"), False)]))
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 20, "the other worker was not waited for"
