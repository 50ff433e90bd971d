"""`verify`: completions against ground truths, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from posttrain.cli import options


def verify(
    verifier: Annotated[str, typer.Option("--verifier", help="gsm8k, math, ifeval or code.", show_default=False)],
    path: Annotated[
        Path, typer.Option("--in", exists=True, dir_okay=False, help="JSONL rows with `completion` and `ground_truth`."),
    ],
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="The same rows with `score` and `extracted`.")],
    as_json: options.AsJson = False,
) -> None:
    """Score completions: JSONL rows with completion and ground_truth in, the same rows with score and extracted out."""
    from posttrain.verifiers import VERIFIERS, verify_file

    if verifier not in VERIFIERS:
        raise typer.BadParameter(f"no verifier {verifier!r}; there are {', '.join(VERIFIERS)}")
    counts = verify_file(verifier, str(path), str(out))
    if as_json:
        typer.echo(json.dumps(counts, ensure_ascii=False))
        return
    mean = "none" if counts["mean_score"] is None else f"{counts['mean_score']:.4f}"
    rows = counts["rows"]
    typer.echo(f"verify: read {rows['read']:,}, scored {rows['kept']:,}, not scored {rows['rejected']:,}, mean score {mean}")
    for reason, count in counts["reasons"].items():
        typer.echo(f"  {count:>9,}  {reason}")
    typer.echo(str(out))
