"""What was decided: the verdict on every row, the clusters, and the table that records them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from posttrain.duplicates.exact import Mask, Rows
from posttrain.duplicates.semantic import Matched

KEPT, DUPLICATE_CONVERSATION, DUPLICATE_PROMPT, NEAR_DUPLICATE, SEMANTIC_DUPLICATE = range(5)
VERDICTS = ("kept", "duplicate_conversation", "duplicate_prompt", "near_duplicate", "semantic_duplicate")
"""The names of the verdicts; those of dropped rows are keys of schema.REASONS."""

CLUSTER_SCHEMA = pa.schema(
    [
        ("cluster", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
        ("kept_id", pa.string()),
        ("jaccard", pa.float64()),
    ]
)
"""A row for every member of a cluster. `reason` is null for kept rows; `kept_id` and `jaccard` as in Decision."""

SEMANTIC_SCHEMA = CLUSTER_SCHEMA.append(pa.field("cosine", pa.float64()))
"""That of the table where semantic duplicates were looked for; `cosine` as in Decision."""

SPARED_SCHEMA = pa.schema([("id", pa.string()), ("source", pa.string()), ("kept_id", pa.string()), ("cosine", pa.float64())])
"""Kept rows that are no semantic duplicates of another kept row, `kept_id`, only because they hold other numbers."""


@dataclass(frozen=True, slots=True)
class Decision:
    """For each of n rows, in input order.

    verdict: KEPT or why the row is dropped, an index of VERDICTS.
    kept_row: the kept row that stands for a dropped one; a kept row itself.
    jaccard: with that row, verified: 1 for the same conversation, at least the threshold for a near duplicate, NaN for the
    same prompt. A row with the conversation of a near duplicate has that one's Jaccard. A row with the prompt of a near
    duplicate has that one's kept row, whose prompt is then not the same letter for letter: the only chain of two steps.
    cluster: the smallest row number among all rows tied to it by equal digests or verified pairs over any number of steps;
    -1 for a row on its own. A cluster of near duplicates may keep several rows that are not near each other.
    facts: rows by verdict, and what the searches took.
    cosine: with that row, of semantic duplicates; NaN for others. A row that fell to one that is itself a semantic duplicate has
    that one's kept row and cosine, and NaN as `jaccard`. None where semantic duplicates were not looked for, like `spared`.
    spared: kept rows with other numbers; see semantic.Semantic.
    """

    verdict: npt.NDArray[np.uint8]
    kept_row: Rows
    jaccard: npt.NDArray[np.float64]
    cluster: Rows
    facts: dict[str, int]
    cosine: npt.NDArray[np.float64] | None = None
    spared: Matched | None = None

    @property
    def keep(self) -> Mask:
        return self.verdict == KEPT


def find_clusters(count: int, ties: npt.NDArray[np.int64]) -> Rows:
    """Union-find over (m, 2) ties: for each of `count` rows the smallest row it is tied to, over any steps; -1 for none.

    ties [[0, 2], [2, 3]] of 5 rows → [0, -1, 0, 0, -1].
    """
    parent = list(range(count))
    for a, b in ties.tolist():
        while parent[a] != a:
            parent[a] = a = parent[parent[a]]
        while parent[b] != b:
            parent[b] = b = parent[parent[b]]
        parent[max(a, b)] = min(a, b)
    roots = np.array(parent, dtype=np.int64)
    while (roots[roots] != roots).any():
        roots = roots[roots]
    tied = np.zeros(count, dtype=bool)
    tied[ties.reshape(-1)] = True
    return np.where(tied, roots, -1)


def cluster_table(decision: Decision, ids: pa.Array, sources: pa.Array) -> pa.Table:
    """The members of all clusters (CLUSTER_SCHEMA or SEMANTIC_SCHEMA), cluster by cluster, kept rows first.

    `ids`, `sources`: of all n rows.
    """
    members = np.flatnonzero(decision.cluster >= 0)
    members = members[np.lexsort((members, decision.verdict[members], decision.cluster[members]))]
    verdict = decision.verdict[members]
    reasons = pa.array([None, *VERDICTS[1:]], pa.string())
    jaccard = decision.jaccard[members]
    columns = [
        pa.array(decision.cluster[members]), ids.take(pa.array(members)), sources.take(pa.array(members)),
        pa.array(verdict == KEPT), reasons.take(pa.array(verdict)), ids.take(pa.array(decision.kept_row[members])),
        pa.array(jaccard, mask=np.isnan(jaccard)),
    ]
    if decision.cosine is None:
        return pa.table(columns, schema=CLUSTER_SCHEMA)
    cosine = decision.cosine[members]
    return pa.table([*columns, pa.array(cosine, mask=np.isnan(cosine))], schema=SEMANTIC_SCHEMA)


def spared_table(spared: Matched, ids: pa.Array, sources: pa.Array) -> pa.Table:
    """SPARED_SCHEMA, in the order of the rows. `ids`, `sources`: of all n rows."""
    rows = pa.array(spared.rows)
    columns = [ids.take(rows), sources.take(rows), ids.take(pa.array(spared.kept)), pa.array(spared.cosine)]
    return pa.table(columns, schema=SPARED_SCHEMA)
