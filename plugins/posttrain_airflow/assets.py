"""The assets, in one place: a producer and a consumer that spell a name differently never meet, and nothing says so."""

from __future__ import annotations

from airflow.sdk import Asset

TRAINING_MIXTURE = Asset("training_mixture")
"""Emitted when the content of the mixture has changed. Extra: content (hash), manifest (path), run_id, recipe, rows."""
