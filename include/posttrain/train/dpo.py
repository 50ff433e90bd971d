"""Direct preference optimisation as a process: the length-normalised loss with β = 5 (Tülu 3, tables 18 and 20).

`sigmoid_norm` divides each answer's log-probability ratio by its number of tokens before the difference is taken;
the reference is the SFT checkpoint that training starts from.
"""

from __future__ import annotations

import sys

from posttrain.storage import load_manifest
from posttrain.train.data import split_dataset
from posttrain.train.job import Job, last_complete_checkpoint, read_job
from posttrain.train.metrics import metrics_callback, shared_arguments


def main(job: Job) -> None:
    from accelerate import PartialState
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
    from trl import DPOConfig, DPOTrainer

    settings = job.recipe.dpo
    start = load_manifest(job.inputs["sft"]).file("checkpoint")
    set_seed(job.recipe.seed)
    tokenizer = AutoTokenizer.from_pretrained(start)
    model = AutoModelForCausalLM.from_pretrained(start)
    dataset = split_dataset(job.inputs["preferences"], "preference", ["chosen", "rejected"])
    arguments = DPOConfig(
        **shared_arguments(job, settings, PartialState().num_processes),
        max_length=settings.max_length,
        loss_type=["sigmoid_norm"],
        beta=settings.beta,
        max_grad_norm=1.0,
    )
    trainer = DPOTrainer(
        model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[metrics_callback(job)]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(job.steps))
    trainer.save_model(str(job.checkpoint))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(job.checkpoint)
        job.write_facts({"pairs": len(dataset), "steps": trainer.state.global_step})


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
