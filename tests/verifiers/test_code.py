"""The sandbox is tested by programs that try to get out; one property each."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from posttrain.verifiers import GroundTruthError, sandbox, verify
from posttrain.verifiers.sandbox import Limits, SandboxUnavailable, run_tests


@pytest.fixture(autouse=True)
def _needs_a_sandbox(request: pytest.FixtureRequest) -> None:
    reason = sandbox.unavailable_reason()
    if reason and "without_a_sandbox" not in request.node.name:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"NO SANDBOX ON THIS MACHINE, the code verifier refuses here: {reason}")


def test_ax7_factorial_in_a_fenced_block() -> None:
    completion = "재귀 함수입니다.\n```python\ndef factorial(n):\n    return 1 if n < 2 else n * factorial(n - 1)\n```\n끝"
    verdict = verify("code", completion, json.dumps(["assert factorial(5) == 120", "assert factorial(0) == 1"]))
    assert verdict.score == 1
    assert verdict.extracted is not None and verdict.extracted.startswith("def factorial")


def test_ax3_duplicates_without_a_fence() -> None:
    assert verify("code", "unique = lambda xs: set(xs)", '["assert unique([1,2,2,3,4,4,5]) == {1,2,3,4,5}"]').score == 1


def test_the_score_is_the_pass_rate_and_the_last_block_counts() -> None:
    completion = "```python\ndef f(x): return 0\n```\nbetter:\n```py\ndef f(x): return x * x\n```"
    assert verify("code", completion, '["assert f(2) == 4", "assert f(3) == 9", "assert f(2) == 5", "assert g(1)"]').score == 0.5


@pytest.mark.parametrize("completion", ["", "```python\n```", "this is no program"])
def test_what_is_no_program_scores_zero(completion: str) -> None:
    assert verify("code", completion, '["assert f(1)"]').score == 0


@pytest.mark.parametrize("truth", ["assert f(1)", "[]", "{}", "[1]", '""'])
def test_ground_truth_must_be_a_list_of_statements(truth: str) -> None:
    with pytest.raises(GroundTruthError, match="list of assert statements"):
        verify("code", "x = 1", truth)


@pytest.mark.parametrize("program", ["import os; os._exit(0)", "import sys; sys.exit(0)", "print('passed')", "raise SystemExit"])
def test_ending_early_is_no_pass(program: str) -> None:
    assert run_tests(program, ["assert False"]) == [False]


def test_no_network() -> None:
    assert run_tests("import socket", [
        "socket.create_connection(('127.0.0.1', 80), timeout=1)",
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('192.0.2.1', 53))",
        "assert [name for _, name in socket.if_nameindex()] == ['lo']",
    ]) == [False, False, True]


def test_no_writes_outside_the_work_folder(tmp_path: Path) -> None:
    target = tmp_path / "written"
    tests = [f"open({str(target)!r}, 'w')", "open('/usr/bin/x', 'w')", "open('/x', 'w')", "open('/dev/x', 'w')",
             "import os; os.mkdir('/usr/local/x')", "open('x', 'w').write('here'); assert open('/box/x').read() == 'here'"]
    assert run_tests("", tests) == [False, False, False, False, False, True]
    assert not target.exists()


def test_the_files_of_the_user_are_out_of_sight(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert run_tests("import os", [f"open({str(secret)!r})", "open('/etc/passwd')", "open('/proc/self/environ')",
                                   "assert set(os.environ) <= {'HOME', 'TMPDIR', 'PYTHONHASHSEED', 'LC_CTYPE'}"]) == [
        False, False, False, True]


def test_no_privilege_and_no_way_to_get_one() -> None:
    assert run_tests("import os, ctypes\nlibc = ctypes.CDLL(None)", [
        "assert os.getuid() != 0", "assert libc.unshare(0x10000000) == 0",
        "assert libc.mount(b'none', b'/box', b'tmpfs', 0, None) == 0", "os.chroot('/box')", "os.setuid(0)",
    ]) == [True, False, False, False, False]


def test_other_processes_are_out_of_reach() -> None:
    assert run_tests("import os", [f"os.kill({os.getpid()}, 0)", "assert os.getppid() == 1"]) == [False, True]


def test_time_memory_files_and_processes_are_limited() -> None:
    started = time.monotonic()
    limits = Limits(seconds=1, memory_mib=128, file_mib=1)
    assert run_tests("while True: pass", ["1"], limits) == [False]
    assert run_tests("import time; time.sleep(60)", ["1"], limits) == [False]
    assert run_tests("x = bytearray(10**9)", ["1"], limits) == [False]
    assert run_tests("open('x', 'wb').write(bytes(2 * 2**20))", ["1"], limits) == [False]
    assert run_tests("import os\nwhile True: os.fork()", ["1"], limits) == [False]
    assert time.monotonic() - started < 20


def test_one_bad_test_does_not_spoil_the_next() -> None:
    tests = ["while True: pass", "import os\nwhile True: os.fork()", "assert f() == 1"]
    assert run_tests("def f(): return 1", tests, Limits(seconds=1)) == [False, False, True]


def test_total_time_is_limited() -> None:
    started = time.monotonic()
    assert run_tests("import time; time.sleep(5)", ["1"] * 50, Limits(seconds=1, total_seconds=2)) == [False] * 50
    assert time.monotonic() - started < 20


def test_refuses_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real probe on a launcher that cannot start: nothing is run, and the error says why."""
    sandbox.unavailable_reason.cache_clear()
    monkeypatch.setattr(sandbox, "CHILD", Path("/nowhere/sandbox_child.py"))
    try:
        with pytest.raises(SandboxUnavailable, match="nowhere"):
            verify("code", "x = 1", '["assert x == 1"]')
    finally:
        sandbox.unavailable_reason.cache_clear()
