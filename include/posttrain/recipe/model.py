"""`model` and `tokenize`: what is trained, and how a conversation becomes tokens for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from posttrain.section import Section
from posttrain.tokenize.templates import OWN, TEMPLATES


class TinyModel(Section):
    """A Llama made from its configuration, weights drawn from the seed; tokenizer trained on the mixture."""

    kind: Literal["tiny"]
    vocab_size: int = Field(default=1024, ge=300)
    layers: int = Field(default=4, gt=0)
    width: int = Field(default=192, gt=0)
    heads: int = Field(default=6, gt=0)
    mlp_width: int = Field(default=512, gt=0)
    max_positions: int = Field(default=256, gt=0)


class HubModel(Section):
    kind: Literal["hub"]
    id: str
    revision: str = "main"


BaseModelChoice = Annotated[TinyModel | HubModel, Field(discriminator="kind")]


class OwnTokenizer(Section):
    """The model's own tokenizer; for a tiny model one that is trained on the mixture."""

    kind: Literal["own"] = "own"


class FileTokenizer(Section):
    """A folder that transformers can load a tokenizer from, or a tokenizer.json. A relative path starts at the data root."""

    kind: Literal["file"]
    path: str


class HubTokenizer(Section):
    """The tokenizer of a model of the Hugging Face Hub."""

    kind: Literal["hub"]
    id: str
    revision: str = Field(min_length=1, description="a commit (40 hex digits) or a tag; a branch moves under you")


class Tokenize(Section):
    """How a conversation becomes tokens: by which tokenizer and chat template, and what happens to rows that do not fit.

    The length that a row may have is `sft.max_length`.
    """

    tokenizer: OwnTokenizer | FileTokenizer | HubTokenizer = Field(default=OwnTokenizer(), discriminator="kind")
    template: Literal[(*TEMPLATES, OWN)] = "tulu"  # type: ignore[valid-type]
    truncation: bool = Field(default=True, description="cut a row at the length; else a longer row is dropped")
    require_label: bool = Field(default=True, description="drop a row in which no token of an answer is left")
