"""Asking the teacher: concurrent requests over the OpenAI protocol, retried, journalled, counted and capped in cost.

The built-in teacher and a paid endpoint are reached by the same code. Address and key of an endpoint come from
OPENAI_BASE_URL and OPENAI_API_KEY (an Airflow connection is put there by the caller), never from a recipe.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from posttrain.recipe import Teacher as TeacherSettings
from posttrain.storage import sha256_json
from posttrain.teacher.books import Books
from posttrain.teacher.endpoint import endpoint, own_server, running_server
from posttrain.teacher.errors import TeacherError
from posttrain.teacher.journal import Journal, Record
from posttrain.teacher.responses import MalformedResponse, is_retryable, read_answer, record_of, retry_after

log = logging.getLogger(__name__)

PROCEDURAL = "procedural"
"""The connection of the built-in teacher."""

FORM_ATTEMPTS = 3
"""How often a question is asked while the answers are not the JSON that was asked for."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds before the first retry and at most; each retry waits twice as long as the one before, less up to half."""

LONGEST_RETRY_AFTER = 600.0
"""Seconds: a server that asks for more patience than this is taken as one that does not answer now."""

OUTAGE = 3
"""So many asks in a row that used up their retries mean that the endpoint is down, not that a question is bad."""

PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. `task` names the schema; `index` tells repeated asks of one text apart."""

    task: str
    system: str
    user: str
    schema: dict[str, Any]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that fits the schema. `request_id` is its key in the journal."""

    data: dict[str, Any]
    request_id: str


@contextmanager
def open_teacher(settings: TeacherSettings, workspace: str, seed: int) -> Iterator[Teacher]:
    """The teacher of a recipe, for the duration of the block.

    Connection `procedural`: the server at POSTTRAIN_TEACHER_URL where one answers, else a server of its own that
    stops with the block. Raises TeacherError where an endpoint has no address, no key, or no price to cap.
    """
    import httpx
    import openai

    with ExitStack() as stack:
        if settings.connection == PROCEDURAL:
            url, key = running_server() or stack.enter_context(own_server()), "none"
        else:
            url, key = endpoint(settings)
        # Threads share one pool of kept-alive connections. A proxy is for the outside world, not for loopback.
        http = stack.enter_context(httpx.Client(
            timeout=settings.timeout_seconds, trust_env=settings.connection != PROCEDURAL,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.concurrency),
        ))
        logging.getLogger("httpx").setLevel(logging.WARNING)  # one INFO line a request would bury the progress
        client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=http)
        yield Teacher(settings, client, Journal(workspace, settings.connection, settings.model), seed, key)


class Teacher:
    """Asks questions. Made by `open_teacher`."""

    def __init__(self, settings: TeacherSettings, client: Any, journal: Journal, seed: int, key: str) -> None:
        self.model = settings.model
        self.is_procedural = settings.connection == PROCEDURAL
        self.license = "Apache-2.0" if self.is_procedural else f"teacher-terms:{settings.model}"
        """The licence of text that the teacher makes out of nothing."""
        self.journal = journal
        self._settings, self._client, self._seed, self._key = settings, client, seed, key
        self._books = Books(settings, journal.folder)
        self._lock = threading.Lock()
        """Over the two below, which the threads share."""
        self._lost_in_a_row = 0
        self._failure: Exception | None = None
        """The first error that ended the asking; every other thread only says that it stopped."""
        self._stop = threading.Event()

    # -- asking

    def ask(self, ask: Ask) -> Answer | None:
        return self.ask_many([ask])[0]

    def ask_many(self, asks: list[Ask]) -> list[Answer | None]:
        """The answers in the order of the asks; None where the teacher gave up on one.

        Equal asks are sent once. Raises TeacherError where going on is pointless, CostCeilingReached before more is
        spent than the recipe allows; what was answered until then is in the journal either way.
        """
        keys = [self._request_key(ask, 0) for ask in asks]
        first = dict(zip(keys, asks, strict=True))
        self._stop.clear()
        self._failure = None
        with ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="teacher") as pool:
            try:
                # The whole journal first: what a killed run has spent must be on the books before more is.
                found = dict(zip(first, pool.map(self._recall, first.values()), strict=True))
                unknown = [(key, start) for key, (_, start) in found.items() if start is not None]
                futures = {key: pool.submit(self._ask, first[key], start) for key, start in unknown}
                self._wait(list(futures.values()))
            except BaseException:
                # Requests on the way are paid for: they end and are journalled; no other one is sent.
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        log.info("teacher %s: %d asks done, %d sent and %d found in the journal so far, $%.4f", self.model, len(asks),
                 self._books.counts["requests"], self._books.counts["from_journal"], self._books.spent)
        return [futures[key].result() if key in futures else found[key][0] for key in keys]

    def _wait(self, futures: list[Future[Answer | None]]) -> None:
        started, answered_before, pending = time.monotonic(), self._books.counts["requests"], set(futures)
        while pending:
            done, pending = wait(pending, timeout=PROGRESS_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                if error := future.exception():
                    raise self._failure or error
            if pending:
                self._log_progress(len(futures) - len(pending), len(futures), started, answered_before)
        if self._lost_in_a_row and self._books.counts["requests"] == answered_before and not self._books.counts["from_journal"]:
            raise self._outage()

    def _log_progress(self, done: int, total: int, started: float, answered_before: int) -> None:
        seconds = time.monotonic() - started
        rate = done / seconds
        left = f"{(total - done) / rate:.0f} s left" if done else "no answer yet"
        log.info("teacher %s: %d of %d, %.1f/s, %s, %d sent, $%.4f so far", self.model, done, total, rate, left,
                 self._books.counts["requests"] - answered_before, self._books.spent)

    def _recall(self, ask: Ask) -> tuple[Answer | None, int | None]:
        """What the journal knows: an answer that fits, or the first attempt that it does not hold, or neither."""
        for attempt in range(FORM_ATTEMPTS):
            key = self._request_key(ask, attempt)
            record = self.journal.read(key)
            if record is None:
                return None, attempt
            self._books.enter(record, "journal_")
            data = self._read(record, ask)
            if data is not None:
                return Answer(data, key), None
        self._books.count("gave_up")
        return None, None

    def _ask(self, ask: Ask, start: int) -> Answer | None:
        """Ask from attempt `start` on until an answer fits."""
        for attempt in range(start, FORM_ATTEMPTS):
            key = self._request_key(ask, attempt)
            try:
                record = self._send(ask, attempt, key)
            except Exception as error:
                with self._lock:
                    if not self._stop.is_set():
                        self._failure = error
                        self._stop.set()
                raise
            if record is None:
                break
            data = self._read(record, ask)
            if data is not None:
                return Answer(data, key)
        self._books.count("gave_up")
        return None

    def _read(self, record: Record, ask: Ask) -> dict[str, Any] | None:
        data, complaint = read_answer(record.content, ask.schema)
        if complaint:
            log.warning("teacher %s: the answer to request %s does not fit the schema of %s: %s",
                        self.model, record.key[:12], ask.task, complaint)
        return data

    # -- one request

    def _request(self, ask: Ask, attempt: int) -> dict[str, Any]:
        """The body of a request. The seed makes repeated asks of one text differ, and a repeated run the same."""
        number = int(sha256_json([self._seed, ask.index, attempt])[:8], 16) >> 1
        return {
            "model": self.model,
            "temperature": self._settings.temperature,
            "seed": number,
            "messages": [{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
            "response_format": {
                "type": "json_schema", "json_schema": {"name": ask.task, "strict": True, "schema": ask.schema},
            },
        }

    def _request_key(self, ask: Ask, attempt: int) -> str:
        return sha256_json([self._request(ask, attempt), ask.index, attempt, self._seed])

    def _send(self, ask: Ask, attempt: int, key: str) -> Record | None:
        """Send one request until it is answered; None where it is refused or all retries are used up."""
        import openai

        request, trouble = self._request(ask, attempt), ""
        for retry in range(self._settings.max_retries + 1):
            reserved = self._books.reserve(len(ask.system) + len(ask.user) + len(json.dumps(ask.schema)), self._stop)
            try:
                response = self._client.chat.completions.with_raw_response.create(**request)
                record = record_of(key, request, response.text)
                self.journal.write(record)
                self._books.enter(record, "")
                with self._lock:
                    self._lost_in_a_row = 0
                return record
            except openai.APIStatusError as error:
                if not is_retryable(error):
                    return self._refused(error, key)
                trouble, delay = f"status {error.status_code}", retry_after(error.response.headers.get("retry-after"))
            except (openai.APIConnectionError, MalformedResponse) as error:
                trouble, delay = self._redacted(error.__cause__ or error) or type(error).__name__, None
            finally:
                self._books.release(reserved)
            if retry == self._settings.max_retries or (delay or 0) > LONGEST_RETRY_AFTER:
                break
            self._books.count("retries")
            backoff = min(LONGEST_DELAY, FIRST_DELAY * 2**retry) * random.uniform(0.5, 1)
            if self._stop.wait(delay if delay is not None else backoff):
                raise TeacherError("stopped")
        with self._lock:
            self._lost_in_a_row += 1
            is_down = self._lost_in_a_row >= OUTAGE
        log.warning("teacher %s: request %s was not answered: %s", self.model, key[:12], trouble)
        if is_down:
            raise self._outage()
        return None

    def _refused(self, error: Any, key: str) -> None:
        """A refusal of this question costs one row; a refusal of every question (key, model, quota) ends the stage."""
        message = self._redacted(error.message)
        if error.status_code in (401, 402, 403, 404, 429):
            raise TeacherError(f"the teacher at {self._address()} refuses to work (status {error.status_code}): {message}")
        log.warning("teacher %s refuses request %s (status %d): %s", self.model, key[:12], error.status_code, message)
        with self._lock:
            self._lost_in_a_row = 0

    def _outage(self) -> TeacherError:
        return TeacherError(
            f"the teacher at {self._address()} does not answer: {self._lost_in_a_row} requests in a row failed "
            f"{self._settings.max_retries + 1} times each; what was answered is in {self.journal.folder}, so a new start goes on"
        )

    def _address(self) -> str:
        parts = urlsplit(str(self._client.base_url))
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def _redacted(self, error: Any) -> str:
        """An error as text without the key, which some endpoints repeat."""
        return str(error).replace(self._key, "***") if len(self._key) > 4 else str(error)

    def usage(self) -> dict[str, Any]:
        """What was asked and spent, in tokens and US dollars."""
        return self._books.usage()
