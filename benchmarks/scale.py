"""The data half at the size of the published mixture: 939,344 rows through convert, filter, duplicates, decontaminate and mix.

    . ./env.sh && python benchmarks/scale.py --data-root FOLDER [--share 0.25 0.5 1.0] [--workspace FOLDER] [--airflow] [--peer]

The pool has the 19 SFT sources of recipe `tulu3-8b` with the published counts: the real rows of the data root, joined
until a row has about 1,500 characters, repeated, and each copy with every twelfth word replaced; 3 in 100 are exact copies
and 3 in 100 differ in one word. Every eval set of recipe `real` is indexed. Each stage is a process of its own; its peak is
the sum over it and its workers, looked at every tenth of a second.

Then again with nothing changed, and with one changed row in one of the sources: which sources and how many shards are redone.

`--airflow`: at the largest share, the same recipe through `airflow standalone` (LocalExecutor, two tasks at a time, two worker
processes a stage) in a workspace of its own; its mixture is to be the one above, byte for byte.

`--peer`: at the largest share, in the same run, the same converters and the two filters of open-instruct (keywords and empty
messages) through `datasets.map` and `filter` with 2 processes and `to_parquet`, beside our convert and a filter stage with these
two rules.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from posttrain.recipe import RECIPE_FOLDER, load_recipe
from posttrain.run import load_run
from posttrain.shards import redone_text
from posttrain.storage import read_examples

STAGES = ("collect", "convert", "filter", "improve", "synthesize", "index_evals", "decontaminate", "review", "mix")
TIMED = ("convert", "filter", "index_evals", "decontaminate", "mix")
"""The stages of the limit. Improve and synthesize have nothing to do here; review has a band of no rows."""
OVER_SHARDS = ("filter", "decontaminate")
CHARACTERS = 1500
LAYOUTS = ("messages", "alpaca", "prompt_completion", "sharegpt")
ROWS_A_FILE = 50_000


# ---------------------------------------------------------------- the pool


def real_exchanges(data_root: Path, workspace: Path) -> list[tuple[str, str]]:
    """(first question, first answer) of every real SFT row that recipe `real` converts."""
    environment = os.environ | {"POSTTRAIN_WORKSPACE": str(workspace), "POSTTRAIN_DATA_ROOT": str(data_root)}
    subprocess.run([sys.executable, "-m", "posttrain", "-q", "run", "real", "--until", "convert", "--run-id", "rows"],
                   env=environment, check=True, stdout=subprocess.DEVNULL)
    run = load_run("rows", str(workspace))
    found = []
    for source in run.recipe.sources:
        for example in read_examples(run.manifest("convert", source.name), "sft"):
            turns = [m.content for m in example.messages if m.role != "system"]
            if len(turns) > 1:
                found.append((turns[0], turns[1]))
    return found


def pool_rows(exchanges: list[tuple[str, str]], rows: int, seed: str) -> Iterator[tuple[str, str]]:
    """So many (question, answer) pairs of about CHARACTERS characters."""
    rng = random.Random(seed)
    last = exchanges[0]
    for _ in range(rows):
        dice = rng.random()
        if dice < 0.03:
            yield last
            continue
        if dice < 0.06:
            yield last[0], f"{last[1]} {rng.randrange(10**9)}"
            continue
        question, answer = rng.choice(exchanges)
        while len(question) + len(answer) < CHARACTERS:
            answer += "\n\n" + rng.choice(exchanges)[1]
        last = replaced(question, rng), replaced(answer[: 3 * CHARACTERS], rng)
        yield last


def replaced(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for place in range(rng.randrange(12), len(words), 12):
        words[place] = f"w{rng.randrange(10**6)}"
    return " ".join(words)


def layout(name: str, number: int, question: str, answer: str) -> dict[str, Any]:
    if name == "messages":
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"id": f"row-{number}", "messages": turns}
    if name == "alpaca":
        return {"instruction": question, "input": "", "output": answer}
    if name == "prompt_completion":
        return {"prompt": question, "completion": answer}
    return {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}


def build_pool(exchanges: list[tuple[str, str]], share: float, folder: Path) -> list[dict[str, Any]]:
    """Parquet files of the sources, in four published layouts in turn; returns the recipe's sources."""
    sources = []
    recipe = load_recipe("tulu3-8b")
    for n, amount in enumerate(recipe.mix.sft):
        family, rows = LAYOUTS[n % len(LAYOUTS)], round(share * (amount.count or 0))
        place = folder / amount.source
        place.mkdir(parents=True)
        batch: list[dict[str, Any]] = []
        for number, pair in enumerate(pool_rows(exchanges, rows, amount.source)):
            batch.append(layout(family, number, *pair))
            if len(batch) == ROWS_A_FILE or number + 1 == rows:
                pq.write_table(pa.Table.from_pylist(batch), place / f"{number // ROWS_A_FILE:03d}.parquet")
                batch = []
        spec = recipe.source(amount.source)
        sources.append({
            "name": amount.source, "family": family, "load": {"kind": "file", "path": f"{place}/*.parquet"}, "license": "MIT",
            "origin": "perturbed public rows", "category": spec.category,
        })
    return sources


def write_recipe(path: Path, sources: list[dict[str, Any]], rules: dict[str, Any]) -> None:
    real = yaml.safe_load((RECIPE_FOLDER / "real.yaml").read_text())
    smoke = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text())
    kept = {name: smoke[name] for name in ("model", "sft", "preferences", "dpo", "rlvr", "evaluate", "release")}
    recipe = kept | {
        "name": "scale", "description": "benchmarks/scale.py", "seed": 0, "sources": sources, "evals": real["evals"],
        "filter": rules, "decontaminate": {"preset": "tulu3"}, "improve": {"max_rows": 0},
        "mix": {"sft": [{"source": source["name"], "proportion": 1.0} for source in sources]},
    }
    path.write_text(yaml.safe_dump(recipe, allow_unicode=True, sort_keys=False))


# ---------------------------------------------------------------- measuring


def measured(arguments: list[str], environment: dict[str, str], log: Path) -> tuple[float, float]:
    """(seconds, peak MiB) of a process with its children."""
    started, peak = time.monotonic(), 0
    with log.open("ab") as out:
        process = psutil.Popen(arguments, env=environment, stdout=out, stderr=out)
        while process.poll() is None:
            total = 0
            for member in [process, *process.children(recursive=True)]:
                try:
                    total += member.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, total)
            time.sleep(0.1)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed; see {log}")
    return time.monotonic() - started, peak / 2**20


def run_stages(recipe: Path, run_id: str, until: str, environment: dict[str, str], log: Path) -> dict[str, tuple[float, float]]:
    """Stage → (seconds, peak MiB), each in a process that finds the stages before it done."""
    found = {}
    for stage in STAGES[: STAGES.index(until) + 1]:
        arguments = [sys.executable, "-m", "posttrain", "run", str(recipe), "--until", stage, "--run-id", run_id, "--rounds", "1"]
        found[stage] = measured(arguments, environment, log)
    return found


def table(run_id: str, workspace: Path, found: dict[str, tuple[float, float]]) -> None:
    run = load_run(run_id, str(workspace))
    print("| stage | rows read | rows kept | seconds | rows/s | peak MiB |")
    print("|---|---|---|---|---|---|")
    for stage, (seconds, peak) in found.items():
        if stage in ("improve", "synthesize", "review"):
            continue
        parts = [source.name for source in run.recipe.sources] if stage in ("collect", "convert") else [""]
        manifests = [run.manifest(stage, part) for part in parts]
        read, kept = (sum(m.rows[name] for m in manifests) for name in ("read", "kept"))
        print(f"| {stage} | {read:,} | {kept:,} | {seconds:.1f} | {read / seconds:,.0f} | {peak:,.0f} |")
    total = sum(found[stage][0] for stage in TIMED)
    print(f"| {' + '.join(TIMED)} | | | {total:.1f} | | {max(peak for _, peak in found.values()):,.0f} |", flush=True)


def mixture_hash(run_id: str, workspace: Path) -> str:
    manifest = load_run(run_id, str(workspace)).manifest("mix")
    return hashlib.sha256(json.dumps([(e.name, e.sha256) for e in manifest.files if e.split]).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- one source changed


def change_one_row(folder: Path) -> None:
    """Write the last row of a source's last file anew, with another ending."""
    file = sorted(folder.glob("*.parquet"))[-1]
    rows = pq.read_table(file).to_pylist()
    for name, value in rows[-1].items():
        if isinstance(value, str) and name != "id":
            rows[-1][name] = f"{value} Nobody knows the end of it."
        elif isinstance(value, list):
            spoken = "content" if "content" in value[-1] else "value"
            value[-1][spoken] += " Nobody knows the end of it."
    pq.write_table(pa.Table.from_pylist(rows), file)


def show_redone(run_id: str, workspace: Path, seconds: float) -> None:
    run = load_run(run_id, str(workspace))
    records = run.stage_records()
    counts = []
    for stage in ("collect", "convert"):
        skipped = [record["skipped"] for record in records if record["stage"] == stage]
        counts.append(f"{stage} {skipped.count(False)} of {len(skipped)} sources")
    counts += [f"{stage}: {redone_text(run.manifest(stage).facts)}" for stage in OVER_SHARDS]
    print(f"again, one row of one source changed: {seconds:.1f} s; {', '.join(counts)}", flush=True)


# ---------------------------------------------------------------- the same through Airflow


def through_airflow(recipe: Path, folder: Path, environment: dict[str, str]) -> None:
    """Run the recipe in a workspace of its own and print its mixture's hash and who worked on the shards."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.e2e.standalone import Standalone, with_recipe

    home, workspace = folder / "airflow", folder / "airflow-workspace"
    home.mkdir()
    settings = with_recipe(recipe, home) | {name: environment[name] for name in ("POSTTRAIN_DATA_ROOT",)}
    started, airflow = time.monotonic(), Standalone(home, workspace, settings | {"POSTTRAIN_WORKERS": "2"})
    try:
        airflow.wait_until_ready()
        ready = time.monotonic() - started
        state = airflow.run_dag("scale", {"recipe": recipe.stem, "until": "mix"}, 6 * 3600.0)
        seconds = time.monotonic() - started - ready
        logs = "".join(airflow.task_log("scale", f"{stage}.{stage}") for stage in OVER_SHARDS)
        workers = re.findall(r"\w+: redone \d+ of \d+ shards, in [\w ]+", logs)
    finally:
        airflow.stop()
    hash_there = mixture_hash("scale", workspace)
    print(f"through Airflow: {state} in {seconds:.1f} s; {'; '.join(workers)}; mixture {hash_there}", flush=True)


# ---------------------------------------------------------------- the peer


PEER = '''
import sys
from datasets import load_dataset
from posttrain.convert import FAMILIES
from posttrain.filters import KEYWORDS
from posttrain.schema import UnreadableRow
import re
KEYWORD = re.compile(r"\\b(" + "|".join(KEYWORDS) + r")\\b", re.IGNORECASE)

def convert(row, family):
    try:
        (draft,) = FAMILIES[family].convert(row)
    except UnreadableRow:
        return {"messages": []}
    return {"messages": [{"role": m.role, "content": m.content} for m in draft.messages]}

def named(row):
    return not any(m["role"] == "assistant" and KEYWORD.search(m["content"]) for m in row["messages"])

def full(row):
    return bool(row["messages"]) and all(m["content"].strip() for m in row["messages"])

if __name__ == "__main__":
    folder, out, *sources = sys.argv[1:]
    for source in sources:
        name, family = source.split("=")
        rows = load_dataset("parquet", data_files=f"{folder}/{name}/*.parquet", split="train", cache_dir=out + "/cache")
        rows = rows.map(convert, fn_kwargs={"family": family}, num_proc=2, remove_columns=rows.column_names)
        rows = rows.filter(named, num_proc=2).filter(full, num_proc=2)
        rows.to_parquet(f"{out}/{name}.parquet")
'''


def peer(pool: Path, sources: list[dict[str, Any]], folder: Path, environment: dict[str, str]) -> None:
    """Our convert and a filter stage with two rules, beside `datasets` with the same converters and rules."""
    script, out, recipe = folder / "peer.py", folder / "peer", folder / "two-rules.yaml"
    script.write_text(PEER)
    out.mkdir()
    off = {name: "off" for name in ("too_simple", "special_tokens", "encoding", "placeholders", "one_word_answers", "repetition",
                                    "language", "model_phrases", "refusals", "truncated", "prompt_differs", "personal_data")}
    write_recipe(recipe, sources, off | {"max_tokens": None, "duplicates": {"conversations": False}})
    ours_environment = environment | {"POSTTRAIN_WORKSPACE": str(folder / "peer-workspace")}
    run_stages(recipe, "peer", "collect", ours_environment, folder / "log")
    ours_seconds = sum(measured([sys.executable, "-m", "posttrain", stage, "--run", "peer"], ours_environment, folder / "log")[0]
                       for stage in ("convert", "filter"))
    rows = sum(load_run("peer", str(folder / "peer-workspace")).manifest("collect", s["name"]).rows["read"] for s in sources)
    names = [f"{source['name']}={source['family']}" for source in sources]
    theirs, peak = measured([sys.executable, str(script), str(pool), str(out), *names],
                            environment | {"HF_DATASETS_CACHE": str(out / "hf"), "HF_HUB_OFFLINE": "1"}, folder / "log")
    print(f"convert + the two filters: ours {ours_seconds:.1f} s ({rows / ours_seconds:,.0f} rows/s, ids, reasons and lineage "
          f"included), datasets {theirs:.1f} s ({rows / theirs:,.0f} rows/s, {peak:,.0f} MiB): {theirs / ours_seconds:.1f} times",
          flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--share", type=float, nargs="+", default=[1.0])
    parser.add_argument("--workspace", type=Path, default=None, help="a folder that is kept")
    parser.add_argument("--airflow", action="store_true")
    parser.add_argument("--peer", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.workspace or Path(tempfile.mkdtemp(prefix="scale-"))
    folder.mkdir(parents=True, exist_ok=True)
    data_root = arguments.data_root.resolve()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    exchanges = real_exchanges(data_root, folder / "real")
    print(f"{len(exchanges):,} real exchanges", flush=True)
    for share in arguments.share:
        place = folder / f"share-{share:g}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        sources = build_pool(exchanges, share, place / "pool")
        size = sum(file.stat().st_size for file in (place / "pool").rglob("*.parquet"))
        print(f"\nshare {share:g}: {size / 1e9:.2f} GB of Parquet", flush=True)
        recipe, workspace = place / "scale.yaml", place / "workspace"
        write_recipe(recipe, sources, {"duplicates": {"near": {}}})
        environment = os.environ | {"POSTTRAIN_WORKSPACE": str(workspace), "POSTTRAIN_DATA_ROOT": str(data_root)}
        before = set(os.listdir(tempfile.gettempdir()))
        found = run_stages(recipe, "full", "mix", environment, place / "log")
        table("full", workspace, found)
        print(f"mixture {mixture_hash('full', workspace)}; temporary files left: "
              f"{sorted(name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith('posttrain'))}")
        again, _ = measured([sys.executable, "-m", "posttrain", "run", str(recipe), "--until", "mix", "--run-id", "again",
                             "--rounds", "1"], environment, place / "log")
        redone = [r["stage"] for r in load_run("again", str(workspace)).stage_records() if not r["skipped"]]
        print(f"again, nothing changed: {again:.1f} s, {len(redone)} stages redone", flush=True)
        if arguments.airflow and share == max(arguments.share):
            through_airflow(recipe, place, environment)
        change_one_row(place / "pool" / sources[0]["name"])
        changed, _ = measured([sys.executable, "-m", "posttrain", "run", str(recipe), "--until", "mix", "--run-id", "changed",
                               "--rounds", "1"], environment, place / "log")
        show_redone("changed", workspace, changed)
        if arguments.peer and share == max(arguments.share):
            peer(place / "pool", sources, place, environment)


if __name__ == "__main__":
    main()
