"""A pair's prompt against its first message."""

from __future__ import annotations

from posttrain import recipe
from posttrain.filters.view import RowView
from posttrain.schema import PreferencePair, prompt_of


def prompt_differs(row: RowView, settings: recipe.Filter) -> str | None:
    """The `prompt` of a pair is not its first user turn, white space at the ends aside."""
    if not isinstance(row.example, PreferencePair):
        return None
    prompt, first = row.example.prompt.strip(), prompt_of(row.example).strip()
    return None if prompt == first else f"prompt {prompt[:60]!r}, first turn {first[:60]!r}"
