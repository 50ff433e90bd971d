"""Whom a recipe's connection stands for: a procedural teacher, or an endpoint with address and key."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager

from posttrain.recipe import Teacher as TeacherSettings
from posttrain.teacher.errors import TeacherError

log = logging.getLogger(__name__)


def running_server() -> str | None:
    """The address of a procedural teacher that is there already."""
    from posttrain.teacher.server import is_alive

    url = os.environ.get("POSTTRAIN_TEACHER_URL")
    if url and not is_alive(url):
        log.warning("no procedural teacher answers at POSTTRAIN_TEACHER_URL=%s; starting one for this stage", url)
        return None
    return url or None


def own_server() -> AbstractContextManager[str]:
    """A procedural teacher for the duration of a block, which is given its address."""
    from posttrain.teacher.server import procedural_server

    return procedural_server()


def endpoint(settings: TeacherSettings) -> tuple[str | None, str]:
    """Address and key of a paid teacher. Raises TeacherError where there is neither, or no price to cap."""
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
