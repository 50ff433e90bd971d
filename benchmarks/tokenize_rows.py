"""Speed of the tokenised mixture: open-instruct's Tülu samples and all SFT rows of recipe `real`, with a published vocabulary.

    PYTHONPATH=include python benchmarks/tokenize_rows.py ../shared/data [TIMES]

Prints rows/s and tokens/s of the whole stage (read Parquet, render, encode, label, write Parquet), the same rows one by one
through `apply_chat_template` with its mask, as a trainer's own preparation does it, and the peak memory. With TIMES the
mixture is repeated so often, to see that memory does not grow with it.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from posttrain.cli.rows import read_file
from posttrain.collect import source_files
from posttrain.recipe import Tokenize, load_recipe
from posttrain.schema import SFTExample, UnreadableRow, check_turns
from posttrain.storage import ArtifactWriter, Manifest, read_rows
from posttrain.tokenize.rows import tokenize_rows
from posttrain.tokenize.tokenizer import open_tokenizer

VOCABULARY = "tokenizer/allenai__dolma/gpt-neo-test-tokenizer.json.gz"
SAMPLES = "train/allenai__open-instruct/*sft_sample*.jsonl.gz"
MAX_LENGTH = 4096
COMPARED = 2_000


def mixture(root: Path, folder: Path, times: int) -> Manifest:
    """Every row of the files that is an answered conversation."""
    recipe = load_recipe("real")
    files = {path for source in recipe.sources if source.load.kind == "file" for path in source_files(source.load, root)}
    files |= {*root.glob(SAMPLES), *root.glob("train/allenai__open-instruct/tulu2_mix_sample_debug.jsonl.gz")}
    out = ArtifactWriter(str(folder / "mixture"), stage="mix")
    for _ in range(times):
        for file in sorted(files):
            for row in read_file(file):
                if isinstance(row, SFTExample) and _answered(row):
                    out.read(row.source)
                    out.keep(row)
    return out.finish()


def _answered(row: SFTExample) -> bool:
    try:
        check_turns(row.messages)
    except UnreadableRow:
        return False
    return True


def main(root: Path, times: int) -> None:
    chat = open_tokenizer(root / VOCABULARY, "tulu")
    with tempfile.TemporaryDirectory() as folder:
        rows = mixture(root, Path(folder), times)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        out = ArtifactWriter(str(Path(folder) / "tokens"), stage="tokenize")
        started, processor = time.perf_counter(), time.process_time()
        tokenize_rows([rows], chat, Tokenize(), MAX_LENGTH, out)
        manifest = out.finish()
        wall, processor = time.perf_counter() - started, time.process_time() - processor
        facts, peak = manifest.facts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = sum(entry.bytes for entry in manifest.files) / 1e6
        print(f"tokenize  {facts['rows']:,} rows, {facts['tokens']:,} tokens, {facts['trainable_tokens']:,} trainable, "
              f"{facts['truncated']:,} cut at {MAX_LENGTH:,}; {size:.0f} MB in {len(manifest.files)} files")
        print(f"          {wall:.1f} s ({processor:.1f} s of processor time): {facts['rows'] / wall:,.0f} rows/s, "
              f"{facts['tokens'] / wall:,.0f} tokens/s")
        print(f"memory    {before:,.0f} MiB before, {peak:,.0f} MiB at most")
        started, processor, tokens, n = time.perf_counter(), time.process_time(), 0, 0
        for n, row in enumerate(read_rows(rows, "sft"), start=1):
            encoded = chat.tokenizer.apply_chat_template(row["messages"], return_dict=True, return_assistant_tokens_mask=True)
            tokens += len(encoded["input_ids"])
            if n == COMPARED:
                break
        wall, processor = time.perf_counter() - started, time.process_time() - processor
        print(f"one by one, first {n:,} rows: {wall:.1f} s ({processor:.1f} s of processor time): {n / wall:,.0f} rows/s, "
              f"{tokens / wall:,.0f} tokens/s")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
