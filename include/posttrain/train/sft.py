"""Supervised fine-tuning as a process: loss on assistant tokens only, summed over the batch (Tülu 3, section 4.3).

The rows come tokenised, cut and labelled from the stage before; a damaged file of theirs is refused.
"""

from __future__ import annotations

import sys
from typing import Any

from posttrain.storage import load_manifest
from posttrain.tokenize.rows import SPLIT, check_files
from posttrain.train.data import split_dataset
from posttrain.train.job import Job, last_complete_checkpoint, read_job
from posttrain.train.metrics import metrics_callback, shared_arguments


def sum_loss_trainer() -> Any:
    """An SFTTrainer whose loss is the plain sum over the batch's assistant tokens.

    TRL divides the summed token losses by `num_items_in_batch`; dividing by 1 leaves the sum. With the mean, short
    answers weigh more than long ones wherever batches differ in length (open-instruct #1728: −15 points on GSM8K).
    """
    import torch
    from trl import SFTTrainer

    class SumLossSFTTrainer(SFTTrainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch=torch.tensor(1))

    return SumLossSFTTrainer


def main(job: Job) -> None:
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
    from trl import SFTConfig, SFTTrainer

    settings = job.recipe.sft
    base = load_manifest(job.inputs["base"]).file("checkpoint")
    set_seed(job.recipe.seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    check_files(load_manifest(job.inputs["tokenize"]))
    dataset = split_dataset(job.inputs["tokenize"], SPLIT, ["input_ids", "labels"])
    arguments = SFTConfig(
        **shared_arguments(job, settings, PartialState().num_processes),
        max_length=settings.max_length,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=False,
        max_grad_norm=1.0,
    )
    trainer_class = sum_loss_trainer() if settings.loss_reduction == "sum" else SFTTrainer
    trainer = trainer_class(
        model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[metrics_callback(job)]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(job.steps))
    trainer.save_model(str(job.checkpoint))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(job.checkpoint)
        job.write_facts({"rows": len(dataset), "steps": trainer.state.global_step})


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
