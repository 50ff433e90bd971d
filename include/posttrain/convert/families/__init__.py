"""The table of source families: one line a family, in the file of its subject.

A licence is what the publisher's card or repository says; "none stated" where neither says anything. It covers the collection:
texts by other models or from other sites may have terms of their own.

    layouts.py         forms of rows that many publishers use     safety.py       what a model should not simply do
    tulu3.py           what Tülu 3 made itself, its mixtures      korean.py       Korean sets
    conversations.py   conversations, instructions                preference.py   pairs, labelled answers
    tasks.py           tasks, questions on passages and tables    rlvr.py         answers that a program can verify
    reasoning.py       maths, code, reasoning
"""

from __future__ import annotations

from posttrain.convert.families.conversations import CONVERSATIONS
from posttrain.convert.families.korean import KOREAN
from posttrain.convert.families.layouts import LAYOUTS
from posttrain.convert.families.preference import PREFERENCES
from posttrain.convert.families.reasoning import REASONING
from posttrain.convert.families.rlvr import RLVR
from posttrain.convert.families.safety import SAFETY
from posttrain.convert.families.tasks import TASKS
from posttrain.convert.families.tulu3 import TULU3, TULU3_MIXTURES
from posttrain.convert.family import Family

SFT_FAMILIES: dict[str, Family] = LAYOUTS | TULU3 | CONVERSATIONS | TASKS | REASONING | SAFETY | KOREAN
"""The families whose rows are conversations to imitate."""

FAMILIES: dict[str, Family] = SFT_FAMILIES | PREFERENCES | RLVR | TULU3_MIXTURES
"""Source family → how its rows are read, and where they come from. In the order of docs/sources.md."""
