"""A question and its verified worked answer as training examples: an SFT row and its RLVR twin."""

from __future__ import annotations

import re
from typing import Any

from posttrain.schema import Message, RLVRExample, SFTExample, prompt_of
from posttrain.storage import ArtifactWriter, Manifest, read_examples


def keep_twins(out: ArtifactWriter, provenance: dict[str, Any], question: str, answer: str, ground_truth: str) -> None:
    """Count one kept row and write both of its examples. `provenance` holds the fields of `schema.Provenance`.

    As with converted rows, the RLVR twin has the row's id with `-rlvr` behind it.
    """
    out.kept(provenance["source"])
    ask = Message("user", question)
    sft = SFTExample(**provenance, messages=(ask, Message("assistant", answer)))
    twin = provenance | {"id": f"{provenance['id']}-rlvr"}
    rlvr = RLVRExample(**twin, messages=(ask,), ground_truth=ground_truth, verifier="gsm8k")
    out.add("sft", sft)
    out.add("rlvr", rlvr)


def normalised(prompt: str) -> str:
    """What two prompts have in common when one is a copy of the other: the words and numbers, without case and marks."""
    return " ".join(re.findall(r"\w+", prompt.casefold()))


def kept_prompts(manifest: Manifest) -> set[str]:
    """The normalised prompts of an artifact's examples."""
    return {normalised(prompt_of(example)) for example in read_examples(manifest)}
