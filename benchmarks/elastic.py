"""Speed of the Elasticsearch index, beside one phrase query for each n-gram on the same server.

    PYTHONPATH=include python benchmarks/elastic.py DATA LAUNCHER [--share 0.1] [--rows 20000]

DATA is the folder with the real data, LAUNCHER an `elasticsearch` command that knows `start WORK_DIR PORT` and `stop WORK_DIR`;
a server of its own is started and stopped. `--share` asks only that share of the n-grams one by one and multiplies the
time, `--rows` takes that many of the training rows for the comparison with all eval sets.

The other way is that of Open-Instruct's `decontamination/`: training turns are the documents, every n-gram of every eval item is
one `match_phrase` query, one after the other. Times are wall, with the processor time of client and server: the ratio of
processor times holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from posttrain.collect import source_files
from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.elastic import Cluster, ElasticSearch, Server, connect, open_elastic
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Decontaminate, EvalSet, FileLoad, load_recipe
from posttrain.storage import ArtifactWriter, Manifest

GSM8K = {"test": "eval/openai__grade-school-math/test.jsonl.gz", "train": "train/openai__grade-school-math/train.jsonl.gz"}
ROWS_AT_ONCE = 2_000
TULU3 = Decontaminate(preset="tulu3")


@dataclass
class Clock:
    """Wall time and processor time of client and server since `start`."""

    server_pid: int

    def start(self) -> Clock:
        self._begin = self._now()
        return self

    def read(self) -> Time:
        return Time(*(now - then for now, then in zip(self._now(), self._begin, strict=True)))

    def _now(self) -> tuple[float, float, float]:
        fields = Path(f"/proc/{self.server_pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), time.process_time(), (int(fields[11]) + int(fields[12])) / ticks


@dataclass
class Time:
    wall: float
    client: float
    server: float

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s   processor: client {self.client:6.2f} s, server {self.server:6.2f} s"

    def times(self, factor: float) -> Time:
        return Time(self.wall * factor, self.client * factor, self.server * factor)

    @property
    def processor(self) -> float:
        return self.client + self.server


@contextmanager
def running(launcher: Path, work: str) -> Iterator[tuple[str, int]]:
    """(URL, process id) of a server of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = subprocess.run([launcher, "start", work, str(port)], check=True, capture_output=True, text=True)
    try:
        yield started.stdout.strip(), int((Path(work) / "pid").read_text())
    finally:
        subprocess.run([launcher, "stop", work], check=True, capture_output=True)


def indexed(evals: tuple[EvalSet, ...], root: Path, seed: int, folder: str) -> tuple[Manifest, EvalIndex]:
    writer = ArtifactWriter(folder, stage="index_evals")
    index_eval_sets(evals, root, seed, TULU3, writer)
    manifest = writer.finish()
    return manifest, load_index(manifest)


def compared(there: ElasticSearch, rows: list[list[str]], floor: float) -> list[tuple[int, int]]:
    """(row, item) of all matches whose score is above `floor`."""
    found = []
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        owners = [begin + n for n, turns in enumerate(rows[begin : begin + ROWS_AT_ONCE]) for _ in turns]
        turns = [turn for own in rows[begin : begin + ROWS_AT_ONCE] for turn in own]
        found += [(owners[m.turn], m.item) for m in there.score("ngram_coverage", turns, floor) if m.score > floor]
    return found


# ---------------------------------------------------------------- one phrase query for each n-gram


def index_turns(cluster: Cluster, turns: list[str]) -> None:
    client = cluster.client
    client.indices.create(index="turns", settings={"number_of_replicas": 0},
                          mappings={"properties": {"text": {"type": "text", "analyzer": "standard"}}})
    for begin in range(0, len(turns), 1_000):
        lines = [line for n, text in enumerate(turns[begin : begin + 1_000])
                 for line in ({"index": {"_id": str(begin + n)}}, {"text": " ".join(words(text))})]
        client.bulk(index="turns", operations=lines)
    client.indices.refresh(index="turns")


def phrase_queries(cluster: Cluster, items: list[list[str]], size: int) -> tuple[int, int, set[str]]:
    """(queries, contaminated items, ids of their turns)."""
    queries, contaminated, flagged = 0, 0, set()
    for item in items:
        covered: dict[str, set[int]] = {}
        for begin in range(len(item) - size + 1):
            phrase = " ".join(item[begin : begin + size])
            hits = cluster.client.search(index="turns", query={"match_phrase": {"text": phrase}}, size=100)["hits"]["hits"]
            queries += 1
            for hit in hits:
                covered.setdefault(hit["_id"], set()).update(range(begin, begin + size))
        over = {turn for turn, places in covered.items() if len(places) / len(item) > 0.5}
        contaminated += bool(over)
        flagged |= over
    return queries, contaminated, flagged


# ---------------------------------------------------------------- both


def gsm8k(cluster: Cluster, clock: Clock, root: Path, folder: str, share: float) -> None:
    spec = EvalSet(name="gsm8k", load=FileLoad(kind="file", path=GSM8K["test"]))
    turns = [user_turns(value)[-1][1] for _, value in read_raw_file(root / GSM8K["train"])]
    manifest, index = indexed((spec,), root, 0, f"{folder}/gsm8k")
    clock.start()
    with open_elastic(cluster, index, manifest.content, "gsm8k") as there:
        print(f"GSM8K: {len(turns):,} training rows against {len(index.texts_of_item):,} items")
        print(f"  index on the server             {clock.read()}")
        clock.start()
        found = compared(there, [[turn] for turn in turns], 0.5)
        ours = clock.read()
    print(f"  all rows, grouped queries       {ours}   {len({i for _, i in found})} items, {len({r for r, _ in found})} rows")
    items = [words(text) for text in index.text.to_pylist()]
    chosen = random.Random(0).sample(items, max(1, round(share * len(items))))
    clock.start()
    index_turns(cluster, turns)
    print(f"  training turns on the server    {clock.read()}")
    clock.start()
    queries, contaminated, flagged = phrase_queries(cluster, chosen, TULU3.ngram_size)
    asked = clock.read()
    print(f"  {queries:,} phrase queries          {asked}   {contaminated} items, {len(flagged)} rows")
    whole = sum(max(0, len(item) - TULU3.ngram_size + 1) for item in items)
    theirs = asked.times(whole / queries)
    if share < 1:
        print(f"  all {whole:,}, by their share    {theirs}")
    print(f"  ratio: {theirs.wall / ours.wall:.0f} of wall time, {theirs.processor / ours.processor:.0f} of processor time")


def all_eval_sets(cluster: Cluster, clock: Clock, root: Path, folder: str, limit: int | None) -> None:
    recipe = load_recipe("real")
    manifest, index = indexed(recipe.evals, root, recipe.seed, f"{folder}/all")
    files = sorted({path for s in recipe.sources if s.load.kind == "file" for path in source_files(s.load, root)})
    rows = [[text for _, text in user_turns(value)] for file in files for _, value in read_raw_file(file)
            if not isinstance(value, Broken)]
    rows = random.Random(0).sample(rows, limit) if limit is not None and limit < len(rows) else rows
    clock.start()
    with open_elastic(cluster, index, manifest.content, recipe.name) as there:
        print(f"all eval sets: {len(rows):,} training rows against {len(index.texts_of_item):,} items")
        print(f"  index on the server             {clock.read()}")
        clock.start()
        found = compared(there, rows, 0.5)
        ours = clock.read()
    print(f"  all rows, grouped queries       {ours}   {len({r for r, _ in found}):,} rows")
    a_row = ours.processor / len(rows) * 1e6
    print(f"  {len(rows) / ours.wall:,.0f} rows/s of wall time, {a_row:.0f} µs of processor time a row")
    here = embedded(index)
    clock.start()
    turns, owners = [turn for own in rows for turn in own], [n for n, own in enumerate(rows) for _ in own]
    expected = [(owners[m.turn], m.item) for m in here.score("ngram_coverage", turns, 0.5) if m.score > 0.5]
    print(f"  embedded, one process           {clock.read()}   the same matches: {sorted(found) == sorted(expected)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("launcher", type=Path)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--rows", type=int)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(chosen.launcher, f"{folder}/server") as (url, pid), \
            connect(Server(url)) as cluster:
        clock = Clock(pid)
        gsm8k(cluster, clock, chosen.data.resolve(), folder, chosen.share)
        all_eval_sets(cluster, clock, chosen.data.resolve(), folder, chosen.rows)


if __name__ == "__main__":
    main()
