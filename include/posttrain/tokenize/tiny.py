"""The tiny model's own tokenizer, trained on the mixture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from posttrain.tokenize.templates import TEMPLATES
from posttrain.tokenize.tokenizer import install_template

END_TOKEN, PAD_TOKEN = "<|end_of_text|>", "<|pad|>"
TULU_ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
"""A vocabulary of a few hundred has no room to spell the role tags out; Tülu 3's own tokenizer does."""


def train_tokenizer(texts: Iterator[str], vocab_size: int, template: str = "tulu") -> Any:
    """A byte-level BPE tokenizer with the chat template's tokens. Returns a PreTrainedTokenizerFast.

    Digits are tokens of their own, so that numbers the texts never held can still be written.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = TULU_ROLE_TOKENS if template == "tulu" else TEMPLATES[template].tokens
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[PAD_TOKEN, END_TOKEN, *special], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_TOKEN, pad_token=PAD_TOKEN, padding_side="left")
    install_template(wrapped, template)
    return wrapped
