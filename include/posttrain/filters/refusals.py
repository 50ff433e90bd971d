"""Refusals outside the safety category."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

OPENING = 300
"""A refusal stands at the beginning of an answer, after its reasoning; so many characters of it are looked at."""

_SORRY = (r"(?:(?:i['’]?m |i am )?(?:very |really |so |truly )?sorry|(?:i |my )?(?:sincere(?:ly)? )?apolog(?:i[sz]e|ies))"
          r"[,.!]?(?: but)?,? ")
_CANNOT = r"(?: can['’]?t| cannot| can not|(?: am|['’]m) (?:unable|not able) to| won['’]?t| will not| must decline to)"
_DO = r"(?:help|assist|provide|do (?:that|this)|comply|fulfil|answer|create|write|generate|support|engage|discuss|offer|give)"
REFUSAL = re.compile(
    rf"\A\W*(?:unfortunately,? |{_SORRY}|as an? [\w ]{{1,40}}, |i['’]m afraid (?:that )?)?"
    rf"(?:i{_CANNOT} {_DO}|i (?:must|have to) (?:respectfully )?(?:decline|refuse)|i refuse to {_DO})"
    rf"|\A\W*{_SORRY}(?:this|that|it) (?:is|would be) (?:not appropriate|inappropriate|illegal|unethical)"
    r"|\A\W*(?:죄송|미안)(?:합니다[.!] ?)?[^.!\n]{0,80}(?:할 수 없|드릴 수 없|줄 수 없|못합니다|어렵습니다|수는 없)"
    r"|\A[^.!\n]{0,80}(?:도와 ?드릴|도울|들어 ?드릴|답변(?:드릴|할)|제공(?:할|해 ?드릴)|알려 ?드릴|응할) 수(?:가|는)? 없"
    r"|\A[^.!\n]{0,80}(?:도와 ?드리|답변(?:드리|하)|제공(?:하|해 ?드리)|알려 ?드리|응하)기(?:는|가)? 어렵",
    re.IGNORECASE | re.ASCII,
)
MARKS = ("i can", "i am unable", "'m unable", "’m unable", "'m not able", "’m not able", "i am not able", "i won", "i will not",
         "i must decline", "i must refuse", "i must respectfully", "i have to decline", "i have to refuse",
         "i have to respectfully", "i refuse to", "sorry",
         "죄송", "미안", "수 없", "수가 없", "수는 없", "기 어렵", "기는 어렵", "기가 어렵")


def refuses(row: RowView, settings: recipe.Filter) -> str | None:
    """The last answer (of a pair: the chosen one) begins with a refusal, and the row is not of the safety category."""
    if row.example.category == "safety":
        return None
    side = row.sides()[0] if row.sides() else ()
    if not side or side[-1].role != "assistant":
        return None
    answer = (side[-1].content or "").rpartition("</think>")[2].lstrip()
    found = REFUSAL.search(answer[:OPENING])
    return f"the answer begins {found[0].strip()!r}" if found else None
