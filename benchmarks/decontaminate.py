"""Speed of the eval index: all training rows of recipe `real` against all its eval items, in one process.

    PYTHONPATH=include python benchmarks/decontaminate.py ../shared/data

Prints rows/s, microseconds a row, seconds to build and to load the index, and the peak memory. Rows are read and
kept in memory first, so that only the comparison is timed: normalise, look up, score, decide.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from posttrain.collect import source_files
from posttrain.decontaminate.index import index_eval_sets, load_index
from posttrain.decontaminate.matches import TrainingRow, decide, find_contamination
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import load_recipe
from posttrain.storage import ArtifactWriter

ROWS_AT_ONCE = 2_000


def all_text(value: object) -> list[tuple[int, str]]:
    """The user turns; of a row without any, every text that it holds, as one turn."""
    if isinstance(value, Broken):
        return [(0, value.text)]
    return user_turns(value) or [(0, "\n".join(_texts(value)))]


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _texts(part)]


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(root: Path) -> None:
    recipe = load_recipe("real")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        writer = ArtifactWriter(str(Path(folder) / "index"), stage="index_evals")
        index_eval_sets(recipe.evals, root, recipe.seed, recipe.decontaminate, writer)
        manifest = writer.finish()
        built = time.perf_counter() - started
        started = time.perf_counter()
        index = load_index(manifest)
        loaded = time.perf_counter() - started
        index_peak = peak_mib()
    files = sorted({path for source in recipe.sources if source.load.kind == "file" for path in source_files(source.load, root)})
    rows = [TrainingRow(f"{f.name}:{number}", f.name, all_text(value)) for f in files for number, value in read_raw_file(f)]
    characters = sum(len(text) for row in rows for _, text in row.turns)
    rows_peak = peak_mib()
    started, processor = time.perf_counter(), time.process_time()
    removed = items = 0
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        found = find_contamination(rows[begin : begin + ROWS_AT_ONCE], embedded(index), recipe.decontaminate)
        removed += sum(decide(findings) == "remove" for findings in found)
        items += sum(len(findings) for findings in found)
    wall, processor = time.perf_counter() - started, time.process_time() - processor
    print(f"evals     {manifest.rows['kept']:,} items, {len(index.flat):,} words; "
          f"index built in {built:.2f} s, loaded in {loaded:.2f} s")
    print(f"rows      {len(rows):,} of {len(files)} files, {characters / 1e6:.1f} million characters")
    print(f"compared  {wall:.2f} s ({processor:.2f} s of processor time): {len(rows) / wall:,.0f} rows/s, "
          f"{wall / len(rows) * 1e6:.1f} µs a row, {characters / wall / 1e6:.1f} million characters/s")
    print(f"found     {removed:,} rows above the rule, {items:,} matches")
    print(f"memory    at most {index_peak:,.0f} MiB with the index built and loaded, {rows_peak:,.0f} MiB with all rows in "
          f"memory, {peak_mib():,.0f} MiB after the comparison")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
