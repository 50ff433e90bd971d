"""Speed of the word similarities: all training rows of recipe `real` against all its eval items, in one process.

    PYTHONPATH=include python benchmarks/similarity.py ../shared/data cosine:0.6 jaccard:0.6 reworded:0.5 count_cosine:0.6

Prints for each measure the process's CPU seconds, CPU microseconds a row, and matches; and the peak memory. Rows are read and
kept in memory first; what a process makes of the index once is timed on its own. `brute force` is the product of all turns
with all texts by scipy, without nominating terms, on a sample.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from decontaminate import all_text
from posttrain.collect import source_files
from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.similarity import WordMeasure, side_of, texts_of
from posttrain.decontaminate.word_counts import turn_counts
from posttrain.raw_files import read_raw_file
from posttrain.recipe import load_recipe
from posttrain.storage import ArtifactWriter

TURNS_AT_ONCE = 2_000
SAMPLE = 2_000


def main(root: Path, measures: list[str]) -> None:
    recipe = load_recipe("real")
    with tempfile.TemporaryDirectory() as folder:
        writer = ArtifactWriter(str(Path(folder) / "index"), stage="index_evals")
        index_eval_sets(recipe.evals, root, recipe.seed, recipe.decontaminate, writer)
        index = load_index(writer.finish())
        files = sorted({path for spec in recipe.sources if spec.load.kind == "file" for path in source_files(spec.load, root)})
        rows = [all_text(value) for file in files for _, value in read_raw_file(file)]
        turns = [text for row in rows for text in row]
        print(f"{len(rows):,} rows, {len(turns):,} turns, {len(index.offsets) - 1:,} eval texts")
        for asked in measures:
            name, _, floor = asked.partition(":")
            time_measure(index, name, float(floor), turns, len(rows))
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def time_measure(index: EvalIndex, name: str, floor: float, turns: list[str], rows: int) -> None:
    search = embedded(index)
    started = time.process_time()
    search.score(name, turns[:1], floor)
    once = time.process_time() - started
    started, matches = time.process_time(), 0
    for begin in range(0, len(turns), TURNS_AT_ONCE):
        matches += len(search.score(name, turns[begin : begin + TURNS_AT_ONCE], floor))
    spent = time.process_time() - started
    print(f"{name} ≥ {floor:g}: {spent:.1f} s CPU, {1e6 * spent / rows:.0f} µs a row, {matches:,} matches; once {once:.1f} s")
    if name in ("cosine", "count_cosine", "jaccard"):
        product = brute_force(index, name, turns[:: max(1, len(turns) // SAMPLE)])
        print(f"  brute force on a sample, the words counted before: {1e6 * product:.0f} µs a turn")


def brute_force(index: EvalIndex, name: WordMeasure, turns: list[str]) -> float:
    """CPU seconds a turn of the whole product, words counted before."""
    own, texts = side_of(index, name, turn_counts(index, turns)).matrix, texts_of(index, name).matrix.T.tocsr()
    started = time.process_time()
    for begin in range(0, len(turns), 200):
        own[begin : begin + 200] @ texts
    return (time.process_time() - started) / len(turns)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["cosine:0.6", "jaccard:0.6", "reworded:0.5", "count_cosine:0.6"])
