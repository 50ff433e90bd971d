"""Preset `balanced` on real data: precision on labelled pairs, template wording, GSM8K.

    PYTHONPATH=include python benchmarks/precision.py ../shared/data [pairs.jsonl ...]

Pair files name rows of public files (train file, row, eval file, row, label, reason); one reader read each pair once.
`pairs_tuned.jsonl` and `pairs_held_out.jsonl` were drawn per training file and eval set from what n-gram coverage ≥ .25 nominates
in the whole row, answers included: three pairs above .5, one of .4 to .5, one below. `pairs_wide_tuned.jsonl` and
`pairs_wide.jsonl` are the halves, by a hash of the key, of a blind draw with other measures, and `pairs_blind.jsonl` a later one
(docs/decontamination.md, "How balanced was chosen"): each was measured before its errors were read.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from posttrain.decontaminate.card import pairs_report
from posttrain.decontaminate.card.verbatim import real_index
from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.matches import TrainingRow, decide, find_contamination, match_row
from posttrain.decontaminate.normalize import spans, words
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.templates import TEMPLATE_ROWS, repeated_wordings, template_places
from posttrain.decontaminate.texts import user_turns
from posttrain.raw_files import Broken, file_format, read_raw_file
from posttrain.recipe import Decontaminate

OWN_PAIRS = [Path(__file__).with_name(name) for name in (
    "pairs_tuned.jsonl", "pairs_held_out.jsonl", "pairs_wide_tuned.jsonl", "pairs_wide.jsonl", "pairs_blind.jsonl")]
PRESETS = ("tulu3", "balanced")
DOLLY = "google_flan-t5-base_decode_output.4of5.jsonl.gz"
ROWS_AT_ONCE = 2_000


def training_rows(root: Path) -> dict[str, list[TrainingRow]]:
    """File name → rows with their user turns."""
    found = {}
    for path in sorted(p for p in (root / "train").rglob("*") if p.is_file() and file_format(p)):
        name = f"{path.parent.name}/{path.name}"
        found[name] = [TrainingRow(f"{name}:{n}", name, [] if isinstance(value, Broken) else user_turns(value))
                       for n, value in read_raw_file(path)]
    return found


def flood(index: EvalIndex, files: dict[str, list[TrainingRow]]) -> None:
    """Rows that each preset flags, by file; the lines of matches.parquet, and those that a report shows in one line."""
    flagged: dict[str, dict[str, Counter[str]]] = defaultdict(dict)
    overlaps: dict[str, Counter[tuple[str, str]]] = {}
    for preset in PRESETS:
        lines, pairs, started = [], Counter[tuple[str, str]](), time.process_time()
        for name, rows in files.items():
            flagged[name][preset] = Counter()
            for begin in range(0, len(rows), ROWS_AT_ONCE):
                part = rows[begin : begin + ROWS_AT_ONCE]
                found = find_contamination(part, embedded(index), Decontaminate(preset=preset))
                for row, findings in zip(part, found, strict=True):
                    flagged[name][preset][decide(findings)] += 1
                    lines += [match_row(row, finding, index) for finding in findings]
                    pairs.update({(name, finding.eval) for finding in findings if finding.decision != "keep"})
        overlaps[preset] = pairs
        grouped = repeated_wordings(lines)
        print(f"{preset}: {len(lines):,} lines of evidence; {len(grouped)} wordings of at least {TEMPLATE_ROWS} rows stand for "
              f"{sum(w.rows for w in grouped):,} of them; {time.process_time() - started:.0f} s of processor time")
        for wording in grouped[:8]:
            print(f"    {wording.rows} rows  {wording.eval}  {dict(wording.decisions)}  {wording.matched_text[:90]!r}")
    for name, by in flagged.items():
        if any(n for c in by.values() for decision, n in c.items() if decision != "keep"):
            print(f"    {name:70} " + "  ".join(f"{p}: {c['remove']} removed, {c['review']} in review" for p, c in by.items()))
    for preset in PRESETS:
        print(f"{preset}: in all {sum(by[preset]['remove'] for by in flagged.values()):,} removed, "
              f"{sum(by[preset]['review'] for by in flagged.values()):,} in review")
        print("    overlaps: " + "; ".join(f"{f} × {e} {n}" for (f, e), n in overlaps[preset].most_common(24)))


def wrapped_rows(index: EvalIndex, files: dict[str, list[TrainingRow]]) -> None:
    """Real prompts wrapped in the instruction of an eval set: the wording that begins the item with the most template wording."""
    prompts = [row.turns[0][1] for row in files["nayohan__dolly-15k-analysis/" + DOLLY] if row.turns][:50]
    for name in index.eval_names:
        wording = max((leading_template(index, n) for n in np.flatnonzero(
            index.eval_of_item == index.eval_names.index(name)).tolist()), key=len, default="")
        if len(words(wording)) < 2 * index.ngram_size:
            continue
        rows = [TrainingRow(str(n), "wrapped", [(0, f"{wording} {prompt}")]) for n, prompt in enumerate(prompts)]
        told = []
        for preset in PRESETS:
            found = find_contamination(rows, embedded(index), Decontaminate(preset=preset))
            lines = sum(len(findings) for findings in found)
            told.append(f"{preset}: {sum(decide(findings) != 'keep' for findings in found)} rows flagged, {lines:,} lines")
        print(f"    {len(rows)} prompts in {len(words(wording))} words that {name} repeats: " + "; ".join(told))


def leading_template(index: EvalIndex, item: int) -> str:
    """The template wording that an item begins with, as it is written."""
    text = index.texts(item)[0]
    template = template_places(index, text)
    length = len(template) if template.all() else int(np.argmin(template)) if len(template) else 0
    written = index.text[text].as_py()
    return written[: spans(written)[length - 1][2]] if length else ""


def main(root: Path, pair_files: list[Path]) -> None:
    for path in pair_files:
        print(pairs_report(path, root), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        index = real_index(root, Path(folder))
        files = training_rows(root)
        flood(index, files)
        wrapped_rows(index, files)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(arg) for arg in sys.argv[2:]] or OWN_PAIRS)
