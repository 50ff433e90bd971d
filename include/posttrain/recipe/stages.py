"""The stages of a run, in their order."""

from __future__ import annotations

STAGES = (
    "collect", "convert", "filter", "improve", "synthesize", "index_evals", "decontaminate", "review", "mix",
    "sft", "preferences", "dpo", "rlvr", "evaluate", "gate", "release",
)
DATA_STAGES = STAGES[: STAGES.index("mix") + 1]
TRAINED = ("sft", "dpo", "rlvr")
"""The stages that train; each goes on from the checkpoint of the one before."""
