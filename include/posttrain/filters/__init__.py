"""Filter: rules over single rows in a fixed order, then exact duplicates within and across sources.

RULES is the whole list, in the order in which it is applied: keywords → empty → roles → quality. A row is dropped
by the first rule that speaks, with that rule's reason, and keeps its body.
"""

from posttrain.filters.duplicates import check_duplicate, conversation_digest
from posttrain.filters.keywords import KEYWORDS
from posttrain.filters.length import count_words
from posttrain.filters.rules import RULES, Drop, Rule, check_example
from posttrain.filters.stage import filter_examples
from posttrain.filters.tokens import SPECIAL_TOKENS

__all__ = [
    "KEYWORDS", "RULES", "SPECIAL_TOKENS", "Drop", "Rule", "check_duplicate", "check_example", "conversation_digest",
    "count_words", "filter_examples",
]
