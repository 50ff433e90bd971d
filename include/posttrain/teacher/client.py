"""Asking the teacher: concurrent requests over the OpenAI protocol, retried, journalled, counted and capped in cost.

The built-in teacher and a paid endpoint are reached by the same code. Address and key of an endpoint come from
OPENAI_BASE_URL and OPENAI_API_KEY (an Airflow connection is put there by the caller), never from a recipe.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from posttrain.recipe import Teacher as TeacherSettings
from posttrain.storage import sha256_json
from posttrain.teacher.journal import Journal, Record

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

ASSUMED_COMPLETION_TOKENS = 1024
"""What a completion is taken to cost, against the ceiling, until the first one has come."""


class TeacherError(RuntimeError):
    """The teacher cannot be used: wrong key, unknown model, endpoint down. Answered requests are in the journal."""


class CostCeilingReached(TeacherError):
    """The next request could cost more than the recipe's `teacher.max_cost` leaves."""


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
            url, key = _running_server() or stack.enter_context(_own_server()), "none"
        else:
            url, key = _endpoint(settings)
        # Threads share one pool of kept-alive connections. A proxy is for the outside world, not for loopback.
        http = stack.enter_context(httpx.Client(
            timeout=settings.timeout_seconds, trust_env=settings.connection != PROCEDURAL,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.concurrency),
        ))
        logging.getLogger("httpx").setLevel(logging.WARNING)  # one INFO line a request would bury the progress
        client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, http_client=http)
        yield Teacher(settings, client, Journal(workspace, settings.connection, settings.model), seed, key)


def _running_server() -> str | None:
    from posttrain.teacher.server import is_alive

    url = os.environ.get("POSTTRAIN_TEACHER_URL")
    if url and not is_alive(url):
        log.warning("no procedural teacher answers at POSTTRAIN_TEACHER_URL=%s; starting one for this stage", url)
        return None
    return url or None


def _own_server() -> Any:
    from posttrain.teacher.server import procedural_server

    return procedural_server()


def _endpoint(settings: TeacherSettings) -> tuple[str | None, str]:
    url, key = os.environ.get("OPENAI_BASE_URL") or None, os.environ.get("OPENAI_API_KEY") or None
    if not key and not url:
        raise TeacherError(
            f"teacher connection {settings.connection!r} has neither address nor key: define the Airflow connection, "
            "or set OPENAI_API_KEY (and OPENAI_BASE_URL for an endpoint other than OpenAI's)"
        )
    has_price = settings.cost_per_million_prompt_tokens or settings.cost_per_million_completion_tokens
    if settings.max_cost is not None and not has_price:
        raise TeacherError("teacher.max_cost cannot be kept without teacher.cost_per_million_prompt_tokens and "
                           "teacher.cost_per_million_completion_tokens")
    return url, key or "none"


class Teacher:
    """Asks questions and keeps the books. Made by `open_teacher`."""

    def __init__(self, settings: TeacherSettings, client: Any, journal: Journal, seed: int, key: str) -> None:
        self.model = settings.model
        self.is_procedural = settings.connection == PROCEDURAL
        self.license = "Apache-2.0" if self.is_procedural else f"teacher-terms:{settings.model}"
        """The licence of text that the teacher makes out of nothing."""
        self.journal = journal
        self._settings, self._client, self._seed, self._key = settings, client, seed, key
        self._books = threading.Condition()
        self._spent, self._reserved = 0.0, 0.0
        self._counts: Counter[str] = Counter()
        self._counted: set[str] = set()
        self._longest_completion = 0
        self._lost_in_a_row = 0
        self._stop = threading.Event()
        self._failure: Exception | None = None
        """The first error that ended the asking; every other thread only says that it stopped."""

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
                 self._counts["requests"], self._counts["from_journal"], self._spent)
        return [futures[key].result() if key in futures else found[key][0] for key in keys]

    def _wait(self, futures: list[Future[Answer | None]]) -> None:
        started, answered_before, pending = time.monotonic(), self._counts["requests"], set(futures)
        while pending:
            done, pending = wait(pending, timeout=PROGRESS_SECONDS, return_when=FIRST_EXCEPTION)
            for future in done:
                if error := future.exception():
                    raise self._failure or error
            if pending:
                self._log_progress(len(futures) - len(pending), len(futures), started, answered_before)
        if self._lost_in_a_row and self._counts["requests"] == answered_before and not self._counts["from_journal"]:
            raise self._outage()

    def _log_progress(self, done: int, total: int, started: float, answered_before: int) -> None:
        seconds = time.monotonic() - started
        rate = done / seconds
        left = f"{(total - done) / rate:.0f} s left" if done else "no answer yet"
        log.info("teacher %s: %d of %d, %.1f/s, %s, %d sent, $%.4f so far", self.model, done, total, rate, left,
                 self._counts["requests"] - answered_before, self._spent)

    def _recall(self, ask: Ask) -> tuple[Answer | None, int | None]:
        """What the journal knows: an answer that fits, or the first attempt that it does not hold, or neither."""
        for attempt in range(FORM_ATTEMPTS):
            key = self._request_key(ask, attempt)
            record = self.journal.read(key)
            if record is None:
                return None, attempt
            self._count_record(record, "journal_")
            data = self._read(record, ask)
            if data is not None:
                return Answer(data, key), None
        self._count("gave_up")
        return None, None

    def _ask(self, ask: Ask, start: int) -> Answer | None:
        """Ask from attempt `start` on until an answer fits."""
        for attempt in range(start, FORM_ATTEMPTS):
            key = self._request_key(ask, attempt)
            try:
                record = self._send(ask, attempt, key)
            except Exception as error:
                with self._books:
                    if not self._stop.is_set():
                        self._failure = error
                        self._stop.set()
                raise
            if record is None:
                break
            data = self._read(record, ask)
            if data is not None:
                return Answer(data, key)
        self._count("gave_up")
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
            reserved = self._reserve(ask)
            try:
                response = self._client.chat.completions.with_raw_response.create(**request)
                record = _record(key, request, response.text)
                self.journal.write(record)
                self._count_record(record, "")
                return record
            except openai.APIStatusError as error:
                if not _is_retryable(error):
                    return self._refused(error, key)
                trouble, delay = f"status {error.status_code}", _retry_after(error.response.headers.get("retry-after"))
            except (openai.APIConnectionError, _MalformedResponse) as error:
                trouble, delay = self._redacted(error.__cause__ or error) or type(error).__name__, None
            finally:
                self._release(reserved)
            if retry == self._settings.max_retries or (delay or 0) > LONGEST_RETRY_AFTER:
                break
            self._count("retries")
            backoff = min(LONGEST_DELAY, FIRST_DELAY * 2**retry) * random.uniform(0.5, 1)
            if self._stop.wait(delay if delay is not None else backoff):
                raise TeacherError("stopped")
        with self._books:
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
        with self._books:
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

    # -- the books

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        s = self._settings
        return (prompt_tokens * s.cost_per_million_prompt_tokens + completion_tokens * s.cost_per_million_completion_tokens) / 1e6

    def _reserve(self, ask: Ask) -> float:
        """Set money aside for a request: it may cost a token every two characters and the longest completion so far."""
        ceiling = self._settings.max_cost
        with self._books:
            while True:
                if self._stop.is_set():
                    raise TeacherError("stopped")
                if ceiling is None:
                    return 0.0
                prompt_tokens = (len(ask.system) + len(ask.user) + len(json.dumps(ask.schema))) // 2
                amount = self._price(prompt_tokens, self._longest_completion or ASSUMED_COMPLETION_TOKENS)
                if self._spent + self._reserved + amount <= ceiling:
                    self._reserved += amount
                    return amount
                if self._reserved <= 1e-12:  # nothing is on the way that could turn out cheaper
                    raise CostCeilingReached(
                        f"teacher.max_cost is ${ceiling:g}: ${self._spent:.4f} are spent and the next request may cost "
                        f"${amount:.4f}. What was answered is in {self.journal.folder}; raise teacher.max_cost to go on"
                    )
                self._books.wait()

    def _release(self, amount: float) -> None:
        with self._books:
            self._reserved -= amount
            self._books.notify_all()

    def _count(self, name: str) -> None:
        with self._books:
            self._counts[name] += 1

    def _count_record(self, record: Record, prefix: str) -> None:
        """Count an answer once. What the journal holds was paid for by this stage as well: it counts against the ceiling."""
        with self._books:
            if record.key in self._counted:
                return
            self._counted.add(record.key)
            self._counts["from_journal" if prefix else "requests"] += 1
            self._counts[f"{prefix}prompt_tokens"] += record.prompt_tokens
            self._counts[f"{prefix}completion_tokens"] += record.completion_tokens
            self._spent += self._price(record.prompt_tokens, record.completion_tokens)
            self._longest_completion = max(self._longest_completion, record.completion_tokens)
            if not prefix:
                self._lost_in_a_row = 0

    def usage(self) -> dict[str, Any]:
        """What was asked and spent, in tokens and US dollars; answers found in the journal are counted apart."""
        count = self._counts
        return {
            "connection": self._settings.connection,
            "model": self.model,
            "requests": count["requests"],
            "retries": count["retries"],
            "gave_up": count["gave_up"],
            "prompt_tokens": count["prompt_tokens"],
            "completion_tokens": count["completion_tokens"],
            "cost": round(self._price(count["prompt_tokens"], count["completion_tokens"]), 6),
            "from_journal": {
                "requests": count["from_journal"],
                "prompt_tokens": count["journal_prompt_tokens"],
                "completion_tokens": count["journal_completion_tokens"],
                "cost": round(self._price(count["journal_prompt_tokens"], count["journal_completion_tokens"]), 6),
            },
            "journal": self.journal.folder,
        }


# ---------------------------------------------------------------- reading responses


class _MalformedResponse(ValueError):
    """The response is not a chat completion: what a broken proxy or a dying server sends."""


def _record(key: str, request: dict[str, Any], text: str) -> Record:
    try:
        body = json.loads(text)
        content = body["choices"][0]["message"].get("content")
        usage = body.get("usage") or {}
        return Record(
            key=key, request=request, content=content if isinstance(content, str) else "",
            model=str(body.get("model", "")), prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _MalformedResponse(f"not a chat completion: {text[:80]!r}") from error


def read_answer(content: str, schema: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The JSON object of an answer, or None and what is wrong with it."""
    import jsonschema

    try:
        data = json.loads(content)
    except json.JSONDecodeError as error:
        return None, f"not JSON: {error}"
    if complaint := next(jsonschema.Draft202012Validator(schema).iter_errors(data), None):
        return None, complaint.message
    blank = next((name for name, value in data.items() if isinstance(value, str) and not value.strip()), None)
    return (None, f"{blank} is blank") if blank else (data, "")


def _is_retryable(error: Any) -> bool:
    """Time-outs, conflicts, rate limits and faults of the server pass; an empty account does not."""
    return error.code != "insufficient_quota" and (error.status_code in (408, 409, 429) or error.status_code >= 500)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
