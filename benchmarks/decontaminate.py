"""Speed of decontamination: all training rows of recipe `real` against all its eval items, preset tulu3, two processes.

    PYTHONPATH=include python benchmarks/decontaminate.py ../shared/data [--rows 939344] [--verbatim]

Every figure stands beside the plain way, measured in the same run: a dictionary of word 8-grams in one Python process.
Rows are read and kept in memory first; what is timed is the comparison: normalise, look up, score. CPU seconds are those
of all processes together; on a machine that does other work beside, they say more than wall seconds.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import re
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from posttrain.collect import source_files
from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.coverage import score_turns
from posttrain.decontaminate.eval_sets import read_items
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.texts import eval_texts, user_turns
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Decontaminate, Recipe, load_recipe
from posttrain.storage import ArtifactWriter, Manifest, load_manifest

PROCESSES = 2
ROWS_AT_ONCE = 4_096
ABOVE = 0.5
SEED = 0
DOCUMENT = 1_000_000
DOCUMENT_ORDERS = 4
WORD = re.compile(r"[a-z0-9]+")


@dataclass
class Clock:
    """Wall and CPU seconds since it was made, this process and the children that have ended."""

    def __post_init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._now()

    @staticmethod
    def _now() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    def stop(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, self._now() - self._cpu


# ---------------------------------------------------------------- rows


def all_text(value: object) -> list[str]:
    """The user turns; of a row without any, every text that it holds, as one turn."""
    if isinstance(value, Broken):
        return [value.text]
    return [text for _, text in user_turns(value)] or ["\n".join(_texts(value))]


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _texts(part)]


def training_rows(recipe: Recipe, root: Path) -> list[list[str]]:
    files = sorted({path for source in recipe.sources if source.load.kind == "file" for path in source_files(source.load, root)})
    return [all_text(value) for file in files for _, value in read_raw_file(file)]


def perturbed(rows: list[list[str]], number: int) -> Iterator[list[str]]:
    """So many rows: the real ones again and again, each time with other words left out, doubled and changed."""
    rng = random.Random(SEED)
    for n in range(number):
        row = rows[n % len(rows)]
        yield row if n < len(rows) else [_perturbed(text, rng) for text in row]


def _perturbed(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for _ in range(1 + len(words) // 20):
        place = rng.randrange(len(words))
        words[place] = rng.choice(["", f"{words[place]} {words[place]}", words[place][::-1], str(rng.randrange(1000))])
    return " ".join(words)


def long_documents(rows: list[list[str]]) -> Iterator[list[str]]:
    """The real rows in DOCUMENT_ORDERS random orders, each order cut into 40 documents of half a megabyte and more."""
    turns = [text for row in rows for text in row]
    rng = random.Random(SEED)
    for _ in range(DOCUMENT_ORDERS):
        rng.shuffle(turns)
        yield from ([text[:DOCUMENT]] for begin in range(40) if len(text := "\n".join(turns[begin::40])) >= DOCUMENT // 2)


# ---------------------------------------------------------------- the two ways


def plain_dictionary(texts: list[str]) -> Callable[[list[str]], int]:
    """The plain way in Python: 8-gram → where it stands; the function counts eval texts above the rule for one turn."""
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    lengths = []
    for number, text in enumerate(texts):
        words = WORD.findall(text.lower())
        lengths.append(len(words))
        for place in range(len(words) - 7):
            places[tuple(words[place : place + 8])].append((number, place))

    def compare(turns: list[str]) -> int:
        found = 0
        for turn in turns:
            words = WORD.findall(turn.lower())
            covered: dict[int, set[int]] = defaultdict(set)
            for place in range(len(words) - 7):
                for number, own in places.get(tuple(words[place : place + 8]), ()):
                    covered[number].update(range(own, own + 8))
            found += sum(len(own) / lengths[number] > ABOVE for number, own in covered.items())
        return found

    return compare


_loaded: dict[str, EvalIndex] = {}


def _index(path: str) -> EvalIndex:
    if path not in _loaded:
        _loaded[path] = load_index(load_manifest(path))
    return _loaded[path]


def compare_part(task: tuple[str, list[list[str]]]) -> tuple[int, int]:
    """(matches above the rule, peak memory of this process in MiB) of some rows."""
    path, rows = task
    index, found = _index(path), 0
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        turns = [text for row in rows[begin : begin + ROWS_AT_ONCE] for text in row]
        found += sum(match.score > ABOVE for match in score_turns(index, turns, ABOVE))
    return found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def compare(manifest: Manifest, rows: list[list[str]]) -> tuple[int, int, float, float]:
    """(matches, MiB of the larger process, wall seconds, CPU seconds) of comparing all rows in PROCESSES processes.

    The processes are forked from this one, with the index and the rows in place: neither start nor transfer is timed.
    """
    _index(manifest.path)
    gc.freeze()  # a collection would write to every object that the processes share
    share = -(-len(rows) // (PROCESSES * 8))
    parts = [(begin, min(begin + share, len(rows))) for begin in range(0, len(rows), share)]
    global _rows, _path
    _rows, _path = rows, manifest.path
    clock = Clock()
    with get_context("fork").Pool(PROCESSES) as pool:
        results = pool.map(_compare_range, parts, chunksize=1)
        pool.close()
        pool.join()
    wall, cpu = clock.stop()
    return sum(found for found, _ in results), max(peak for _, peak in results), wall, cpu


_rows: list[list[str]] = []
_path = ""


def _compare_range(part: tuple[int, int]) -> tuple[int, int]:
    return compare_part((_path, _rows[part[0] : part[1]]))


# ---------------------------------------------------------------- the figures


def build(recipe: Recipe, root: Path, folder: str, settings: Decontaminate) -> Manifest:
    clock = Clock()
    writer = ArtifactWriter(f"{folder}/index", stage="index_evals")
    index_eval_sets(recipe.evals, root, recipe.seed, settings, writer)
    manifest = writer.finish()
    wall, cpu = clock.stop()
    clock = Clock()
    index = load_index(manifest)
    load_wall, load_cpu = clock.stop()
    print(f"index      {manifest.rows['kept']:,} items, {len(index.flat):,} words: built in {wall:.2f} s ({cpu:.2f} s CPU), "
          f"loaded in {load_wall:.3f} s ({load_cpu:.3f} s CPU)")
    return manifest


def line(name: str, rows: int, size: int, result: tuple[int, int, float, float]) -> None:
    found, peak, wall, cpu = result
    print(f"{name:10} {rows:>9,} rows, {size / 1e6:7.1f} MB: {wall:6.2f} s, {cpu:6.2f} s CPU: "
          f"{wall / rows * 1e6:6.1f} µs a row, {cpu / rows * 1e6:6.1f} µs CPU; {size / wall / 1e6:6.1f} MB/s; "
          f"{found:,} matches; {peak:,} MiB a process")


def size_of(rows: list[list[str]]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for row in rows for text in row)


def plain(name: str, way: Callable[[list[str]], int], rows: list[list[str]]) -> None:
    clock = Clock()
    found = sum(way(row) for row in rows)
    wall, cpu = clock.stop()
    line(name, len(rows), size_of(rows), (found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, wall, cpu))


def verbatim(manifest: Manifest) -> None:
    """Every eval item as a training row: all its texts one below the other, as they are, wrapped, in capitals, without marks."""
    ways: dict[str, Callable[[str], str]] = {
        "as it is": str, "wrapped": _wrapped, "in capitals": str.upper, "other punctuation": _other_punctuation,
    }
    index = _index(manifest.path)
    item = index.item_of_text.tolist()
    items: list[list[str]] = [[] for _ in index.item_id]
    for number, text in zip(item, index.text.to_pylist(), strict=True):
        items[number].append(text)
    for name, way in ways.items():
        turns = [way("\n".join(texts)) for texts in items]
        found = {match.turn for match in score_turns(index, turns, 1.0) if match.item == match.turn and match.score > ABOVE}
        missed = [index.item_id[k].as_py() for k in range(len(items)) if k not in found]
        print(f"verbatim   {name}: {len(found):,} of {len(items):,} items found; missed: {', '.join(missed[:5]) or 'none'}")


def _wrapped(text: str) -> str:
    words = text.split(" ")
    return "\n    ".join(" ".join(words[begin : begin + 7]) for begin in range(0, len(words), 7))


def _other_punctuation(text: str) -> str:
    return text.translate(str.maketrans({".": " !", ",": ";", "?": " ??", ":": " -", ";": ",", "!": "."}))


def main(arguments: Any) -> None:
    root = arguments.data.resolve()
    recipe = load_recipe("real")
    settings = Decontaminate(preset="tulu3")
    rows = training_rows(recipe, root)
    whole = [["\n".join(_texts(value)) for _, value in [pair]] for pair in _raw(recipe, root)]
    texts = [text for spec in recipe.evals for _, _, value in read_items(spec, root, recipe.seed)
             for text in ([] if isinstance(value, Broken) else eval_texts(value, spec.fields).values())]
    documents = list(long_documents(rows))
    print(f"machine    {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {PROCESSES} processes")
    with tempfile.TemporaryDirectory() as folder:
        manifest = build(recipe, root, folder, settings)
        line("user turns", len(rows), size_of(rows), compare(manifest, rows))
        line("all text", len(whole), size_of(whole), compare(manifest, whole))
        line("documents", len(documents), size_of(documents), compare(manifest, documents))
        if arguments.verbatim:
            verbatim(manifest)
        for share in (4, 2, 1):
            many = list(perturbed(rows, arguments.rows // share))
            line(f"1/{share}", len(many), size_of(many), compare(manifest, many))
            del many
        clock = Clock()
        way = plain_dictionary(texts)
        print(f"plain      dictionary of 8-grams, one process: built in {clock.stop()[0]:.2f} s ({clock.stop()[1]:.2f} s CPU)")
        plain("plain", way, rows)
        plain("plain, all", way, whole)
        plain("plain, doc", way, documents[:10])


def _raw(recipe: Recipe, root: Path) -> Iterator[tuple[int, Any]]:
    files = sorted({path for source in recipe.sources if source.load.kind == "file" for path in source_files(source.load, root)})
    for file in files:
        for row, value in read_raw_file(file):
            yield row, value.text if isinstance(value, Broken) else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the data root of recipe `real`")
    parser.add_argument("--rows", type=int, default=939_344, help="rows of the large run (Tülu 3's SFT mixture has 939,344)")
    parser.add_argument("--verbatim", action="store_true", help="find a copy of every eval item, too: minutes")
    main(parser.parse_args())
