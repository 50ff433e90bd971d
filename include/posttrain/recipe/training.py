"""`launch`, `sft`, `preferences`, `dpo` and `rlvr`: how each training starts, and its numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from posttrain.section import Section


class Launch(Section):
    """How `accelerate launch` starts a trainer. `config_file` is an accelerate configuration (FSDP, DeepSpeed, nodes)."""

    processes: int = Field(default=1, gt=0)
    cpu: bool = True
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    config_file: str | None = None


class Training(Section):
    """What all three trainers share. `batch_size` is the effective batch over all processes."""

    learning_rate: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    per_device_batch_size: int | None = Field(default=None, gt=0)
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, gt=0)
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(gt=0)
    save_steps: int = Field(default=500, gt=0)


class SFT(Training):
    """Loss on assistant tokens only; `loss_reduction: sum` as Tülu 3 (open-instruct #1728: the mean costs 15 points)."""

    loss_reduction: Literal["sum", "mean"] = "sum"


class Preferences(Section):
    """Answers of the SFT checkpoint (on-policy) and of the teacher (off-policy), judged on four aspects, binarised."""

    prompts: int = Field(default=200, ge=0, description="at most so many of the mixture's preference prompts")
    samples_per_prompt: int = Field(default=4, gt=1)
    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=64, gt=0)
    off_policy_answers: int = Field(default=1, ge=0, description="answers of the teacher beside the policy's own")


class DPO(Training):
    """Length-normalised DPO: log-probabilities divided by length (Tülu 3 `dpo_norm`, T18, T20)."""

    beta: float = Field(default=5.0, gt=0)


class RLVR(Training):
    """GRPO with verifiers as rewards; 10 if verified, else 0 (Tülu 3, section 6)."""

    reward: float = 10.0
    beta: float = Field(default=0.0, ge=0, description="KL coefficient")
    samples_per_prompt: int = Field(default=8, gt=1)
    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=64, gt=0)
