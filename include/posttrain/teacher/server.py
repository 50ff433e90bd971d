"""The procedural teacher: a small HTTP server on a loopback port that speaks the OpenAI protocol.

It is rules, not a language model, and says so in its model name and in every response. The same request body gives
the same answer. It runs in a process of its own, which ends when the process that started it does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from posttrain.teacher.rules import TASKS, CannotDo

log = logging.getLogger(__name__)

MODEL = "procedural-word-problems"
FINGERPRINT = "procedural: rules, not a language model"
LARGEST_BODY = 1 << 20
"""Bytes of a request."""

START_SECONDS = 30.0


# ---------------------------------------------------------------- the protocol


class RequestError(ValueError):
    """A request that gets an OpenAI-style error instead of a completion."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def body(self) -> dict[str, Any]:
        error = {"message": str(self), "type": "invalid_request_error", "param": self.param, "code": self.code}
        return {"error": error, "system_fingerprint": FINGERPRINT}


def complete(body: Any) -> dict[str, Any]:
    """The chat completion of a request body. Raises RequestError."""
    if not isinstance(body, dict):
        raise RequestError(400, "invalid_json", "the body must be a JSON object")
    if body.get("model") != MODEL:
        raise RequestError(404, "model_not_found", f"no model {body.get('model')!r} here; there is {MODEL!r}, "
                           "which is rules and not a language model", "model")
    if body.get("stream"):
        raise RequestError(400, "unsupported_value", "this server does not stream", "stream")
    text = _user_text(body.get("messages"))
    task, schema = _asked_form(body.get("response_format"))
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    try:
        data = TASKS[task](text, random.Random(digest))
    except CannotDo as error:
        raise RequestError(422, "unsupported_text", f"{task}: {error}. This teacher is rules, not a model", "messages") from error
    if set(schema.get("required", data)) != set(data):
        raise RequestError(422, "unsupported_schema", f"{task} answers with {sorted(data)}, the schema wants "
                           f"{sorted(schema['required'])}", "response_format")
    content = json.dumps(data, ensure_ascii=False)
    prompt_tokens, completion_tokens = sum(len(m["content"].split()) for m in body["messages"]), len(content.split())
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "system_fingerprint": FINGERPRINT,
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": None,
            "message": {"role": "assistant", "content": content, "refusal": None},
        }],
        # It has no tokens; words stand for them.
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
                  "total_tokens": prompt_tokens + completion_tokens},
    }


def _user_text(messages: Any) -> str:
    """The last user turn."""
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "missing_required_parameter", "messages must be a non-empty array", "messages")
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or not all(isinstance(message.get(name), str) for name in ("role", "content")):
            raise RequestError(400, "invalid_type", f"messages[{n}] must have role and content, both strings", f"messages[{n}]")
    users = [message["content"] for message in messages if message["role"] == "user"]
    if not users:
        raise RequestError(400, "missing_required_parameter", "messages hold no user turn", "messages")
    return users[-1]


def _asked_form(response_format: Any) -> tuple[str, dict[str, Any]]:
    """Name and schema of the structured output that the request asks for."""
    form = response_format.get("json_schema") if isinstance(response_format, dict) else None
    task = form.get("name") if isinstance(form, dict) else None
    if task not in TASKS:
        raise RequestError(422, "unsupported_task", f"response_format.json_schema.name is {task!r}; this teacher is rules, not "
                           f"a language model, and knows {', '.join(TASKS)}", "response_format")
    schema = form.get("schema")
    return task, schema if isinstance(schema, dict) else {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self.server.last_request = time.monotonic()
        if self.path == "/health":
            self._answer(200, {"status": "ok", "model": MODEL, "pid": os.getpid(), "system_fingerprint": FINGERPRINT})
        elif self.path == "/v1/models":
            self._answer(200, {"object": "list", "data": [
                {"id": MODEL, "object": "model", "created": 0, "owned_by": "posttrain", "description": FINGERPRINT}]})
        else:
            self._answer(404, RequestError(404, "not_found", f"no {self.path} here").body())

    def do_POST(self) -> None:
        self.server.last_request = time.monotonic()
        try:
            body = self._read_body()
            if self.path != "/v1/chat/completions":
                raise RequestError(404, "not_found", f"no {self.path} here")
            self._answer(200, complete(body))
        except RequestError as error:
            self._answer(error.status, error.body())

    def _read_body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True  # what was not read must not be taken for the next request
            status = 413 if length.isdigit() else 411
            raise RequestError(status, "invalid_body", f"a body has a Content-Length of at most {LARGEST_BODY} bytes")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RequestError(400, "invalid_json", f"the body is not JSON: {error}") from error

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value, ensure_ascii=False).encode()
        head = [f"HTTP/1.1 {status} {self.responses[status][0]}", "Content-Type: application/json",
                f"Content-Length: {len(body)}"]
        if self.close_connection:
            head.append("Connection: close")
        # One write: a header packet of its own would wait for the client's delayed acknowledgement.
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + body)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.last_request = time.monotonic()


# ---------------------------------------------------------------- the process


def serve(port: int, port_file: str, idle_seconds: float | None) -> None:
    """Serve until told to stop; `port_file` gets {"url", "pid"} once the port is open.

    Without `idle_seconds` the server ends when its standard input does, that is, with the process that started it.
    With `idle_seconds` it outlives that process, and ends when nobody has asked for so long.
    """
    server = _Server(port)
    address = {"url": f"http://127.0.0.1:{server.server_address[1]}/v1", "pid": os.getpid()}
    temporary = Path(f"{port_file}.tmp")
    temporary.write_text(json.dumps(address), encoding="utf-8")
    temporary.replace(port_file)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    watch = _await_idle if idle_seconds is not None else _await_parent
    threading.Thread(target=watch, args=(server, idle_seconds), daemon=True).start()
    server.serve_forever(poll_interval=0.2)
    server.server_close()


def _await_parent(server: _Server, idle_seconds: None) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    server.shutdown()


def _await_idle(server: _Server, idle_seconds: float) -> None:
    while (left := server.last_request + idle_seconds - time.monotonic()) > 0:
        time.sleep(left)
    server.shutdown()


@contextmanager
def procedural_server() -> Iterator[str]:
    """A server for the duration of the block; yields its base URL (`http://127.0.0.1:PORT/v1`)."""
    process, address = _start(idle_seconds=None)
    try:
        yield address["url"]
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdin.close()  # type: ignore[union-attr]


def start_server(idle_seconds: float = 6 * 3600) -> dict[str, Any]:
    """A server that outlives the caller, for a pipeline's setup task: {"url", "pid"}, to be given to `stop_server`."""
    return _start(idle_seconds)[1]


def stop_server(address: dict[str, Any]) -> bool:
    """Stop a server of `start_server`; False where it has ended already. Never ends another process of that number."""
    health = _health(address["url"])
    if not health or health.get("pid") != address["pid"]:
        return False
    os.kill(address["pid"], signal.SIGTERM)
    return True


def is_alive(url: str) -> bool:
    """Whether a procedural teacher answers at a base URL."""
    return (_health(url) or {}).get("model") == MODEL


def _health(url: str) -> dict[str, Any] | None:
    try:
        with build_opener(ProxyHandler({})).open(f"{url.removesuffix('/v1')}/health", timeout=5) as response:
            value = json.load(response)
    except (URLError, OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _start(idle_seconds: float | None) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="teacher-") as folder:
        port_file, errors = Path(folder) / "address.json", Path(folder) / "stderr"
        command = [sys.executable, "-m", "posttrain.teacher.server", "--port", "0", "--port-file", str(port_file)]
        if idle_seconds is not None:
            command += ["--idle-seconds", str(idle_seconds)]
        library = str(Path(__file__).parents[2])
        paths = [library, *filter(None, [os.environ.get("PYTHONPATH")])]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE if idle_seconds is None else subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=stderr, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the pipeline, which still has answers to journal
            )
        deadline = time.monotonic() + START_SECONDS
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise RuntimeError(f"the procedural teacher did not start: {errors.read_text(errors='replace').strip()[-500:]}")
            time.sleep(0.02)
        return process, json.loads(port_file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="the procedural teacher: rules, not a language model")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--port-file", required=True, help='where to write {"url", "pid"} once the port is open')
    parser.add_argument("--idle-seconds", type=float, help="outlive the parent, and stop after so long without a request")
    arguments = parser.parse_args()
    serve(arguments.port, arguments.port_file, arguments.idle_seconds)
