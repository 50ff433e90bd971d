"""`teacher`, `improve` and `synthesize`: who is asked, and for what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from posttrain.section import Section


class Teacher(Section):
    """`procedural` is the built-in teacher; any other connection is an OpenAI-compatible endpoint.

    The key and the address of an endpoint come from the Airflow connection of that name or from the
    environment (OPENAI_BASE_URL, OPENAI_API_KEY), never from the recipe.
    """

    connection: str = "procedural"
    model: str = "procedural-word-problems"
    temperature: float = Field(default=0.7, ge=0, le=2)
    concurrency: int = Field(default=8, gt=0, le=256)
    max_retries: int = Field(default=6, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0)
    cost_per_million_prompt_tokens: float = Field(default=0.0, ge=0, description="US dollars")
    cost_per_million_completion_tokens: float = Field(default=0.0, ge=0, description="US dollars")
    max_cost: float | None = Field(default=None, gt=0, description="US dollars; the stage stops before it spends more")


class Improve(Section):
    """Rewriting prompts that the filter found too simple into reasoning questions; the original id stays linked."""

    max_rows: int = Field(default=200, ge=0)


class Synthesize(Section):
    """New rows from the teacher: persona-driven problems, self-play follow-ups and variations of seeds.

    In a later round `rows_per_gap` new rows are made for every skill in focus.
    """

    rows: dict[Literal["persona", "self_play", "variation"], int] = Field(default_factory=dict)
    rows_per_gap: int = Field(default=0, ge=0)
    personas: tuple[str, ...] = ()
