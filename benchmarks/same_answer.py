"""Both indexes on the real data: every measure and every preset, row by row; exit status 1 where one match differs.

    PYTHONPATH=include python benchmarks/same_answer.py DATA LAUNCHER [--rows 20000] [--dense-rows 1500]

DATA is the folder with the real data, LAUNCHER as in elastic.py. Training rows are drawn at random from all files, the same
every time; `hard_texts` are added: empty and one-word turns, repeated n-grams, code, tables, eval items as they are and cut.
Every eval set of recipe `real` is in the index. The dense model is made on the spot, with weights drawn at random.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from elastic import running

from posttrain.collect import source_files
from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.elastic import ElasticSearch, Server, connect, open_elastic
from posttrain.decontaminate.files import decontaminate_files
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.decontaminate.normalize import words
from posttrain.decontaminate.presets import Measure
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import Broken, read_raw_file
from posttrain.recipe import Decontaminate, load_recipe
from posttrain.storage import ArtifactWriter, Manifest

FLOORS: tuple[tuple[Measure, float], ...] = (
    ("ngram_coverage", 0.3), ("jaccard", 0.6), ("cosine", 0.6), ("reworded", 0.5), ("count_cosine", 0.6),
)
DENSE_FLOORS = (0.99, 0.97)
TURNS_AT_ONCE = 2_000


def real_turns(root: Path, rows: int) -> list[str]:
    recipe = load_recipe("real")
    files = sorted({path for s in recipe.sources if s.load.kind == "file" for path in source_files(s.load, root)})
    turns = [text for file in files for _, value in read_raw_file(file) if not isinstance(value, Broken)
             for _, text in user_turns(value)]
    return random.Random(0).sample(turns, min(rows, len(turns)))


def hard_texts(index: EvalIndex) -> list[str]:
    """Texts at the borders of what the measures are defined for, and eval items whole, cut, doubled and wrapped."""
    drawn = random.Random(1).sample(range(len(index.text)), min(400, len(index.text)))
    texts = [index.text[k].as_py() for k in drawn]
    pieces = [text.split() for text in texts]
    return [
        "", " ", "?!", "0", "1", "yes", "예", "はい", "a b c d e f g h", "refrain " * 40, "1 2 3 4 5 6 7 8 9 10 " * 9, "💡" * 20,
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 30, "def f(x):\n    return x\n" * 20, "\\frac{1}{2} + \\sqrt{3}" * 8, "\ud800",
        *texts, *(" ".join(own[: len(own) // 2]) for own in pieces), *(" ".join(own[::-1]) for own in pieces[:100]),
        *(text.upper() for text in texts[:100]), *("\n".join(own) for own in pieces[:100]), *(f"{t} {t}" for t in texts[:100]),
        *(f"{a}\n\n{b}" for a, b in zip(texts[:200], texts[200:], strict=True)), *(" ".join(own[-1:]) for own in pieces[:100]),
    ]


def save_model(folder: Path, texts: list[str]) -> str:
    """A sentence-transformers model of 32 dimensions over the commonest words of the texts, its weights drawn at random."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    common = Counter(word for text in texts for word in words(text)).most_common(5_000)
    vocabulary = {word: n for n, word in enumerate(("[PAD]", "[UNK]", *(word for word, _ in common)))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder / "bert")
    BertModel(BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=64, max_position_embeddings=64)).save_pretrained(folder / "bert")
    body = models.Transformer(str(folder / "bert"), max_seq_length=32)
    SentenceTransformer(modules=[body, models.Pooling(body.get_embedding_dimension())], device="cpu").save(str(folder / "model"))
    return str(folder / "model")


def indexed(folder: Path, root: Path, settings: Decontaminate) -> tuple[Manifest, EvalIndex]:
    recipe = load_recipe("real")
    writer = ArtifactWriter(str(folder), stage="index_evals")
    index_eval_sets(recipe.evals, root, recipe.seed, settings, writer)
    manifest = writer.finish()
    return manifest, load_index(manifest)


def compare_measure(there: ElasticSearch, measure: Measure, floor: float, turns: list[str]) -> int:
    """How many matches differ; each of the first ones is shown."""
    started, matches, differing = time.process_time(), 0, 0
    for begin in range(0, len(turns), TURNS_AT_ONCE):
        part = turns[begin : begin + TURNS_AT_ONCE]
        here, found = embedded(there.index).score(measure, part, floor), there.score(measure, part, floor)
        matches += len(here)
        if here == found:
            continue
        by_pair = [{(m.turn, m.item): m for m in side} for side in (here, found)]
        for pair in sorted(set(by_pair[0]) | set(by_pair[1])):
            a, b = (side.get(pair) for side in by_pair)
            if a != b:
                differing += 1
                if differing <= 5:
                    print(f"  turn {begin + pair[0]} {part[pair[0]][:150]!r}, item {pair[1]}:\n      here  {a}\n      there {b}")
        differing += here != found and by_pair[0] == by_pair[1]
    print(f"  {measure:15} floor {floor:4} {len(turns):7,} turns {matches:9,} matches {differing:5} differ  "
          f"{time.process_time() - started:6.1f} s", flush=True)
    return differing


def compare_preset(preset: Any, folder: Path, train: Path, manifest: Manifest) -> int:
    """How many files of the two results differ, byte by byte."""
    made: list[Manifest] = []
    for index in ("embedded", "elasticsearch"):
        settings = Decontaminate(preset=preset, index=index, ngram_size=manifest.facts["ngram_size"])
        out = ArtifactWriter(str(folder / f"{preset}-{index}"), stage="decontaminate")
        decontaminate_files([str(train)], manifest, settings, out)
        made.append(out.finish())
    here, there = ({entry.name: entry.sha256 for entry in one.files} for one in made)
    differing = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    print(f"  preset {preset}: {made[0].facts['outcome']}, {len(here)} files, {len(differing)} differ {differing}", flush=True)
    return len(differing) + (made[0].facts["outcome"] != made[1].facts["outcome"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("launcher", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dense-rows", type=int, default=1_500)
    chosen = parser.parse_args()
    root = chosen.data.resolve()
    with tempfile.TemporaryDirectory() as name, running(chosen.launcher, f"{name}/server") as (url, _):
        folder = Path(name)
        manifest, index = indexed(folder / "index", root, Decontaminate())
        turns = real_turns(root, chosen.rows) + hard_texts(index)
        print(f"{len(turns):,} turns against {len(index.texts_of_item):,} items of {len(index.eval_names)} eval sets", flush=True)
        differing = 0
        with connect(Server(url)) as cluster, open_elastic(cluster, index, manifest.content, "real") as there:
            for measure, floor in FLOORS:
                differing += compare_measure(there, measure, floor, turns)
        train = folder / "train.jsonl"
        train.write_text("".join(json.dumps({"prompt": turn, "source": f"source{n % 5}"}) + "\n" for n, turn in enumerate(turns)))
        os.environ["ELASTICSEARCH_URL"] = url
        for preset in ("tulu3", "seed", "balanced"):
            differing += compare_preset(preset, folder, train, manifest)
        model = save_model(folder, turns)
        manifest, index = indexed(folder / "dense", root, Decontaminate(dense_model=model))
        with connect(Server(url)) as cluster, open_elastic(cluster, index, manifest.content, "real") as there:
            drawn = random.Random(2).sample(turns, min(chosen.dense_rows, len(turns)))
            for floor in DENSE_FLOORS:
                differing += compare_measure(there, "dense", floor, drawn)
    print(f"{differing} differences")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
