"""Answers that were cut off."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

SHORTEST = 200
"""Characters. A shorter answer was hardly cut by a limit on length; many such end without a full stop."""

_OPEN_END = re.compile(r"(?:[,:(\[{]"
                       r"|\b(?:the|a|an|and|or|but|of|to|in|on|for|with|by|from|at|as|is|are|that|which|if|because)"
                       r"|\b(?:그리고|또는|하지만|그러나|및|때문에|위해|통해"
                       r"|예를 들어|그래서|따라서|왜냐하면|또한))\Z", re.IGNORECASE)
_CLOSED = frozenset(".!?。！？…\"'”’)]}>`*|」』")
"""Last characters that `_OPEN_END` cannot match: the usual case, told apart without a search."""


def is_truncated(row: RowView, settings: recipe.Filter) -> str | None:
    """The last answer (of a pair: the chosen one) of at least 200 characters ends inside a code block, on a comma, a colon
    or an opening bracket, or on a word after which a sentence goes on ("the", "and", "그리고").
    """
    side = row.sides()[0] if row.sides() else ()
    answer = (side[-1].content or "").rstrip() if side and side[-1].role == "assistant" else ""
    if len(answer) < SHORTEST:
        return None
    if "```" in answer and answer.count("```") % 2 and answer[-1] not in "`.!?":
        return "a code block is not closed"
    if answer[-1] in _CLOSED:
        return None
    found = _OPEN_END.search(answer[-20:])
    return f"the answer ends {answer[-40:]!r}" if found else None
