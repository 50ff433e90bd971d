"""The model before SFT, as a process: a tiny Llama from its configuration, or a model of the Hub by name.

The tiny model's weights are drawn from the seed; its tokenizer is trained on the mixture unless the recipe names one. Every
tokenizer gets the recipe's chat template.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from posttrain.recipe import HubModel, TinyModel, Tokenize
from posttrain.storage import load_manifest, read_rows
from posttrain.tokenize.tiny import PAD_TOKEN, train_tokenizer
from posttrain.tokenize.tokenizer import find_tokenizer, install_template, open_tokenizer
from posttrain.train.job import Job, read_job

TOKENIZER_ROWS = 50_000
"""Rows of the mixture that the tokenizer is trained on; more hardly changes a vocabulary of a few thousand."""


def mixture_texts(job: Job) -> Iterator[str]:
    for number, row in enumerate(read_rows(load_manifest(job.inputs["mix"]), "sft")):
        if number == TOKENIZER_ROWS:
            return
        yield from (message["content"] for message in row["messages"])


def make_tiny(spec: TinyModel, tokenizer: Any, seed: int) -> Any:
    """A LlamaForCausalLM with tied embeddings and weights drawn from the seed."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=spec.width, intermediate_size=spec.mlp_width, num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads, num_key_value_heads=spec.heads, max_position_embeddings=spec.max_positions,
            tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )


def named_tokenizer(settings: Tokenize) -> Any | None:
    """The tokenizer that the recipe names, with its template and a padding token; None for the model's own."""
    if settings.tokenizer.kind == "own":
        return None
    tokenizer = open_tokenizer(find_tokenizer(settings.tokenizer), settings.template).tokenizer
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    return tokenizer


def load_from_hub(spec: HubModel, settings: Tokenize) -> tuple[Any, Any]:
    """Model and tokenizer; the embeddings grow where the template or the padding brought tokens."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(spec.id, revision=spec.revision, dtype="auto", use_safetensors=True)
    tokenizer = named_tokenizer(settings)
    if tokenizer is None:
        tokenizer = AutoTokenizer.from_pretrained(spec.id, revision=spec.revision)
        install_template(tokenizer, settings.template)
        if tokenizer.pad_token is None:
            tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, tokenizer


def main(job: Job) -> None:
    spec, settings = job.recipe.model, job.recipe.tokenize
    if isinstance(spec, TinyModel):
        tokenizer = named_tokenizer(settings) or train_tokenizer(mixture_texts(job), spec.vocab_size, settings.template)
        model = make_tiny(spec, tokenizer, job.recipe.seed)
    else:
        model, tokenizer = load_from_hub(spec, settings)
    parameters = sum(p.numel() for p in model.parameters())
    job.log(f"base model: {parameters:,} parameters, vocabulary of {len(tokenizer):,}")
    model.save_pretrained(job.checkpoint)
    tokenizer.save_pretrained(job.checkpoint)
    job.write_facts({"parameters": parameters, "vocabulary": len(tokenizer)})


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
