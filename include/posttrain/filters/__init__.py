"""Filter: rules over single rows in a fixed order, then exact duplicates within and across sources.

RULES is the whole list, in the order in which it is applied: keywords → empty → turns → quality. A row is dropped by the
first rule that drops and speaks, with that rule's reason, and keeps its body. A rule may also only report: the row is kept
and counted, and a few such rows are shown.
"""

from posttrain.duplicates.texts import conversation_digest
from posttrain.filters.counts import RuleCounts
from posttrain.filters.keywords import KEYWORDS
from posttrain.filters.length import count_words
from posttrain.filters.rules import RULES, Drop, FilterRule, Rule, Verdict, check_example, judge_example, prepare_rules
from posttrain.filters.stage import filter_examples, stage_settings
from posttrain.filters.tokens import SPECIAL_TOKENS
from posttrain.filters.view import RowView

__all__ = [
    "KEYWORDS", "RULES", "SPECIAL_TOKENS", "Drop", "FilterRule", "RowView", "Rule", "RuleCounts", "Verdict", "check_example",
    "conversation_digest", "count_words", "filter_examples", "judge_example", "prepare_rules", "stage_settings",
]
