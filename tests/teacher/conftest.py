"""The real procedural teacher, shared by the tests of this folder, and an endpoint that fails as it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from posttrain.teacher.server import MODEL, complete, procedural_server


@pytest.fixture(scope="session")
def teacher_url() -> Iterator[str]:
    with procedural_server() as url:
        yield url


@pytest.fixture
def running_teacher(teacher_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The shared server in the place where `open_teacher` looks for one that the pipeline started."""
    monkeypatch.setenv("POSTTRAIN_TEACHER_URL", teacher_url)
    return teacher_url


class FlakyEndpoint:
    """An OpenAI-compatible endpoint that answers well (by the rules of the procedural teacher) unless `fault` says otherwise.

    `fault(n, body)` gets the number of the request and its body; it returns None for a good answer, a status with headers
    and body, `"drop"` to close the connection without a word, or a number of seconds to wait before the good answer.
    """

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.fault: Callable[[int, dict[str, Any]], Any] = lambda n, body: None
        self.usage = {"prompt_tokens": 100, "completion_tokens": 50}
        lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(endpoint.bodies)
                    endpoint.bodies.append(body)
                    endpoint.times.append(time.monotonic())
                fault = endpoint.fault(number, body)
                if fault == "drop":
                    self.close_connection = True
                elif isinstance(fault, tuple):
                    self.reply(*fault)
                else:
                    time.sleep(fault or 0)
                    self.reply(200, {}, json.dumps(complete(body | {"model": MODEL}) | {"usage": endpoint.usage}))

            def reply(self, status: int, headers: dict[str, str], text: str) -> None:
                data = text.encode()
                lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(data)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed hangs up
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> FlakyEndpoint:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyEndpoint]:
    with FlakyEndpoint() as flaky:
        monkeypatch.setenv("OPENAI_BASE_URL", flaky.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
        yield flaky
