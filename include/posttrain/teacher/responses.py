"""What an endpoint sends back: a chat completion, its JSON, or an error that may pass."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

from posttrain.teacher.journal import Record


class MalformedResponse(ValueError):
    """The response is not a chat completion: what a broken proxy or a dying server sends."""


def record_of(key: str, request: dict[str, Any], text: str) -> Record:
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
        raise MalformedResponse(f"not a chat completion: {text[:80]!r}") from error


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


def is_retryable(error: Any) -> bool:
    """Time-outs, conflicts, rate limits and faults of the server pass; an empty account does not."""
    return error.code != "insufficient_quota" and (error.status_code in (408, 409, 429) or error.status_code >= 500)


def retry_after(value: str | None) -> float | None:
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
