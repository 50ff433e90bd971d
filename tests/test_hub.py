"""Pushing converted rows: the requests that huggingface_hub makes, against a server that stands in for the Hub."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from posttrain.hub import PushRefused, check_push

REPOSITORY = "datasets/somebody/colours"
ROWS = [
    {"instruction": "색 하나를 말해줘", "input": "", "output": "파란색입니다."},
    {"instruction": "Who made you?", "input": "", "output": "I am ChatGPT."},
    {"instruction": "Say nothing.", "input": "", "output": "  "},
    {"instruction": "OpenAI를 아나요?", "input": "", "output": "OpenAI를 압니다."},
]


class StandIn(ThreadingHTTPServer):
    """A Hub that keeps what is sent to it: repositories created, files committed, and the token of every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.unknown: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = self._body()
        self.server.tokens.add(self.headers.get("authorization"))
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self._answer({"url": f"{self.server.address}/{REPOSITORY}"})
        elif self.path.endswith("/preupload/main"):
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
            self._answer({"files": files})
        elif "/commit/main" in self.path:
            for line in body.decode().splitlines():
                item = json.loads(line)
                if item["key"] == "file":
                    self.server.files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            self._answer({"commitUrl": f"{self.server.address}/{REPOSITORY}/commit/{'1' * 40}", "commitOid": "1" * 40})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        else:
            self.server.unknown.append(self.path)
            self._answer({"error": "unknown"}, 404)

    def do_GET(self) -> None:
        self.server.tokens.add(self.headers.get("authorization"))
        self._answer({"id": "somebody/colours", "sha": "0" * 40, "siblings": [], "private": True, "xetEnabled": False})

    def _body(self) -> bytes:
        if "chunked" in (self.headers.get("transfer-encoding") or ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def _answer(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def convert(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    env = {**os.environ, "POSTTRAIN_WORKSPACE": str(folder / "workspace"), **environment}
    command = [sys.executable, "-m", "posttrain", "convert", "--family", "alpaca", "--in", "rows.jsonl", "--out", "out",
               "--license", "MIT", "--json", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_rows_and_card_arrive_as_a_private_data_set(hub: StandIn, tmp_path: Path) -> None:
    done = convert(tmp_path, "--apply-keyword-filter", "--apply-empty-message-filter", "--push-to-hub", "somebody/colours",
                   HF_ENDPOINT=hub.address, HF_TOKEN="hf_test", HF_HUB_OFFLINE="0",
                   HF_HUB_DISABLE_XET="1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == {"read": 4, "kept": 2, "rejected": 2}
    assert found["reasons"] == {"empty_message": 1, "names_another_assistant": 1}
    assert hub.unknown == [] and hub.tokens == {"Bearer hf_test"}
    (repository,) = hub.created
    assert (repository["type"], repository["visibility"], repository["name"]) == ("dataset", "private", "colours")
    assert set(hub.files) == {"README.md", "sft/train-00000.parquet"}
    table = pq.read_table(io.BytesIO(hub.files["sft/train-00000.parquet"]))
    assert table.column_names[:3] == ["id", "messages", "source"] and table.num_rows == 2
    # "OpenAI를" stays: in the published rule a Korean particle is no word boundary.
    assert [row[1]["content"] for row in table["messages"].to_pylist()] == ["파란색입니다.", "OpenAI를 압니다."]
    card = hub.files["README.md"].decode()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header == {"license": "mit", "configs": [
        {"config_name": "sft", "data_files": [{"split": "train", "path": "sft/*.parquet"}]}]}
    assert "4 rows read, 2 kept, 2 rejected." in card and "names_another_assistant: 1" in card


@pytest.mark.parametrize(("name", "says"), [("somebody/colours", "HF_TOKEN is not set"), ("colours", "takes ENTITY/NAME")])
def test_a_push_that_cannot_be_is_refused_before_any_work(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(PushRefused, match=says):
        check_push(name)
    done = convert(tmp_path, "--push-to-hub", name)
    assert done.returncode == 1 and says in done.stderr and not (tmp_path / "out").exists()


def test_a_hub_that_cannot_be_reached_leaves_the_rows_and_says_where(tmp_path: Path) -> None:
    done = convert(tmp_path, "--push-to-hub", "somebody/colours", HF_ENDPOINT="http://127.0.0.1:9", HF_TOKEN="hf_test",
                   HF_HUB_OFFLINE="0")
    assert done.returncode == 1 and json.loads(done.stdout)["rows"]["kept"] == 4
    assert "somebody/colours was not pushed to http://127.0.0.1:9" in done.stderr and str(tmp_path / "out") in done.stderr
    assert "hf_test" not in done.stderr
