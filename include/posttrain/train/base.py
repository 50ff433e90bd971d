"""The model before SFT, as a process: a tiny Llama from its configuration, or a model of the Hub by name.

The tiny model's weights are drawn from the seed, its byte-level tokenizer is trained on the mixture; digits are
tokens of their own, so that numbers the mixture never held can still be written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from posttrain.recipe import HubModel, TinyModel
from posttrain.storage import load_manifest, read_rows
from posttrain.train.chat_template import END_TOKEN, PAD_TOKEN, ROLE_TOKENS, TULU_CHAT_TEMPLATE
from posttrain.train.job import Job, read_job

TOKENIZER_ROWS = 50_000
"""Rows of the mixture that the tokenizer is trained on; more hardly changes a vocabulary of a few thousand."""


def mixture_texts(job: Job) -> Iterator[str]:
    for number, row in enumerate(read_rows(load_manifest(job.inputs["mix"]), "sft")):
        if number == TOKENIZER_ROWS:
            return
        yield from (message["content"] for message in row["messages"])


def train_tokenizer(texts: Iterator[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer with the chat template's tokens. Returns a PreTrainedTokenizerFast."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[PAD_TOKEN, END_TOKEN, *ROLE_TOKENS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_TOKEN, pad_token=PAD_TOKEN, padding_side="left")
    wrapped.chat_template = TULU_CHAT_TEMPLATE
    return wrapped


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


def load_from_hub(spec: HubModel) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(spec.id, revision=spec.revision)
    model = AutoModelForCausalLM.from_pretrained(spec.id, revision=spec.revision, dtype="auto", use_safetensors=True)
    if tokenizer.chat_template is None or "generation" not in tokenizer.chat_template:
        tokenizer.chat_template = TULU_CHAT_TEMPLATE
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})
        model.resize_token_embeddings(len(tokenizer))
    return model, tokenizer


def main(job: Job) -> None:
    spec = job.recipe.model
    if isinstance(spec, TinyModel):
        tokenizer = train_tokenizer(mixture_texts(job), spec.vocab_size)
        model = make_tiny(spec, tokenizer, job.recipe.seed)
    else:
        model, tokenizer = load_from_hub(spec)
    parameters = sum(p.numel() for p in model.parameters())
    job.log(f"base model: {parameters:,} parameters, vocabulary of {len(tokenizer):,}")
    model.save_pretrained(job.checkpoint)
    tokenizer.save_pretrained(job.checkpoint)
    job.write_facts({"parameters": parameters, "vocabulary": len(tokenizer)})


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
