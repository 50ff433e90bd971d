"""How a wrong recipe is told: where, and what would have been allowed."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic_core import PydanticCustomError


class RecipeError(ValueError):
    """The recipe cannot be used. The message says where and what is allowed."""


def wrong(path: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """An error of the whole recipe that names the key which is wrong."""
    return PydanticCustomError("recipe", "{message}", {"message": message, "path": path})


def allowed(wrong: str, allowed: Any) -> str:
    """The end of a complaint: the name that was perhaps meant, and all that would have been allowed."""
    names = sorted(str(a) for a in allowed if a is not None)
    close = difflib.get_close_matches(wrong, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names) if names else 'nothing here'}"
