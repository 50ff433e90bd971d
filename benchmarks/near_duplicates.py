"""Near duplicates against brute force on real rows, then speed and memory on a pool of the recipe's size.

    . ./env.sh && python benchmarks/near_duplicates.py recall ../shared/data [--rows 20000]
    . ./env.sh && python benchmarks/near_duplicates.py sources ../shared/data
    . ./env.sh && python benchmarks/near_duplicates.py families [--rows 4000]
    . ./env.sh && python benchmarks/near_duplicates.py scale ../shared/data [--rows 939344] [--processes 2]

`recall`: real training rows (recipe `real`, through its converters) and a perturbed copy of each. Brute force counts, for
every row, the shingles that it shares with every other row: exact, with no hash and no estimate.
`sources`: what would be dropped of each source of that recipe.
`families`: what the bound on large buckets costs, on made-up rows that all share a template and are all nearly duplicates.
`scale`: rows drawn from the real ones, 1,500 characters on average, three in four with a third of their words replaced, the
others with one word in fifty; at a quarter, half and all of the size, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.collect import collect
from posttrain.convert import convert_source
from posttrain.duplicates.candidates import build_index
from posttrain.duplicates.clusters import NEAR_DUPLICATE, VERDICTS
from posttrain.duplicates.decide import decide
from posttrain.duplicates.exact import row_order
from posttrain.duplicates.fingerprints import Fingerprints, fingerprint, joined
from posttrain.duplicates.settings import Duplicates, NearDuplicates
from posttrain.duplicates.store import WordStore, write_words
from posttrain.duplicates.texts import ComparedTexts, compared_texts
from posttrain.recipe import load_recipe
from posttrain.schema import Example, Message, SFTExample
from posttrain.storage import ArtifactWriter, read_examples

SETTINGS = Duplicates(near=NearDuplicates())
BYTES_A_ROW = 1_500
ROWS_A_SHARD = 50_000
ROWS_AT_ONCE = 2_000
FAR, CLOSE = 0.35, 0.02
"""Share of the words that a row of the pool has replaced: too many for a near duplicate, or few."""
CLOSE_SHARE = 0.25
MOST_REPLACED = 0.15
"""The copies for `recall` have up to so many of their words replaced, which puts them on both sides of the threshold."""


def real_examples(root: Path) -> list[Example]:
    """Every row of the training files of recipe `real` that converts."""
    recipe, found = load_recipe("real"), []
    with tempfile.TemporaryDirectory() as folder:
        for spec in recipe.sources:
            collected = ArtifactWriter(f"{folder}/collect/{spec.name}", stage="collect")
            collect(spec, root, recipe.seed, collected)
            converted = ArtifactWriter(f"{folder}/convert/{spec.name}", stage="convert")
            convert_source(collected.finish(), spec, converted)
            found += read_examples(converted.finish())
    return found


def peak_mib() -> float:
    """The largest resident set of this process so far. `ru_maxrss` would count that of the process it was forked from."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def replace_words(words: list[str], share: float, dice: random.Random) -> list[str]:
    """Every word stays with probability 1 − share, else it becomes a word that no other row has."""
    return [f"w{dice.getrandbits(28):x}" if dice.random() < share else word for word in words]


# ---------------------------------------------------------------- recall


def brute_force(texts: list[str], groups: list[bytes], size: int, threshold: float) -> Iterator[tuple[int, int, float]]:
    """Every pair of rows of one group at or above the threshold: (first, second, Jaccard)."""
    numbers: dict[tuple[str, ...], int] = {}
    rows = []
    for text in texts:
        words = text.split()
        shingles = {tuple(words[n : n + size]) for n in range(max(len(words) - size + 1, 1))} if words else set()
        rows.append(np.array([numbers.setdefault(shingle, len(numbers)) for shingle in shingles], dtype=np.int64))
    sizes = np.array([len(row) for row in rows])
    flat = np.concatenate(rows)
    holders = np.repeat(np.arange(len(rows)), sizes)[np.argsort(flat, kind="stable")]
    starts = np.concatenate(([0], np.cumsum(np.bincount(flat, minlength=len(numbers)))))
    group = np.array([int.from_bytes(g) for g in groups], dtype=np.uint64)
    for n, row in enumerate(rows):
        if len(row):
            shared = np.bincount(np.concatenate([holders[starts[s] : starts[s + 1]] for s in row]), minlength=len(rows))
            jaccard = shared / (sizes + len(row) - shared)
            for other in np.flatnonzero((jaccard >= threshold) & (group == group[n])):
                if other > n:
                    yield n, int(other), float(jaccard[other])


def recall(root: Path, wanted: int) -> None:
    examples = real_examples(root)
    step = len(examples) / wanted
    rows = [compared_texts(examples[int(n * step)], SETTINGS) for n in range(min(wanted, len(examples)))]
    dice = random.Random(0)
    for row in rows[:]:
        words = " ".join(replace_words(row.words.split(), dice.random() * MOST_REPLACED, dice))
        rows.append(replace(row, conversation=dice.randbytes(16), words=words))
    words = [row.words for row in rows]
    near = SETTINGS.near or NearDuplicates()
    bands, width = near.banding()
    print(f"{len(rows):,} rows, half of them of real files ({len(examples):,} converted), half perturbed copies; "
          f"{np.mean([len(w.encode()) for w in words]):,.0f} bytes a row")
    print(f"threshold {near.threshold}, runs of {near.shingle_words} words, {near.permutations} permutations, "
          f"{bands} bands of {width}")

    begun = time.perf_counter()
    prints = fingerprint(rows, SETTINGS)
    signed = time.perf_counter() - begun
    decision = decide(prints, np.zeros(len(rows)), SETTINGS, lambda numbers: [words[n] for n in numbers])
    ours = time.perf_counter() - begun
    peak = peak_mib()
    begun = time.perf_counter()
    truth = list(brute_force(words, [row.group for row in rows], near.shingle_words, near.threshold))
    brute = time.perf_counter() - begun
    brute_peak = peak_mib()
    print(f"MinHash LSH  {ours:7.1f} s ({signed:.1f} s signatures), {len(rows) / ours:9,.0f} rows/s, peak {peak:,.0f} MiB with "
          "all rows in memory")
    print(f"brute force  {brute:7.1f} s, {len(rows) / brute:9,.0f} rows/s, peak {brute_peak:,.0f} MiB")
    print(f"facts        {decision.facts}")

    exact = {(a, b): j for a, b, j in truth}
    index = build_index(prints.signature, prints.group, row_order(np.zeros(len(rows))), near)
    together = np.zeros(len(truth), dtype=bool)
    keys = np.array([a * len(rows) + b for a, b in exact], dtype=np.int64)
    for band in index.bands:
        bucket = np.full(len(rows), -1)
        bucket[index.rows[band.ranks]] = np.repeat(np.arange(len(band.starts) - 1), np.diff(band.starts))
        first, second = bucket[keys // len(rows)], bucket[keys % len(rows)]
        together |= (first == second) & (first >= 0)
    both_kept = np.array([decision.keep[a] and decision.keep[b] for a, b in exact])
    values = np.array(list(exact.values()))
    print("| Jaccard | pairs | in one bucket | settled: not both kept |")
    print("|---|---|---|---|")
    for low, high in ((0.8, 0.85), (0.85, 0.9), (0.9, 0.95), (0.95, 1.01), (0.8, 1.01)):
        here = (values >= low) & (values < high)
        print(f"| {low:.2f}–{min(high, 1):.2f} | {here.sum():,} | {together[here].mean():.4f} | "
              f"{1 - both_kept[here].mean():.4f} |")
    fallen = np.flatnonzero(decision.verdict == NEAR_DUPLICATE)
    wrong = [n for n in fallen if exact.get(tuple(sorted((int(n), int(decision.kept_row[n])))), 0.0) < near.threshold]
    not_kept = int((~decision.keep[decision.kept_row[fallen]]).sum())
    print(f"dropped      {len(fallen):,} near duplicates; by brute force {len(wrong)} of them are below the threshold with the "
          f"row that stands for them (precision {1 - len(wrong) / max(len(fallen), 1):.4f}), {not_kept} of which are not kept")


# ---------------------------------------------------------------- sources


def sources(root: Path) -> None:
    """Rows that fall in each source of recipe `real`: same conversation, same prompt, and near at three thresholds."""
    examples = real_examples(root)
    order = {name: rank for rank, name in enumerate(dict.fromkeys(example.source for example in examples))}
    columns = {"same conversation": ("duplicate_conversation", Duplicates()),
               "same prompt": ("duplicate_prompt", Duplicates(prompts=True))}
    columns |= {f"near {t}": ("near_duplicate", Duplicates(near=NearDuplicates(threshold=t))) for t in (0.8, 0.9, 0.95)}
    fallen = {}
    for name, (verdict, settings) in columns.items():
        compared = [compared_texts(example, settings) for example in examples]
        words = [row.words for row in compared]
        decision = decide(fingerprint(compared, settings), [order[e.source] for e in examples], settings,
                          lambda numbers, words=words: [words[n] for n in numbers])
        chosen = decision.verdict == VERDICTS.index(verdict)
        fallen[name] = Counter(example.source for example, falls in zip(examples, chosen, strict=True) if falls)
    rows = Counter(example.source for example in examples)
    print(f"| source | rows | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
    for source in [*order, "all"]:
        counts = [found.total() if source == "all" else found[source] for found in fallen.values()]
        if any(counts):
            read = rows.total() if source == "all" else rows[source]
            print(f"| {source} | {' | '.join(f'{n:,}' for n in (read, *counts))} |")


# ---------------------------------------------------------------- families


def families(wanted: int) -> None:
    """Rows of one template of 200 words, each with words of its own; every fourth has a copy with some of these replaced."""
    near = NearDuplicates()
    print(f"| rows | Jaccard of any two | pairs at {near.threshold} or above | settled | of those below .85 | pairs verified | "
          "processor time, s |")
    print("|---|---|---|---|---|---|---|")
    for own in (80, 60, 50, 40, 30):
        dice = random.Random(own)
        rows = [[f"t{n}" for n in range(200)] + [f"{row}x{n}" for n in range(own)] for row in range(wanted)]
        truth = {}
        for row in range(0, wanted, 4):
            replaced = dice.randint(1, own)
            truth[row, len(rows)] = (198 + own - replaced) / (198 + own + replaced)
            rows.append(rows[row][:-replaced] + [f"{row}y{n}" for n in range(replaced)])
        words = [" ".join(row) for row in rows]
        compared = [ComparedTexts(n.to_bytes(16), None, text, bytes(8)) for n, text in enumerate(words, 1)]
        begun = time.process_time()
        prints = fingerprint(compared, SETTINGS)
        decision = decide(prints, np.zeros(len(rows)), SETTINGS, lambda numbers, words=words: [words[n] for n in numbers])
        took = time.process_time() - begun
        settled = [(j, not (decision.keep[a] and decision.keep[b])) for (a, b), j in truth.items() if j >= near.threshold]
        low = [done for j, done in settled if j < 0.85]
        every = [done for _, done in settled]
        print(f"| {len(rows):,} | {198 / (198 + 2 * own):.2f} | {len(settled):,} | {np.mean(every):.4f} | {np.mean(low):.4f} | "
              f"{decision.facts['pairs_verified']:,} | {took:.0f} |", flush=True)


# ---------------------------------------------------------------- scale


def write_pool(arguments: tuple[str, int, int, str]) -> None:
    """One shard of the pool: prompt and answer of each row."""
    base, first, count, path = arguments
    table = pq.read_table(base).to_pydict()
    prompts, answers = table["prompt"], table["answer"]
    lengths = np.array([len(p) + len(a) for p, a in zip(prompts, answers, strict=True)], dtype=float)
    rng, dice = np.random.default_rng(first), random.Random(first)
    drawn = rng.choice(len(prompts), size=count, p=_weights(lengths))
    rows = []
    for n in drawn:
        share = CLOSE if dice.random() < CLOSE_SHARE else FAR
        rows.append({"prompt": " ".join(replace_words(prompts[n].split(" "), share, dice)),
                     "answer": " ".join(replace_words(answers[n].split(" "), share, dice))})
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")


def _weights(lengths: np.ndarray) -> np.ndarray:
    """Probabilities that favour long rows just so much that the mean is BYTES_A_ROW."""
    low, high = 0.0, 3.0
    for _ in range(40):
        power = (low + high) / 2
        weights = np.maximum(lengths, 1) ** power
        weights /= weights.sum()
        low, high = (power, high) if (weights * lengths).sum() < BYTES_A_ROW else (low, power)
    return weights


def fingerprint_shard(arguments: tuple[str, str]) -> tuple[Fingerprints, float]:
    """Step 1 of one shard, ROWS_AT_ONCE rows at a time; the fingerprints and the peak memory in MiB."""
    path, words_path = arguments
    parts = []

    def words() -> Iterator[str]:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=ROWS_AT_ONCE):
            compared = [compared_texts(pool_example(row), SETTINGS) for row in batch.to_pylist()]
            parts.append(fingerprint(compared, SETTINGS))
            yield from (row.words for row in compared)

    write_words(words_path, words())
    return joined(parts), peak_mib()


def pool_example(row: dict[str, str]) -> SFTExample:
    messages = (Message("user", row["prompt"]), Message("assistant", row["answer"]))
    return SFTExample(id="", source="pool", category="general", skill="general", language="en", license="none", messages=messages)


def measure(folder: str, shards: int, processes: int) -> None:
    """Steps 1 and 2 over the first shards of the pool; prints one JSON object."""
    names = [f"{folder}/pool-{n:03d}.parquet" for n in range(shards)]
    stores = [f"{folder}/words-{n:03d}" for n in range(shards)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        begun = time.perf_counter()
        parts, peaks = zip(*pool.map(fingerprint_shard, zip(names, stores, strict=True)), strict=True)
        prints = joined(parts)
        del parts
        fingerprinted = time.perf_counter()
        decision = decide(prints, np.zeros(len(prints)), SETTINGS, WordStore.of(stores), pool.map)
        decided = time.perf_counter()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({
        "rows": len(prints), "bytes": sum(os.path.getsize(name) for name in stores),
        "fingerprint": fingerprinted - begun, "decide": decided - fingerprinted,
        "processor": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "parent_mib": peak_mib(), "worker_mib": max(peaks), "facts": decision.facts,
    }))


def scale(root: Path, wanted: int, processes: int) -> None:
    with tempfile.TemporaryDirectory(prefix="near-duplicates-") as folder:
        base = f"{folder}/base.parquet"
        turns = [[m.content for m in e.messages] for e in real_examples(root) if isinstance(e, SFTExample)]
        pairs = [{"prompt": t[0], "answer": t[-1]} for t in turns if len(t) > 1]
        pq.write_table(pa.Table.from_pylist(pairs), base)
        jobs = [(base, begin, min(ROWS_A_SHARD, wanted - begin), f"{folder}/pool-{n:03d}.parquet")
                for n, begin in enumerate(range(0, wanted, ROWS_A_SHARD))]
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(write_pool, jobs))
        print("| rows | MB of words | step 1, s | step 2, s | rows/s | processor time, s | parent, MiB | a worker, MiB | "
              "near duplicates | pairs verified | rounds |")
        print("|---|---|---|---|---|---|---|---|---|---|---|")
        for part in (4, 2, 1):
            shards = str(-(-len(jobs) // part))
            command = [sys.executable, __file__, "measure", folder, "--rows", shards, "--processes", str(processes)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            facts, seconds = found["facts"], found["fingerprint"] + found["decide"]
            print(f"| {found['rows']:,} | {found['bytes'] / 1e6:,.0f} | {found['fingerprint']:.1f} | {found['decide']:.1f} | "
                  f"{found['rows'] / seconds:,.0f} | {found['processor']:.0f} | {found['parent_mib']:,.0f} | "
                  f"{found['worker_mib']:,.0f} | {facts['near_duplicate']:,} | {facts['pairs_verified']:,} | {facts['rounds']} |",
                  flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["recall", "sources", "families", "scale", "measure"])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    if given.what == "recall":
        recall(given.folder.resolve(), given.rows or 20_000)
    elif given.what == "sources":
        sources(given.folder.resolve())
    elif given.what == "families":
        families(given.rows or 4_000)
    elif given.what == "scale":
        scale(given.folder.resolve(), given.rows or 939_344, given.processes)
    else:
        measure(str(given.folder), given.rows, given.processes)


if __name__ == "__main__":
    main()
