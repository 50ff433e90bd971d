"""A real Elasticsearch, and a proxy in front of it that spoils what a test says.

POSTTRAIN_TEST_ELASTICSEARCH is a folder with an `elasticsearch` launcher, called as `elasticsearch start WORK_DIR PORT
[setting=value...]`, `elasticsearch stop WORK_DIR` and `elasticsearch kill WORK_DIR`.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from posttrain.decontaminate.elastic import Cluster, connect
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.recipe import Decontaminate
from posttrain.storage import ArtifactWriter, Manifest


def free_port() -> int:
    """Below the ports that a client's connections get: a server that starts again later still finds its port free."""
    while True:
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
            return int(free.getsockname()[1])


@dataclass
class Node:
    """One server with a folder and a port of its own."""

    launcher: Path
    work: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *settings: str) -> None:
        subprocess.run([self.launcher, "start", self.work, str(self.port), *settings], check=True, capture_output=True)

    def stop(self) -> None:
        subprocess.run([self.launcher, "stop", self.work], check=True, capture_output=True)

    def kill(self) -> None:
        subprocess.run([self.launcher, "kill", self.work], check=True, capture_output=True)


@pytest.fixture(scope="session")
def launcher(project: Path) -> Path:
    folder = Path(os.environ.get("POSTTRAIN_TEST_ELASTICSEARCH") or project.parent / "shared" / "elasticsearch")
    if not (folder / "elasticsearch").is_file():
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"NO ELASTICSEARCH: {folder / 'elasticsearch'} is not there; set POSTTRAIN_TEST_ELASTICSEARCH to run this test")
    return folder / "elasticsearch"


@pytest.fixture(scope="session")
def node(launcher: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The server of all tests that do not stop it."""
    node = Node(launcher, str(tmp_path_factory.mktemp("elasticsearch")), free_port())
    node.start()
    yield node
    node.stop()


@pytest.fixture
def server(node: Node, monkeypatch: pytest.MonkeyPatch) -> Node:
    """The same, with its address in the environment and no index of another test on it."""
    monkeypatch.setenv("ELASTICSEARCH_URL", node.url)
    with connect() as cluster:
        for name in cluster.client.indices.get(index="posttrain-evals-content-*", expand_wildcards="all"):
            cluster.client.indices.delete(index=name)
    return node


@pytest.fixture
def cluster(server: Node) -> Iterator[Cluster]:
    with connect() as cluster:
        yield cluster


def decontaminated(folder: Path, rows: Manifest | list[Manifest], index: Manifest, settings: Decontaminate) -> Manifest:
    writer = ArtifactWriter(str(folder), stage="decontaminate", settings=settings.model_dump(mode="json"))
    decontaminate_examples(rows if isinstance(rows, list) else [rows], index, settings, writer)
    return writer.finish()


@pytest.fixture
def decontaminate() -> Callable[[Path, Manifest, Manifest, Decontaminate], Manifest]:
    return decontaminated


# ---------------------------------------------------------------- the proxy


@dataclass
class Answer:
    """What the proxy gives back."""

    status: int
    headers: dict[str, str]
    body: bytes


Spoil = Callable[["Request", Callable[[], Answer]], Answer | None]
"""(request, forward) → the answer, or None to hang up."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Proxy:
    url: str
    requests: list[Request] = field(default_factory=list)

    def paths(self, part: str) -> list[str]:
        return [request.path for request in self.requests if part in request.path]


@contextmanager
def proxied(target: Node, spoil: Spoil, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy to `target` that asks `spoil` about every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            proxy.requests.append(request)
            answer = spoil(request, lambda: forwarded(target, request))
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            for name, value in (answer.headers | {"content-length": str(len(answer.body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that does not trust the certificate, or has waited long enough, hangs up."""

    httpd = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    proxy = Proxy(f"{'https' if tls else 'http'}://127.0.0.1:{httpd.server_port}")
    thread = Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def forwarded(target: Node, request: Request) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    not_passed_on = ("host", "content-length", "authorization", "accept-encoding")
    headers = {name: value for name, value in request.headers.items() if name not in not_passed_on}
    connection.request(request.method, request.path, request.body or None, headers)
    response = connection.getresponse()
    body = response.read()
    kept = {k.lower(): v for k, v in response.getheaders() if k.lower() in ("content-type", "x-elastic-product", "warning")}
    connection.close()
    return Answer(response.status, kept, body)


@pytest.fixture
def proxy() -> Callable[..., Any]:
    """`with proxy(node, spoil) as proxy: ...`"""
    return proxied
