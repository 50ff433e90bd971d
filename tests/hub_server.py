"""A server that stands in for the Hugging Face Hub: data sets with branches and commits, as `huggingface_hub` asks for them."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class HubServer(ThreadingHTTPServer):
    """`push` makes a commit and moves a branch to it; `paths` are the requests so far."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.branches: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.paths: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"

    def push(self, name: str, files: dict[str, bytes], branch: str = "main") -> str:
        """The commit (40 hex digits) of these files."""
        commit = hashlib.sha1(repr((name, sorted(files.items()))).encode()).hexdigest()
        self.commits.setdefault(name, {})[commit] = files
        self.branches.setdefault(name, {})[branch] = commit
        return commit


class Handler(BaseHTTPRequestHandler):
    server: HubServer

    def do_GET(self) -> None:
        self._answer(*self._found())

    def do_HEAD(self) -> None:
        self._answer(*self._found())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self._answer(*self._found(parse_qs(body).get("paths")))

    def _found(self, wanted: list[str] | None = None) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers for /api/datasets/A/B/{revision,tree,paths-info}/REVISION and /datasets/A/B/resolve/…"""
        path = urlsplit(self.path).path
        self.server.paths.append(f"{self.command} {path}")
        parts = [unquote(part) for part in path.removeprefix("/api").removeprefix("/datasets/").split("/")]
        name, action, revision, rest = "/".join(parts[:2]), parts[2], parts[3], "/".join(parts[4:])
        commits = self.server.commits.get(name)
        if commits is None:
            return _error(404, "RepoNotFound")
        commit = self.server.branches[name].get(revision, revision)
        if commit not in commits:
            return _error(404, "RevisionNotFound")
        files = commits[commit]
        if action == "resolve":
            if rest not in files:
                return _error(404, "EntryNotFound")
            return 200, files[rest], {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(files[rest]).hexdigest()}"'}
        if action == "revision":
            return _json({"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in sorted(files)]})
        if action == "paths-info":
            return _json([_entry(file, files[file]) for file in sorted(wanted or []) if file in files])
        below = [file for file in sorted(files) if not rest or file.startswith(f"{rest}/")]
        if rest and not below:
            return _error(404, "EntryNotFound")
        start = len(rest) + 1 if rest else 0
        folders = sorted({file[:file.index("/", start)] for file in below if "/" in file[start:]})
        own = below if "recursive=true" in self.path.lower() else [file for file in below if "/" not in file[start:]]
        return _json([{"type": "directory", "path": folder, "oid": "0" * 40} for folder in folders]
                     + [_entry(file, files[file]) for file in own])

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def _entry(file: str, data: bytes) -> dict[str, Any]:
    return {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}


def _json(value: Any) -> tuple[int, bytes, dict[str, str]]:
    return 200, json.dumps(value).encode(), {"content-type": "application/json"}


def _error(status: int, code: str) -> tuple[int, bytes, dict[str, str]]:
    return status, json.dumps({"error": code}).encode(), {"content-type": "application/json", "X-Error-Code": code}
