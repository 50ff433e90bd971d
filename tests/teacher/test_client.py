"""The client against the real server, and against an endpoint that fails in every way that endpoints do."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from posttrain.recipe import Teacher as Settings
from posttrain.teacher import prompts
from posttrain.teacher.client import open_teacher
from posttrain.teacher.errors import CostCeilingReached, TeacherError
from posttrain.teacher.responses import read_answer
from posttrain.teacher.server import is_alive

QUICK = {"connection": "openai_default", "model": "test-model", "concurrency": 1, "max_retries": 2}


def asks(number: int) -> list[Any]:
    return [prompts.word_problem("addition", index=n) for n in range(number)]


def completion(content: str) -> tuple[int, dict[str, str], str]:
    body = {"model": "test-model", "choices": [{"message": {"role": "assistant", "content": content}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50}}
    return 200, {}, json.dumps(body)


# ---------------------------------------------------------------- the procedural teacher


def test_answers_come_in_order_and_again_from_the_journal(running_teacher: str, tmp_path: Path) -> None:
    questions = [prompts.solve(f"{n} + {n}?") for n in range(1, 21)]
    with open_teacher(Settings(), str(tmp_path), 0) as teacher:
        first = teacher.ask_many(questions)
        assert [a.data["answer"] for a in first if a] == [f"{n} + {n} = {2 * n}\n#### {2 * n}" for n in range(1, 21)]
        assert teacher.usage()["requests"] == 20
    with open_teacher(Settings(concurrency=1), str(tmp_path), 0) as teacher:
        assert teacher.ask_many(questions) == first
        assert teacher.usage()["requests"] == 0
        assert teacher.usage()["from_journal"]["requests"] == 20


def test_request_id_names_the_journal_file(running_teacher: str, tmp_path: Path) -> None:
    with open_teacher(Settings(), str(tmp_path), 0) as teacher:
        answer = teacher.ask(prompts.solve("2+2?"))
        assert answer is not None
        record = json.loads(Path(teacher.journal.path(answer.request_id)).read_text(encoding="utf-8"))
    assert json.loads(record["content"]) == answer.data
    assert record["request"]["messages"][1]["content"] == prompts.solve("2+2?").user


def test_index_and_seed_make_other_requests(running_teacher: str, tmp_path: Path) -> None:
    def questions(seed: int) -> list[str]:
        with open_teacher(Settings(), str(tmp_path), seed) as teacher:
            return [a.data["question"] for a in teacher.ask_many(asks(12)) if a]

    first, again, other = questions(0), questions(0), questions(1)
    assert first == again != other
    assert len(set(first)) > 6


def test_what_the_rules_cannot_do_is_given_up_not_invented(running_teacher: str, tmp_path: Path) -> None:
    with open_teacher(Settings(), str(tmp_path), 0) as teacher:
        assert teacher.ask_many([prompts.solve("What is photosynthesis?"), prompts.solve("2+2?")])[0] is None
        assert teacher.usage()["gave_up"] == 1
        assert teacher.usage()["retries"] == 0


def test_wrong_model_ends_the_stage(running_teacher: str, tmp_path: Path) -> None:
    with open_teacher(Settings(model="gpt-4"), str(tmp_path), 0) as teacher, pytest.raises(TeacherError, match="'gpt-4'"):
        teacher.ask(prompts.solve("2+2?"))


def test_starts_its_own_server_and_stops_it(tmp_path: Path) -> None:
    with open_teacher(Settings(), str(tmp_path), 0) as teacher:
        url = str(teacher._client.base_url).rstrip("/")
        assert is_alive(url)
        assert teacher.ask(prompts.solve("2+2?")) is not None
    assert not is_alive(url)


def test_a_server_that_is_gone_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_TEACHER_URL", "http://127.0.0.1:9/v1")
    with open_teacher(Settings(), str(tmp_path), 0) as teacher:
        assert teacher.ask(prompts.solve("2+2?")) is not None


# ---------------------------------------------------------------- faults that pass


@pytest.mark.parametrize("fault", [
    (429, {}, '{"error": {"message": "slow down"}}'),
    (500, {}, "oops"),
    (503, {}, ""),
    (200, {}, "<html>a proxy's page</html>"),
    (200, {}, '{"choices": []}'),
    "drop",
])
def test_a_fault_that_passes_is_retried(endpoint: Any, tmp_path: Path, fault: Any) -> None:
    endpoint.fault = lambda n, body: fault if n == 0 else None
    with open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher:
        answer = teacher.ask(prompts.solve("2+2?"))
        assert answer is not None and answer.data == {"answer": "2 + 2 = 4\n#### 4"}
        assert teacher.usage()["retries"] == 1
    assert endpoint.bodies[0] == endpoint.bodies[1]
    assert 0.5 <= endpoint.times[1] - endpoint.times[0] < 3


def test_a_time_out_is_retried(endpoint: Any, tmp_path: Path) -> None:
    endpoint.fault = lambda n, body: 1.5 if n == 0 else None
    with open_teacher(Settings(**QUICK, timeout_seconds=0.3), str(tmp_path), 0) as teacher:
        assert teacher.ask(prompts.solve("2+2?")) is not None
        assert teacher.usage()["retries"] == 1


@pytest.mark.parametrize(("value", "least"), [("2", 2.0), ("0", 0.0)])
def test_retry_after_is_honoured(endpoint: Any, tmp_path: Path, value: str, least: float) -> None:
    endpoint.fault = lambda n, body: (429, {"Retry-After": value}, "{}") if n == 0 else None
    with open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher:
        assert teacher.ask(prompts.solve("2+2?")) is not None
    assert least <= endpoint.times[1] - endpoint.times[0] < least + 0.45  # 0.45: sooner than the back-off would be


def test_an_answer_in_the_wrong_form_is_asked_again_with_another_seed(endpoint: Any, tmp_path: Path) -> None:
    wrong = ["Sure! Here is the answer.", '{"answer": 4}', None]
    endpoint.fault = lambda n, body: completion(wrong[n]) if wrong[n] else None
    with open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher:
        answer = teacher.ask(prompts.solve("2+2?"))
        assert answer is not None and answer.data == {"answer": "2 + 2 = 4\n#### 4"}
        assert teacher.usage()["prompt_tokens"] == 300  # the two that did not fit are paid for as well
    assert len({body["seed"] for body in endpoint.bodies}) == 3


def test_three_answers_in_the_wrong_form_are_enough_and_never_paid_again(endpoint: Any, tmp_path: Path) -> None:
    endpoint.fault = lambda n, body: completion("no")
    for _ in range(2):
        with open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher:
            assert teacher.ask(prompts.solve("2+2?")) is None
            assert teacher.usage()["gave_up"] == 1
        assert len(endpoint.bodies) == 3


@pytest.mark.parametrize(("content", "fits"), [
    ('{"answer": "4"}', True), ('{"answer": ""}', False), ('{"answer": "4", "more": 1}', False), ("[]", False), ("", False),
])
def test_read_answer(content: str, fits: bool) -> None:
    data, complaint = read_answer(content, prompts.SOLUTION_SCHEMA)
    assert (data is not None) is fits
    assert bool(complaint) is not fits


# ---------------------------------------------------------------- faults that stay


def test_one_question_that_breaks_the_server_costs_one_row(endpoint: Any, tmp_path: Path) -> None:
    endpoint.fault = lambda n, body: (500, {}, "{}") if "3 + 3" in body["messages"][1]["content"] else None
    with open_teacher(Settings(**QUICK | {"max_retries": 0}), str(tmp_path), 0) as teacher:
        answers = teacher.ask_many([prompts.solve(f"{n} + {n}?") for n in range(1, 6)])
    assert [answer is None for answer in answers] == [False, False, True, False, False]


def test_an_endpoint_that_is_down_ends_the_stage(endpoint: Any, tmp_path: Path) -> None:
    endpoint.fault = lambda n, body: (503, {}, "{}") if n >= 2 else None
    with open_teacher(Settings(**QUICK | {"max_retries": 0}), str(tmp_path), 0) as teacher:
        with pytest.raises(TeacherError, match="does not answer"):
            teacher.ask_many(asks(50))
        assert teacher.usage()["requests"] == 2
    assert len(endpoint.bodies) == 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_is_not_retried_and_not_shown(
    endpoint: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int,
) -> None:
    text = json.dumps({"error": {"message": "Incorrect API key provided: sk-secret-0123456789"}})
    endpoint.fault = lambda n, body: (status, {}, text)
    with open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher, pytest.raises(TeacherError) as error:
        teacher.ask_many(asks(5))
    assert "Incorrect API key" in str(error.value)
    assert "sk-secret" not in str(error.value) + caplog.text
    assert len(endpoint.bodies) <= 2


def test_an_empty_account_is_not_retried(endpoint: Any, tmp_path: Path) -> None:
    endpoint.fault = lambda n, body: (429, {}, '{"error": {"message": "no credit", "code": "insufficient_quota"}}')
    with open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher, pytest.raises(TeacherError, match="no credit"):
        teacher.ask(asks(1)[0])
    assert len(endpoint.bodies) == 1


def test_an_endpoint_without_key_and_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(TeacherError, match="neither address nor key"), open_teacher(Settings(**QUICK), str(tmp_path), 0):
        pass


def test_the_key_stands_neither_in_the_journal_nor_in_the_log(
    endpoint: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint.fault = lambda n, body: (500, {}, '{"error": "sk-secret-0123456789"}') if n == 0 else None
    with caplog.at_level(logging.DEBUG), open_teacher(Settings(**QUICK), str(tmp_path), 0) as teacher:
        teacher.ask_many(asks(3))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    assert not [path for path in files if b"sk-secret" in path.read_bytes()]
    assert "sk-secret" not in caplog.text.replace('{"error": "sk-secret-0123456789"}', "")


# ---------------------------------------------------------------- money

PRICED = QUICK | {"cost_per_million_prompt_tokens": 1_000, "cost_per_million_completion_tokens": 2_000}
"""A request of the endpoint (100 + 50 tokens) costs 0.1 + 0.1 = 0.2 dollars."""


def test_usage_is_counted_in_tokens_and_dollars(endpoint: Any, tmp_path: Path) -> None:
    with open_teacher(Settings(**PRICED), str(tmp_path), 0) as teacher:
        teacher.ask_many(asks(5))
        usage = teacher.usage()
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["cost"]) == (500, 250, 1.0)
    with open_teacher(Settings(**PRICED), str(tmp_path), 0) as teacher:
        teacher.ask_many(asks(6))
        usage = teacher.usage()
    assert (usage["cost"], usage["from_journal"]["cost"]) == (0.2, 1.0)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_cost_ceiling_is_never_passed(endpoint: Any, tmp_path: Path, concurrency: int) -> None:
    settings = Settings(**PRICED | {"max_cost": 5.0, "concurrency": concurrency})
    with open_teacher(settings, str(tmp_path), 0) as teacher:
        with pytest.raises(CostCeilingReached, match=r"teacher.max_cost is \$5: \$\d"):
            teacher.ask_many(asks(100))
        spent = teacher.usage()["cost"]
    assert spent == pytest.approx(0.2 * len(endpoint.bodies))
    # A request is taken to cost a token every two characters; 5 dollars leave room for about 22 requests of 0.2.
    assert 4.0 <= spent <= 5.0
    with open_teacher(settings, str(tmp_path), 0) as teacher, pytest.raises(CostCeilingReached):
        teacher.ask_many(asks(100))  # a second start has no money either: what the first spent counts
    assert 0.2 * len(endpoint.bodies) <= 5.0
    with open_teacher(settings.model_copy(update={"max_cost": 100.0}), str(tmp_path), 0) as teacher:
        assert None not in teacher.ask_many(asks(100))
    assert len(endpoint.bodies) == 100


def test_a_ceiling_without_prices_is_refused(endpoint: Any, tmp_path: Path) -> None:
    settings = Settings(**QUICK, max_cost=1.0)
    with pytest.raises(TeacherError, match="cost_per_million_prompt_tokens"), open_teacher(settings, str(tmp_path), 0):
        pass


# ---------------------------------------------------------------- killed in the middle

PROGRAM = """
import json, sys
from posttrain.recipe import Teacher as Settings
from posttrain.teacher import prompts
from posttrain.teacher.client import open_teacher
with open_teacher(Settings(connection="openai_default", model="test-model", concurrency=4), sys.argv[1], 0) as teacher:
    answers = teacher.ask_many([prompts.word_problem("addition", index=n) for n in range(120)])
    print(json.dumps([teacher.usage(), [a.data for a in answers]]))
"""


def test_a_killed_run_goes_on_and_asks_nothing_twice(endpoint: Any, tmp_path: Path) -> None:
    endpoint.fault = lambda n, body: 0.02
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "killed")], env=os.environ.copy())
    while len(endpoint.bodies) < 40:
        time.sleep(0.005)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    sent = [json.dumps(body, sort_keys=True) for body in endpoint.bodies]
    files = [path for path in (tmp_path / "killed").rglob("*.json")]
    journalled = {json.dumps(json.loads(path.read_text())["request"], sort_keys=True) for path in files}
    assert 30 <= len(journalled) < 120

    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "killed")], capture_output=True, text=True, check=True)
    usage, answers = json.loads(done.stdout)
    again = [json.dumps(body, sort_keys=True) for body in endpoint.bodies[len(sent):]]
    assert not journalled & set(again)
    # Only what was on the way at the kill, at most one request a thread, can reach the server a second time.
    assert len(set(sent) & set(again)) <= 4
    assert usage["requests"] == len(again) == 120 - len(journalled)
    assert usage["from_journal"]["requests"] == len(journalled)

    whole = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "whole")], capture_output=True, text=True, check=True)
    assert json.loads(whole.stdout)[1] == answers
