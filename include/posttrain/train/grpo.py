"""Reinforcement learning with verifiable rewards as a process: GRPO, 10 points for a verified answer, else 0.

Tülu 3 trained with PPO (table 21); Tülu 3.1 replaced it by GRPO, which needs no value model. A completion that does
not end by itself within `max_new_tokens` has no final answer and scores 0.
"""

from __future__ import annotations

import sys
from typing import Any

from posttrain.storage import load_manifest
from posttrain.train.data import split_dataset
from posttrain.train.job import Job, last_complete_checkpoint, read_job
from posttrain.train.metrics import metrics_callback, shared_arguments
from posttrain.verifiers import verify


def reward_function(reward: float) -> Any:
    """A TRL reward: completions (conversational) and the rows' ground_truth and verifier → one float each."""

    def verified(completions: list[Any], ground_truth: list[str], verifier: list[str], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        scores = [verify(name, text, truth).score for name, text, truth in zip(verifier, texts, ground_truth, strict=True)]
        return [reward * score for score in scores]

    return verified


def main(job: Job) -> None:
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
    from trl import GRPOConfig, GRPOTrainer

    settings = job.recipe.rlvr
    start = load_manifest(job.inputs["dpo"]).file("checkpoint")
    set_seed(job.recipe.seed)
    tokenizer = AutoTokenizer.from_pretrained(start, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(start)
    dataset = split_dataset(job.inputs["mix"], "rlvr", ["messages", "ground_truth", "verifier"])
    dataset = dataset.rename_column("messages", "prompt")
    arguments = GRPOConfig(
        **shared_arguments(job, settings, PartialState().num_processes),
        num_generations=settings.samples_per_prompt,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        beta=settings.beta,
        max_grad_norm=1.0,
    )
    trainer = GRPOTrainer(
        model=model, reward_funcs=[reward_function(settings.reward)], args=arguments, train_dataset=dataset,
        processing_class=tokenizer, callbacks=[metrics_callback(job)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(job.steps))
    trainer.save_model(str(job.checkpoint))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(job.checkpoint)
        job.write_facts({"prompts": len(dataset), "steps": trainer.state.global_step})


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
