"""On-policy answers as a process: n samples for each prompt from one checkpoint.

Answers are written batch by batch; a run that was killed goes on after the last whole batch. Each batch draws from a
seed of its own, so the result does not depend on where a run was interrupted.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from posttrain.storage import load_manifest, read_rows
from posttrain.train.job import Job, read_job
from posttrain.train.metrics import LOG_SECONDS

BATCH_PROMPTS = 32


def finished_batches(path: Path) -> int:
    """How many whole lines (one a batch) the answers file holds; a torn last line is cut off."""
    if not path.exists():
        return 0
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"".join(line + b"\n" for line in lines[:-1]))
    return len(lines) - 1


def main(job: Job) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    settings = job.recipe.preferences
    checkpoint = load_manifest(job.inputs["sft"]).file("checkpoint")
    prompts = list(read_rows(load_manifest(job.inputs["mix"]), "preference_prompts"))[: settings.prompts]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
    device = "cpu" if job.recipe.launch.cpu or not torch.cuda.is_available() else "cuda"
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype="float32" if device == "cpu" else "auto").to(device).eval()
    limit = model.config.max_position_embeddings - settings.max_new_tokens
    path = job.folder / "answers.jsonl"
    batches = [prompts[n : n + BATCH_PROMPTS] for n in range(0, len(prompts), BATCH_PROMPTS)]
    done, last_line = finished_batches(path), 0.0
    with path.open("a", encoding="utf-8") as f:
        for number, batch in enumerate(batches[done:], start=done):
            texts = [tokenizer.apply_chat_template(_turns(row), tokenize=False, add_generation_prompt=True) for row in batch]
            encoded = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=limit,
                                add_special_tokens=False).to(device)
            torch.manual_seed(job.recipe.seed * 1_000_003 + number)
            with torch.no_grad():
                output = model.generate(
                    **encoded, do_sample=True, temperature=settings.temperature, top_k=0,
                    num_return_sequences=settings.samples_per_prompt, max_new_tokens=settings.max_new_tokens,
                    pad_token_id=tokenizer.pad_token_id,
                )
            answers = tokenizer.batch_decode(output[:, encoded["input_ids"].shape[1]:], skip_special_tokens=True)
            k = settings.samples_per_prompt
            rows = [{"id": row["id"], "answers": answers[n * k : (n + 1) * k]} for n, row in enumerate(batch)]
            f.write(json.dumps(rows, ensure_ascii=False) + "\n")
            f.flush()
            if time.monotonic() - last_line > LOG_SECONDS or number == len(batches) - 1:
                last_line = time.monotonic()
                job.log(f"sampled {min((number + 1) * BATCH_PROMPTS, len(prompts))}/{len(prompts)} prompts × {k}")


def _turns(row: dict[str, Any]) -> list[dict[str, str]]:
    return [{"role": m["role"], "content": m["content"]} for m in row["messages"]]


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
