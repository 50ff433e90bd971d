"""Preset `balanced`: n-gram coverage and similarities nominate (their cut-offs: presets.py), a few signals decide.

Coverage over one half alone is right about every second time: half of what it flags are number sequences, titles, stock
phrases and template wording. RULES is the whole decision, read from top to bottom; the first rule that speaks decides, and
its name and signals are in matches.parquet. The numbers in LIMITS were chosen on labelled pairs (benchmarks/precision.py,
docs/decontamination.md, "How balanced was chosen").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from posttrain.decontaminate.coverage import Match
from posttrain.decontaminate.signals import Signals, signals, weight_found

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex
    from posttrain.decontaminate.presets import Measure

@dataclass(frozen=True)
class Limits:
    """Every number of the rules. Weights are those of rarity.py: a rare word has nearly 1."""

    covered: float = 0.9
    """Coverage from which an item is wholly in the turn."""
    worth: float = 2.6
    """An item of less weight is a stock phrase unless it is most of the turn or a line of it."""
    line_worth: float = 1.0
    """An item of less weight is one even as a line of its own, and as a whole turn a person decides."""
    share: float = 0.3
    """Share of the turn from which the item is what the turn is about."""
    part: float = 0.4
    """Coverage from which part of an item is the item with other numbers or names."""
    wording: float = 0.6
    focus: float = 0.6
    phrase: float = 1.0
    """Covered weight below which the shared n-grams are a stock phrase."""
    exercise: float = 2.0
    """Covered weight from which a turn that says little else is the item with other numbers."""
    exercise_share: float = 0.6
    short_part: float = 0.3
    """The same where the turn has most of the item's words and hardly says anything else."""
    short_part_share: float = 0.5
    renamed: float = 0.55
    """Coverage from which an item that names somebody is the same about somebody else."""
    renamed_covered: float = 1.4
    renamed_share: float = 0.2
    renumbered: float = 0.5
    """Coverage from which an item of two numbers or more is the same with others."""
    renumbered_covered: float = 1.5
    renumbered_share: float = 0.4
    several_quantities: float = 0.6
    """Two numbers that are no sequence."""
    frame: float = 0.6
    """Coverage from which a sentence is the item's with another subject."""
    near_frame: float = 0.55
    near_frame_wording: float = 0.4
    """With so many of its other words a little less of the sentence will do."""
    frame_covered: float = 1.4
    frame_focus: float = 0.95
    near: float = 0.85
    """Wording and focus from which, with the same numbers and names, it is the same item and not a variant."""
    reworded: float = 0.7
    """Wording from which the same words in another order are the item, although no run of words is shared."""
    reworded_focus: float = 0.6
    reworded_share: float = 0.6
    reworded_shared: float = 2.2
    """Weight of these words: "find the minimum value over all real numbers" is an exercise as such, and has 1.7."""
    nearly_all: float = 0.8
    nearly_all_shared: float = 1.5
    """With so much of the wording fewer words will do; numbers and a word are none."""
    same_numbers: float = 0.5
    """`reworded` (numbers.py) from which a paraphrase keeps the item's numbers."""
    same_numbers_wording: float = 0.15
    same_numbers_shared: float = 2.0
    """Weight of the words that a paraphrase has in common with the item. Formulas share 1, 2 and 3 and a word or two."""
    surely_same_numbers: float = 0.65
    surely_same_numbers_shared: float = 1.5
    """From this `reworded` on fewer words will do."""
    quantities: float = 0.3
    """Two numbers that are no sequence."""
    dense: float = 0.85
    """Cosine of sentence vectors from which a person looks at a pair whose item has no numbers, whatever its words are."""
    dense_same_numbers: float = 0.8
    dense_other_numbers: float = 0.9
    """With all of the item's numbers in the turn, and with others. Of llm-decontaminator's rephrasings of GSM8K, all-MiniLM-L6-v2
    was seen to find 96 % at .80 beside 108 of 7,473 training rows, which have other numbers, and none of these at .90."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a pair. `score` is the share of the item that is found, by n-grams or by words: the larger."""

    decision: Literal["remove", "review", "keep"]
    rule: str
    score: float
    signals: tuple[str, ...]


# ---------------------------------------------------------------- the rules, in order


def is_whole_turn(s: Signals) -> bool:
    return s.whole_turn


def is_covered(s: Signals) -> bool:
    return s.coverage >= LIMITS.covered and s.covered_share >= LIMITS.covered


def is_wholly_there(s: Signals) -> bool:
    """All of the item is in the turn, and there is enough of it, or it is a line or most of the turn, to be no phrase."""
    line = s.own_line and s.worth >= LIMITS.line_worth
    return line or (is_covered(s) and (s.worth >= LIMITS.worth or s.share >= LIMITS.share))


def is_question_alone(s: Signals) -> bool:
    """Of passage and question the question is there, and says enough to be known again."""
    return len(s.fields) > 1 and max(score for _, score in s.fields) >= LIMITS.covered and s.covered >= LIMITS.worth


def is_variant(s: Signals) -> bool:
    """Most of the wording in one place that says little else, and this place is the turn or its begin or end."""
    part = s.coverage >= LIMITS.part and s.covered >= LIMITS.phrase and not is_covered(s)
    same_words = s.wording >= LIMITS.wording and s.focus >= LIMITS.focus and (s.share >= LIMITS.share or s.at_edge)
    return part and (same_words or (s.covered >= LIMITS.exercise and s.share >= LIMITS.exercise_share))


def is_most_of_its_words(s: Signals) -> bool:
    """A smaller part in the wording of the item, by itself: the sentences stand in another order, the numbers are others."""
    words = s.wording >= LIMITS.wording and s.focus >= LIMITS.frame_focus and s.share >= LIMITS.short_part_share
    return words and s.at_edge and s.coverage >= LIMITS.short_part and s.covered >= LIMITS.frame_covered


def is_about_others(s: Signals) -> bool:
    """The sentence around the item's names, at the begin or end of the turn, and other names in it."""
    frame = s.coverage >= LIMITS.renamed and s.covered >= LIMITS.renamed_covered
    return frame and s.names == "other" and s.at_edge and s.share >= LIMITS.renamed_share


def is_with_other_numbers(s: Signals) -> bool:
    """Half of an exercise of several numbers, which the turn is about, and other numbers in it."""
    part = s.coverage >= LIMITS.renumbered and s.covered >= LIMITS.renumbered_covered and s.share >= LIMITS.renumbered_share
    return part and s.numbers == "other" and s.quantities >= LIMITS.several_quantities


def is_frame(s: Signals) -> bool:
    """Most of the item's sentence, by itself at the begin or end of the turn: the same question about somebody else."""
    alone = s.focus >= LIMITS.frame_focus and s.share >= LIMITS.share and s.at_edge
    frame = LIMITS.frame if s.wording < LIMITS.near_frame_wording else LIMITS.near_frame
    return alone and s.coverage >= frame and s.covered >= LIMITS.frame_covered


def is_part(s: Signals) -> bool:
    """The turn says nothing but a good part of the item: a shortened copy."""
    return s.coverage >= LIMITS.part and s.covered >= LIMITS.phrase and s.share >= LIMITS.near and s.focus >= LIMITS.near


def is_reworded(s: Signals) -> bool:
    """Most of the item's words and few others, in whatever order: the item, or the same exercise with other numbers."""
    near = s.wording >= LIMITS.reworded and s.focus >= LIMITS.reworded_focus and s.share >= LIMITS.reworded_share
    return near and s.shared >= (LIMITS.reworded_shared if s.wording < LIMITS.nearly_all else LIMITS.nearly_all_shared)


def has_same_numbers(s: Signals) -> bool:
    """Similar words with the same numbers, which are no sequence: an exercise told anew, not another exercise."""
    enough = LIMITS.same_numbers_shared if s.reworded < LIMITS.surely_same_numbers else LIMITS.surely_same_numbers_shared
    told_anew = s.reworded >= LIMITS.same_numbers and s.wording >= LIMITS.same_numbers_wording and s.shared >= enough
    return told_anew and s.quantities >= LIMITS.quantities


def is_near_in_meaning(s: Signals) -> bool:
    """Near enough for what the numbers say: exercises of one kind are near in meaning, and only their numbers tell them apart."""
    if s.numbers == "none" or s.quantities < LIMITS.quantities:
        return s.dense >= LIMITS.dense
    return s.dense >= (LIMITS.dense_same_numbers if s.numbers == "same" else LIMITS.dense_other_numbers)


RULES: tuple[tuple[str, Callable[[Signals], bool]], ...] = (
    ("the whole turn is the item", is_whole_turn),
    ("the whole item is in the turn", is_wholly_there),
    ("the question without its passage", is_question_alone),
    ("the item with other numbers or names", is_variant),
    ("most of the item's words and nothing else", is_most_of_its_words),
    ("the item about somebody else", is_about_others),
    ("the item with other numbers", is_with_other_numbers),
    ("the item's sentence about something else", is_frame),
    ("a part of the item and nothing else", is_part),
    ("the item's words in another order", is_reworded),
    ("other words with the same numbers", has_same_numbers),
    ("near in meaning", is_near_in_meaning),
)


def judge(index: EvalIndex, turn: str, item: int, matches: Mapping[Measure, Match]) -> Verdict:
    """What becomes of a turn and an item, given the matches of this pair, by measure."""
    if (phrase := _phrase(index, item, matches)) is not None:
        return phrase
    s = signals(index, turn, item, matches)
    rule = None if s.context_only else next((name for name, holds in RULES if holds(s)), None)
    score = max((match.score for match in matches.values()), default=0.0)
    if rule is None:
        return Verdict("keep", f"balanced: {_why_kept(s)}", score, _words(s, matches))
    return Verdict("remove" if _is_the_item(s) else "review", f"balanced: {rule}", score, _words(s, matches))


def _phrase(index: EvalIndex, item: int, matches: Mapping[Measure, Match]) -> Verdict | None:
    """The verdict of a pair that shares too little for any rule. An instruction that a thousand items share nominates them all
    for every row that has it; their turns are not looked at again."""
    if set(matches) != {"ngram_coverage"}:
        return None
    match = matches["ngram_coverage"]
    coverage, covered, worth = weight_found(index, item, match)
    if covered >= LIMITS.phrase or coverage >= LIMITS.covered or max(match.scores) >= LIMITS.covered:
        return None
    told = (f"ngram_coverage {match.score:.2f}", f"rare words {covered:.1f} of {worth:.1f}")
    return Verdict("keep", "balanced: a stock phrase, template wording or a sequence of numbers", match.score, told)


def _is_the_item(s: Signals) -> bool:
    """Whether what is found is certain enough to remove it without a person."""
    if s.whole_turn:
        return s.worth >= LIMITS.line_worth or s.words >= 8
    agree = s.numbers != "other" and s.names != "other"
    whole = s.coverage >= LIMITS.covered and (s.share >= 0.1 or s.own_line or s.at_edge)
    near = s.wording >= LIMITS.near and s.focus >= LIMITS.near and s.coverage >= 0.5
    return agree and (whole or near)


def _why_kept(s: Signals) -> str:
    if s.context_only:
        return "the passage without its question"
    if s.covered < LIMITS.phrase or (s.coverage >= LIMITS.covered and s.worth < LIMITS.worth):
        return "a stock phrase, template wording or a sequence of numbers"
    if s.wording >= LIMITS.wording and s.focus >= LIMITS.focus:
        return "a remark in a longer text"
    return "too little of the item's wording"


def _words(s: Signals, matches: Mapping[Measure, Match]) -> tuple[str, ...]:
    """The signals as a reader of matches.parquet sees them: what spoke, with its value."""
    found = [f"{measure} {match.score:.2f}" for measure, match in sorted(matches.items())]
    found += [f"rare words {s.covered:.1f} of {s.worth:.1f}", f"wording {s.wording:.2f}", f"focus {s.focus:.2f}",
              f"share of turn {s.share:.2f}"]
    found += [name for name, holds in (("whole turn", s.whole_turn), ("own line", s.own_line and not s.whole_turn),
                                       ("edge of turn", s.at_edge and not s.whole_turn)) if holds]
    found += [f"{kind} {value}" for kind, value in (("numbers", s.numbers), ("names", s.names)) if value != "none"]
    found += [f"field {name} {score:.2f}" for name, score in s.fields if len(s.fields) > 1]
    return tuple([*found, f"template wording {s.template_share:.2f}"] if s.template_share else found)
