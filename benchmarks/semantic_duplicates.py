"""Semantic duplicates on real rows: what the complete search costs, what clusters lose, and what falls.

    . ./env.sh && python benchmarks/semantic_duplicates.py search ../shared/data [--rows 40000]
    . ./env.sh && python benchmarks/semantic_duplicates.py sources ../shared/data [--model FOLDER]

Both need sentence vectors. Without `--model` they come from a model that is made here from the rows themselves and saved as any
sentence-transformers model: every word has a vector by latent semantic analysis (TF-IDF of the rows, 256 dimensions), a text
the mean of its words. It knows which words occur together, and neither their order nor other languages: what falls with it
says how the search works, not how well a published model judges.

`search`: real training rows and a copy of each with up to 30 % of its words replaced by other words of the rows; the complete
search at a quarter, half and all of the size, against so many clusters as 80,000, 200,000 and 939,344 rows are cut into.
Seconds are processor seconds of this process, all cores together.
`sources`: what falls of each source, and examples of rows that only their numbers spare.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from near_duplicates import real_examples

from posttrain.duplicates import semantic
from posttrain.duplicates.meaning import Meanings, ReadTexts, read_texts
from posttrain.duplicates.semantic import Semantic, find_semantic
from posttrain.duplicates.settings import SemanticDuplicates
from posttrain.duplicates.texts import conversation_digest
from posttrain.schema import Example
from posttrain.sentence_vectors import Vectors, encode, read_whole

DIMENSIONS = 256
MOST_REPLACED = 0.3
SETTING = "--model"


@contextmanager
def processor_seconds(into: dict[str, float], name: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    into[name] = time.process_time() - begun


def make_model(texts: list[str], folder: Path) -> str:
    """A sentence-transformers model of this vocabulary, saved to a folder: latent semantic analysis of the texts."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel

    normaliser, cut = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    weights = TfidfVectorizer(
        analyzer=lambda text: [word for word, _ in cut.pre_tokenize_str(normaliser.normalize_str(text[:4_000]))],
        min_df=3, max_features=60_000, sublinear_tf=True)
    matrix = weights.fit_transform(texts)
    found = TruncatedSVD(DIMENSIONS, n_iter=2, random_state=0).fit(matrix)
    words = weights.get_feature_names_out().tolist()
    table = np.concatenate([np.zeros((1, DIMENSIONS)), found.components_.T * weights.idf_[:, None]]).astype(np.float32)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normaliser, cut
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu").save(str(folder))
    return str(folder)


def distinct(examples: list[Example], settings: SemanticDuplicates) -> tuple[list[Example], list[ReadTexts]]:
    """Rows with something to read whose conversation no row before them has, and what is read of them."""
    seen: set[bytes] = set()
    kept = []
    for example in examples:
        read, digest = read_texts(example, settings), conversation_digest(example)
        if read and digest not in seen:
            seen.add(digest)
            kept.append((example, read))
    return [example for example, _ in kept], [read for _, read in kept]


def as_parts(rows: list[ReadTexts], vectors: Vectors) -> list[Meanings]:
    """`vectors`: one for each side of each row, in their order."""
    ends = np.cumsum([len(row.sides) for row in rows])
    parts = []
    for sides in (1, 2):
        own = np.flatnonzero([len(row.sides) == sides for row in rows])
        at = (ends[own] - sides)[:, None] + np.arange(sides)
        parts.append(Meanings(own, vectors[at], *(
            np.frombuffer(b"".join(getattr(rows[n], name) for n in own.tolist()), "<u8").astype(np.uint64)
            for name in ("group", "numbers"))))
    return parts


def encoded(rows: list[ReadTexts], model: str) -> Vectors:
    return encode(model, [side for row in rows for side in row.sides], SETTING)


# ---------------------------------------------------------------- search


def search(root: Path, rows_wanted: int) -> None:
    settings = SemanticDuplicates(model="any/model", same_numbers=False, complete_rows=1 << 40)
    examples = real_examples(root)
    dice = random.Random(0)
    dice.shuffle(examples)
    _, rows = distinct(examples, settings)
    rows = [row for row in rows if len(row.sides) == 1][: rows_wanted // 2]
    texts = [row.sides[0] for row in rows]
    vocabulary = [word for text in texts[:5_000] for word in text.split()]
    copies = []
    for text in texts:
        share = dice.random() * MOST_REPLACED
        copies.append(" ".join(dice.choice(vocabulary) if dice.random() < share else word for word in text[:4_000].split()))
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        with processor_seconds(seconds, "model"):
            model = make_model(texts, Path(folder))
        with processor_seconds(seconds, "encode"):
            vectors = encode(model, [text for pair in zip(texts, copies, strict=True) for text in pair], SETTING)
    print(f"{len(vectors):,} rows, half of them perturbed copies, {vectors.shape[1]} dimensions; "
          f"model {seconds['model']:.0f} s, vectors {seconds['encode']:.0f} s")
    print("| rows | complete, s | fall | clusters | in clusters, s | fall | of the rows that fall in the complete search |")
    print("|---|---|---|---|---|---|---|")
    for part, clusters in ((4, (8,)), (2, (8,)), (1, (8, 20, 94))):
        some = vectors[: len(vectors) // part]
        whole = run(some, settings, seconds, "complete")
        for wanted in clusters:
            semantic.ROWS_A_CLUSTER = -(-len(some) // wanted)
            cut = run(some, settings.model_copy(update={"complete_rows": 1}), seconds, "clusters")
            print(f"| {len(some):,} | {seconds['complete']:.1f} | {len(whole.fallen.rows):,} | {cut.clusters} | "
                  f"{seconds['clusters']:.1f} | {len(cut.fallen.rows):,} | {recalls(whole, cut)} |", flush=True)


def run(vectors: Vectors, settings: SemanticDuplicates, seconds: dict[str, float], name: str) -> Semantic:
    count = len(vectors)
    part = Meanings(np.arange(count), vectors[:, None], np.zeros(count, np.uint64), np.zeros(count, np.uint64))
    with processor_seconds(seconds, name):
        return find_semantic([part], np.zeros(count), settings)


def recalls(whole: Semantic, cut: Semantic) -> str:
    """The share of the complete search's rows that clusters find, by cosine."""
    also = np.isin(whole.fallen.rows, cut.fallen.rows)
    told = [f"{also.mean():.3f} of all"]
    for low, high in ((0.95, 0.97), (0.97, 0.99), (0.99, 1.01)):
        own = (whole.fallen.cosine >= low) & (whole.fallen.cosine < high)
        told.append(f"{also[own].mean() if own.any() else float('nan'):.3f} of {own.sum():,} at {low:.2f}–{min(high, 1):.2f}")
    return "; ".join(told)


# ---------------------------------------------------------------- sources


def sources(root: Path, model: str | None) -> None:
    settings = SemanticDuplicates(model=model or "any/model")
    examples, rows = distinct(real_examples(root), settings)
    with tempfile.TemporaryDirectory() as folder:
        model = model or make_model([row.sides[0] for row in rows], Path(folder))
        if len(rows):
            whole = read_whole(model, [side for row in rows for side in row.sides], SETTING)
            print(f"{len(rows):,} rows; {(~whole).sum():,} texts are longer than what the model reads")
        parts = as_parts(rows, encoded(rows, model))
    thresholds = (0.9, 0.95, 0.98)
    results = {t: find_semantic(parts, np.zeros(len(rows)), settings.model_copy(update={"threshold": t})) for t in thresholds}
    fell = {t: Counter(examples[n].source for n in found.fallen.rows.tolist()) for t, found in results.items()}
    spared = {t: Counter(examples[n].source for n in found.spared.rows.tolist()) for t, found in results.items()}
    rows_of = Counter(example.source for example in examples)
    print("| source | rows | " + " | ".join(f"falls at {t}, (spared)" for t in thresholds) + " |")
    print("|---" * (2 + len(thresholds)) + "|")
    for name, count in [*rows_of.items(), ("all", sum(rows_of.values()))]:
        told = [f"{found.total() if name == 'all' else found[name]:,} "
                f"({spared[t].total() if name == 'all' else spared[t][name]:,})" for t, found in fell.items()]
        print(f"| {name} | {count:,} | {' | '.join(told)} |")
    dice = random.Random(0)
    for title, found in (("falls", results[0.95].fallen), ("is spared", results[0.95].spared)):
        for n in dice.sample(range(len(found.rows)), min(6, len(found.rows))):
            one, other = int(found.rows[n]), int(found.kept[n])
            print(f"\n{title}, {found.cosine[n]:.3f}, {examples[one].source} / {examples[other].source}")
            print(f"  {rows[one].sides[0][:160]!r}\n  {rows[other].sides[0][:160]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["search", "sources"])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--model")
    given = parser.parse_args()
    if given.what == "search":
        search(given.folder.resolve(), given.rows)
    else:
        sources(given.folder.resolve(), given.model)


if __name__ == "__main__":
    main()
