"""Refusals outside the safety category."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView

OPENING = 300
"""A refusal stands at the beginning of an answer, after its reasoning; so many characters of it are looked at."""

_SORRY = (r"(?:(?:i['’]?m |i am )?(?:very |really |so |truly )?sorry|(?:i |my )?(?:sincere(?:ly)? )?apolog(?:i[sz]e|ies))"
          r"[,.!]?(?: but)?,? ")
_CANNOT = (r"(?: can['’]?t| cannot| can not|(?: am|['’]m) (?:unable|not able) to| won['’]?t be able to| won['’]?t| will not"
           r"| must decline to)")
_DO = r"(?:help|assist|provide|do (?:that|this)|comply|fulfil|answer|create|write|generate|support|engage|discuss|offer|give)"
_NO_WAY = r"수(?:가|는|도)? 없"
_HELP = (r"(?:도와 ?드릴|도와 ?줄|도울|들어 ?드릴|답변(?:해 ?드릴|드릴|할)|답해 ?드릴|제공(?:할|해 ?드릴)|알려 ?드릴|응할"
         r"|작성해 ?드릴|수행해 ?드릴|말씀(?:해 ?)?드릴)")
_OWN = r"(?:저는|제가|요청|질문|그런 내용|해당 내용)[^.!\n]{0,60}(?:수행할|작성할|생성할|처리할|이행할|답할|답변할|말할|따를)"
REFUSAL = re.compile(
    rf"\A\W*(?:unfortunately,? |{_SORRY}|as an? [\w ]{{1,40}}, |i['’]m afraid (?:that )?)?"
    rf"(?:i{_CANNOT} {_DO}|i (?:must|have to) (?:respectfully )?(?:decline|refuse)|i refuse to {_DO}"
    rf"|i(?: do not| don['’]?t) feel comfortable|i(?: am|['’]m) not comfortable"
    rf"|i(?:['’]d| would) rather not {_DO}(?: (?:that|this|it|you|with|your)|[.!]))"
    rf"|\A\W*{_SORRY}(?:this|that|it) (?:is|would be) (?:not appropriate|inappropriate|illegal|unethical)"
    rf"|\A\W*(?:죄송|미안)(?:[^.!\n]{{0,40}}[.!] ?)?[^.!\n]{{0,80}}(?:(?:할|드릴|줄) {_NO_WAY}|못합니다|어렵습니다|수는 없)"
    rf"|\A[^.!\n]{{0,80}}{_HELP} {_NO_WAY}|\A[^.!\n]{{0,40}}{_OWN} {_NO_WAY}(?:습니다|어요|네요)[.!\s]"
    r"|\A[^.!\n]{0,80}(?:도와|답변해|제공해|알려) ?드리지 (?:않|못)"
    r"|\A[^.!\n]{0,80}(?:도와 ?드리|답변(?:드리|하)|제공(?:하|해 ?드리)|알려 ?드리|응하)기(?:는|가)? 어렵",
    re.IGNORECASE | re.ASCII,
)
MARKS = ("i can", "i am unable", "'m unable", "’m unable", "'m not able", "’m not able", "i am not able", "i won", "i will not",
         "i must decline", "i must refuse", "i must respectfully", "i have to decline", "i have to refuse",
         "i have to respectfully", "i refuse to", "sorry", "feel comfortable", "not comfortable", "rather not",
         "드리지 않", "드리지 못",
         "죄송", "미안", "수 없", "수가 없", "수는 없", "수도 없", "기 어렵", "기는 어렵", "기가 어렵")


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
