"""The assets, in one place: a producer and a consumer that spell a name differently never meet, and nothing says so."""

from __future__ import annotations

from airflow.sdk import Asset

TRAINING_MIXTURE = Asset("training_mixture")
"""Emitted when the content of the mixture has changed. Extra: content (hash), manifest (path), run_id, recipe, rows."""

EVAL_SETS = Asset("eval_sets")
"""Emitted when an eval set of a recipe was added or changed: by `watch_eval_sets`, of which `airflow assets materialize --name
eval_sets` starts a run, or by hand ("Create asset event"). Extra: recipe (name), evals (name → content hash); an event without a
recipe is about that of the mixture published last."""
