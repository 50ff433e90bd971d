"""Every logged step of a trainer: a line of metrics.jsonl, and a line of progress with speed and time left."""

from __future__ import annotations

import json
import time
from typing import Any

from posttrain.train.job import Job

LOG_SECONDS = 5.0
SHOWN_KEYS = ("loss", "mean_token_accuracy", "rewards/margins", "reward")
CLOCK_KEYS = frozenset({"train_runtime", "train_samples_per_second", "train_steps_per_second", "step_time", "total_flos"})
"""Left out of metrics.jsonl: the same training gives the same bytes, and so the same artifact."""


def metrics_callback(job: Job) -> Any:
    """A transformers TrainerCallback. Lines of steps that a resumed run does again are dropped first."""
    from transformers import TrainerCallback

    class WriteMetrics(TrainerCallback):
        started, first_step, last_line = 0.0, 0, 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started, self.first_step = time.monotonic(), state.global_step
            if job.metrics.exists():
                lines = [json.loads(line) for line in job.metrics.read_text(encoding="utf-8").splitlines()]
                kept = [json.dumps(line) + "\n" for line in lines if line["step"] <= state.global_step and state.global_step]
                job.metrics.write_text("".join(kept), encoding="utf-8")

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            if not state.is_world_process_zero or not logs:
                return
            values = {k: v for k, v in logs.items() if isinstance(v, (int, float)) and k not in CLOCK_KEYS}
            with job.metrics.open("a", encoding="utf-8") as f:
                f.write(json.dumps({"step": state.global_step, **values}) + "\n")
            now = time.monotonic()
            if now - self.last_line < LOG_SECONDS and state.global_step < state.max_steps:
                return
            self.last_line = now
            speed = (state.global_step - self.first_step) / max(now - self.started, 1e-9)
            left = (state.max_steps - state.global_step) / speed if speed else 0.0
            shown = "  ".join(f"{k} {values[k]:.4g}" for k in SHOWN_KEYS if k in values)
            job.log(f"step {state.global_step}/{state.max_steps}  {shown}  {speed:.1f} steps/s  {left:.0f} s left")

    return WriteMetrics()


def shared_arguments(job: Job, settings: Any, world_size: int) -> dict[str, Any]:
    """The TrainingArguments that all three trainers have in common. `settings` is a recipe.Training."""
    per_device = settings.per_device_batch_size or max(1, settings.batch_size // world_size)
    accumulation = max(1, settings.batch_size // (per_device * world_size))
    if per_device * world_size * accumulation != settings.batch_size:
        raise ValueError(
            f"batch_size {settings.batch_size} is not per_device_batch_size {per_device} × {world_size} processes "
            "× a whole number"
        )
    launch = job.recipe.launch
    return {
        "output_dir": str(job.steps),
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_ratio,
        "weight_decay": settings.weight_decay,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
        "seed": job.recipe.seed,
        "data_seed": job.recipe.seed,
        "bf16": launch.mixed_precision == "bf16",
        "fp16": launch.mixed_precision == "fp16",
        "use_cpu": launch.cpu,
        **({} if launch.cpu else {"gradient_checkpointing": True}),
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": not launch.cpu,
    }
