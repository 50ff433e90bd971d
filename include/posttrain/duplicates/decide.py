"""Step 2: which rows are kept, over all shards at once, and which kept row stands for each dropped one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posttrain.duplicates.candidates import Codes, Pairs, build_index, candidate_pairs
from posttrain.duplicates.clusters import (
    DUPLICATE_CONVERSATION,
    DUPLICATE_PROMPT,
    KEPT,
    NEAR_DUPLICATE,
    SEMANTIC_DUPLICATE,
    VERDICTS,
    Decision,
    find_clusters,
)
from posttrain.duplicates.exact import Mask, Rows, first_occurrences, row_order
from posttrain.duplicates.fingerprints import Fingerprints
from posttrain.duplicates.meaning import Meanings
from posttrain.duplicates.semantic import find_semantic
from posttrain.duplicates.settings import Duplicates, NearDuplicates
from posttrain.duplicates.verify import Fetch, Jaccards, Map, verify

log = logging.getLogger(__name__)

Read = Callable[[Mask], list[Meanings]]
"""Which rows still stand → the vectors of those that are compared in meaning."""


@dataclass(frozen=True, slots=True)
class Near:
    """All verified pairs at or above the threshold, and what finding them took."""

    pairs: Pairs
    jaccard: Jaccards
    rounds: int
    verified: int
    left_out: int


def decide(
    fingerprints: Fingerprints, priorities: npt.ArrayLike, settings: Duplicates, fetch: Fetch, run: Map = map,
    read: Read = lambda _: [],
) -> Decision:
    """Exact conversations, then exact prompts, then near and then semantic duplicates, each among the rows that are left.

    `priorities`: a number for every row, the smaller the more wanted (`settings.source_ranks`); ties go by input order.
    `fetch` gives the words of rows by number, for verification only; `run` maps over blocks of pairs. `read`
    gives the sentence vectors, and is called only where semantic duplicates are asked for.
    """
    count = len(fingerprints)
    verdict = np.full(count, KEPT, dtype=np.uint8)
    kept_row = np.arange(count, dtype=np.int64)
    jaccards = np.ones(count, dtype=np.float64)
    ties = [np.empty((0, 2), dtype=np.int64)]
    facts: dict[str, int] = {}

    def drop(name: int, rows: Rows, kept: Rows, jaccard: float | Jaccards) -> None:
        verdict[rows], kept_row[rows], jaccards[rows] = name, kept, jaccard

    exact = ((settings.conversations, fingerprints.conversation, DUPLICATE_CONVERSATION, 1.0),
             (settings.prompts, fingerprints.prompt, DUPLICATE_PROMPT, np.nan))
    for wanted, digests, name, jaccard in exact:
        if wanted:
            keep, first = first_occurrences(digests, priorities, verdict == KEPT)
            dropped = np.flatnonzero((verdict == KEPT) & ~keep)
            drop(name, dropped, first[dropped], jaccard)
            ties.append(np.stack([dropped, first[dropped]], axis=1))
    if settings.near:
        near = find_near(fingerprints, priorities, verdict == KEPT, settings.near, fetch, run)
        drop(NEAR_DUPLICATE, *_fallen(near, priorities, count))
        ties.append(near.pairs)
        facts = {"rounds": near.rounds, "pairs_verified": near.verified, "pairs_above_threshold": len(near.pairs),
                 "pairs_left_out": near.left_out}

    same = np.flatnonzero(verdict == DUPLICATE_CONVERSATION)
    jaccards[same] = jaccards[kept_row[same]]
    while (kept_row[kept_row] != kept_row).any():
        kept_row = kept_row[kept_row]
    spared = cosine = None
    if settings.semantic:
        compared = read(verdict == KEPT)
        semantic = find_semantic(compared, priorities, settings.semantic)
        fallen, spared = semantic.fallen, semantic.spared
        verdict[fallen.rows], kept_row[fallen.rows] = SEMANTIC_DUPLICATE, fallen.kept
        cosine = np.full(count, np.nan)
        cosine[fallen.rows] = fallen.cosine
        through = np.flatnonzero(verdict[kept_row] == SEMANTIC_DUPLICATE)
        cosine[through] = cosine[kept_row[through]]
        kept_row[through] = kept_row[kept_row[through]]
        jaccards[fallen.rows] = jaccards[through] = np.nan
        ties.append(np.stack([fallen.rows, fallen.kept], axis=1))
        facts |= {"semantic_rows": sum(map(len, compared)), "semantic_clusters": semantic.clusters,
                  "semantic_with_other_numbers": semantic.other_numbers, "spared_for_other_numbers": len(spared.rows)}
    names = VERDICTS if settings.semantic else VERDICTS[:SEMANTIC_DUPLICATE]
    counts = {name: int((verdict == n).sum()) for n, name in enumerate(names)}
    return Decision(verdict, kept_row, jaccards, find_clusters(count, np.concatenate(ties)), counts | facts, cosine, spared)


def find_near(
    fingerprints: Fingerprints, priorities: npt.ArrayLike, among: Mask, settings: NearDuplicates, fetch: Fetch, run: Map = map,
) -> Near:
    """Rounds of proposing and verifying pairs, until no row that still stands has a candidate that was not verified.

    A row falls when it has a verified pair with a row before it that stands. A row that stood may fall in a later round; the
    rows that fell because of it then stand again, and are compared with others.
    """
    order = row_order(priorities)
    index = build_index(fingerprints.signature, fingerprints.group, order[among[order]], settings)
    count = len(index.rows)
    seen = np.empty(0, np.int64)
    pairs, jaccards = np.empty((0, 2), np.int64), np.empty(0, np.float64)
    standing, rounds = np.ones(count, dtype=bool), 0
    while True:
        # Most rows have their duplicate in the first row of a bucket: few buckets are left for the thorough rounds.
        proposed, left_out = candidate_pairs(index, standing, settings, first_only=rounds == 0)
        codes = proposed[:, 0] * count + proposed[:, 1]
        new = ~_contains(seen, codes)
        if rounds > 0 and not new.any():
            break
        rounds += 1
        verified = verify(index.rows[proposed[new]], fetch, settings.shingle_words, run)
        log.info("near duplicates, round %d: %d pairs compared, %d of them at Jaccard %g or above",
                 rounds, len(verified), int((verified >= settings.threshold).sum()), settings.threshold)
        seen = np.union1d(seen, codes[new])
        above = verified >= settings.threshold
        pairs, jaccards = np.concatenate([pairs, proposed[new][above]]), np.concatenate([jaccards, verified[above]])
        standing = _standing_rows(pairs, count)
    return Near(index.rows[pairs], jaccards, rounds, len(seen), left_out)


def _contains(ascending: Codes, codes: Codes) -> Mask:
    places = np.searchsorted(ascending, codes)
    places[places == len(ascending)] = 0
    return ascending[places] == codes if len(ascending) else np.zeros(len(codes), dtype=bool)


def _standing_rows(pairs: Pairs, count: int) -> Mask:
    """From the first rank to the last: a row stands unless a row before it that stands is its near duplicate."""
    standing = bytearray(b"\x01") * count
    for first, second in pairs[np.argsort(pairs[:, 1], kind="stable")].tolist():
        if standing[second] and standing[first]:
            standing[second] = 0
    return np.frombuffer(standing, dtype=np.uint8).astype(bool)


def _fallen(near: Near, priorities: npt.ArrayLike, count: int) -> tuple[Rows, Rows, Jaccards]:
    """The rows that fall, for each the kept row with the highest Jaccard (of equals the more wanted one), and that Jaccard."""
    order = row_order(priorities)
    ranks = np.empty(count, dtype=np.int64)
    ranks[order] = np.arange(count)
    pairs = ranks[near.pairs]
    standing = _standing_rows(pairs, count)
    use = np.flatnonzero(standing[pairs[:, 0]])
    use = use[np.lexsort((pairs[use, 0], -near.jaccard[use], pairs[use, 1]))]
    use = use[np.concatenate(([True], pairs[use[1:], 1] != pairs[use[:-1], 1]))[: len(use)]]
    return near.pairs[use, 1], near.pairs[use, 0], near.jaccard[use]
