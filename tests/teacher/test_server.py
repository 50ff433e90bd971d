"""The procedural teacher over HTTP: the protocol, its errors, and the life of its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from posttrain.teacher import prompts
from posttrain.teacher.client import Ask
from posttrain.teacher.server import FINGERPRINT, MODEL, is_alive, procedural_server, start_server, stop_server


def body(ask: Ask, seed: int = 0) -> dict[str, Any]:
    return {
        "model": MODEL, "temperature": 0.7, "seed": seed, "messages": [{"role": "user", "content": ask.user}],
        "response_format": {"type": "json_schema", "json_schema": {"name": ask.task, "strict": True, "schema": ask.schema}},
    }


def post(url: str, value: Any) -> httpx.Response:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return httpx.post(f"{url}/chat/completions", content=content, trust_env=False)


def test_chat_completion_has_the_openai_form(teacher_url: str) -> None:
    answer = post(teacher_url, body(prompts.solve("2+2?"))).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"answer": "2 + 2 = 4\n#### 4"}
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"] > 0


def test_every_answer_says_that_it_is_no_language_model(teacher_url: str) -> None:
    good, bad = post(teacher_url, body(prompts.solve("2+2?"))).json(), post(teacher_url, body(prompts.solve("why?"))).json()
    assert good["model"] == "procedural-word-problems"
    assert good["system_fingerprint"] == bad["system_fingerprint"] == FINGERPRINT
    assert "not a language model" in FINGERPRINT


def test_models_and_health(teacher_url: str) -> None:
    assert [m["id"] for m in httpx.get(f"{teacher_url}/models", trust_env=False).json()["data"]] == [MODEL]
    assert httpx.get(f"{teacher_url.removesuffix('/v1')}/health", trust_env=False).json()["status"] == "ok"
    assert is_alive(teacher_url)


def test_same_request_same_answer_and_another_seed_another(teacher_url: str) -> None:
    ask = prompts.word_problem("addition")
    texts = [post(teacher_url, body(ask, seed)).json()["choices"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(("value", "status", "param"), [
    (b"{not json", 400, None),
    ([], 400, None),
    (body(prompts.solve("2+2?")) | {"model": "gpt-4"}, 404, "model"),
    (body(prompts.solve("2+2?")) | {"messages": []}, 400, "messages"),
    (body(prompts.solve("2+2?")) | {"messages": [{"role": "user"}]}, 400, "messages[0]"),
    (body(prompts.solve("2+2?")) | {"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
    (body(prompts.solve("2+2?")) | {"stream": True}, 400, "stream"),
    (body(prompts.solve("2+2?")) | {"response_format": None}, 422, "response_format"),
    (body(Ask("poem", "", "Write one.", prompts.SOLUTION_SCHEMA)), 422, "response_format"),
    (body(Ask("solve", "", prompts.solve("2+2?").user, prompts.PROBLEM_SCHEMA)), 422, "response_format"),
    (body(prompts.solve("What is photosynthesis?")), 422, "messages"),
])
def test_errors_have_the_openai_form(teacher_url: str, value: Any, status: int, param: str | None) -> None:
    response = post(teacher_url, value)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error" and error["message"] and error["param"] == param


def test_unknown_path_and_too_large_body(teacher_url: str) -> None:
    assert httpx.post(f"{teacher_url}/embeddings", json={}, trust_env=False).status_code == 404
    assert post(teacher_url, b" " * ((1 << 20) + 1)).status_code == 413
    assert is_alive(teacher_url)


def test_server_stops_with_its_block() -> None:
    with procedural_server() as url:
        assert is_alive(url)
    assert not is_alive(url)


def test_server_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "import time\nfrom posttrain.teacher.server import procedural_server\n"
        "with procedural_server() as url:\n    print(url, flush=True)\n    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert is_alive(url)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while is_alive(url):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.05)


def test_server_of_a_setup_task_outlives_it_until_teardown() -> None:
    program = "import json\nfrom posttrain.teacher.server import start_server\nprint(json.dumps(start_server(60)))\n"
    address = json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert is_alive(address["url"])
    assert not stop_server(address | {"pid": os.getpid()})  # never another process
    assert stop_server(address)
    deadline = time.monotonic() + 10
    while is_alive(address["url"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not stop_server(address)


def test_server_that_nobody_asks_ends_by_itself() -> None:
    address = start_server(idle_seconds=0.5)
    time.sleep(2.5)
    assert not is_alive(address["url"])
