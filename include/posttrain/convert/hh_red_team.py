"""Anthropic's red-team attempts: a whole transcript, how far the attack succeeded (0 to 4), and tags of its topics.

The card says that these rows are meant to study attacks. Here they become single labels (KTO): a transcript in which the
assistant held out is a chosen one, one in which it gave way a rejected one. They are never SFT rows.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.hh_rlhf import read_transcript
from posttrain.convert.rated_answers import number_of
from posttrain.schema import UnreadableRow, check_turns
from posttrain.section import Section


class RedTeamOptions(Section):
    """The attacker's own rating: 0 not successful, 4 very successful. Between the two bounds a transcript has no label."""

    held_out: float = Field(default=0.0, ge=0, le=4, description="highest rating of a transcript that is a good example")
    gave_way: float = Field(default=3.0, ge=0, le=4, description="lowest rating of a transcript that is a bad example")

    @model_validator(mode="after")
    def _apart(self) -> RedTeamOptions:
        if self.held_out >= self.gave_way:
            raise ValueError(f"held_out ({self.held_out:g}) must lie below gave_way ({self.gave_way:g})")
        return self


def convert_hh_red_team(row: Any, options: RedTeamOptions = RedTeamOptions()) -> list[Draft]:  # noqa: B008 (frozen)
    """{transcript, rating, tags, model_type, num_params}: one side of a pair; the tags are kept as they are."""
    fields = object_of(row)
    turns = read_transcript(text_of(fields, "transcript"), "transcript")
    check_turns(turns)
    rating = number_of(fields.get("rating"), "rating")
    if not 0 <= rating <= 4:
        raise UnreadableRow("wrong_type", "rating", f"{rating:g} instead of 0 to 4")
    if options.held_out < rating < options.gave_way:
        bounds = f"{options.held_out:g} and {options.gave_way:g}"
        raise UnreadableRow("rating_undecided", "rating", f"{rating:g} lies between {bounds}")
    good = rating <= options.held_out
    model = fields.get("model_type")
    model = model if isinstance(model, str) and model else None
    return [Draft(
        kind="preference", prompt=turns[0].content, chosen=turns if good else (), rejected=() if good else turns,
        chosen_model=model if good else None, rejected_model=None if good else model, tags=tags_of(fields), category="safety",
    )]


def tags_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The texts of `tags`; none where it is null. Raises wrong_type."""
    tags = row.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UnreadableRow("wrong_type", "tags", f"{type(tags).__name__} instead of a list of texts")
    return tuple(tags)
