"""`evaluate`, `gate` and `release`: what a checkpoint must reach, and as what it goes out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from posttrain.section import Section


class Evaluate(Section):
    max_new_tokens: int = Field(default=64, gt=0)
    batch_size: int = Field(default=64, gt=0)
    checkpoints: tuple[Literal["base", "sft", "dpo", "rlvr"], ...] = ("base", "sft", "dpo", "rlvr")


class Gate(Section):
    """Thresholds per skill, as data. A skill without threshold is reported, not gated.

    The loop stops at `max_rounds`, and when no gap shrank by at least `min_progress`.
    """

    thresholds: dict[str, float] = Field(default_factory=dict)
    max_rounds: int = Field(default=1, ge=1, le=20)
    min_progress: float = Field(default=0.0, ge=0)


class Release(Section):
    model_name: str = "tulu3-model"
    license: str = "other"
    push_to_hub: str | None = Field(default=None, description="ENTITY/NAME; the token comes from HF_TOKEN")
