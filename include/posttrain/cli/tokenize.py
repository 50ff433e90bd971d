"""`tokenize`: rows → input ids and labels. `render`: rows as a model sees them."""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.cli import options
from posttrain.cli.artifact import check_free, place, show_counts, unfinished
from posttrain.cli.rows import is_artifact, read_file, read_inputs
from posttrain.code_version import code_version
from posttrain.recipe import FileTokenizer, HubTokenizer, TinyModel, Tokenize
from posttrain.schema import Example, Rejected, all_messages
from posttrain.storage import ArtifactWriter, Manifest, do_once, load_manifest, read_examples, workspace_url, write_json
from posttrain.tokenize.templates import OWN, TEMPLATES

log = logging.getLogger(__name__)

TEMPLATE_HELP = f"One of {', '.join(TEMPLATES)}, or {OWN} for the tokenizer's own."
TOKENIZER_HELP = "Folder that transformers can load, checkpoint artifact, tokenizer.json[.gz], or Hub id OWNER/NAME[@REVISION]."
SAMPLE_ROWS = 1_000
"""`render` without a tokenizer trains a tiny one on so many rows of the file."""


def tokenize(
    paths: options.In, out: options.Out,
    tokenizer: Annotated[str | None, typer.Option("--tokenizer", help=TOKENIZER_HELP, show_default="the recipe's")] = None,
    template: Annotated[
        str | None, typer.Option("--template", help=TEMPLATE_HELP, show_default="the recipe's, else tulu"),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=1, help="Most tokens of a row.", show_default="the recipe's, else no limit"),
    ] = None,
    truncation: Annotated[
        bool | None, typer.Option("--truncation/--no-truncation", help="Cut longer rows, or drop them.",
                                  show_default="the recipe's, else cut"),
    ] = None,
    recipe: options.RecipeName = None, as_json: options.AsJson = False,
) -> None:
    """SFT rows → input ids, and labels on the answers' tokens. Found again in the workspace while nothing has changed."""
    from posttrain.tokenize.rows import cached, stage_settings, tokenize_rows
    from posttrain.tokenize.tokenizer import find_tokenizer, open_tokenizer

    found = options.recipe_of(recipe)
    settings = found.tokenize if found else Tokenize()
    if template is not None:
        settings = settings.model_copy(update={"template": checked_template(template)})
    if truncation is not None:
        settings = settings.model_copy(update={"truncation": truncation})
    choice = tokenizer_choice(tokenizer) if tokenizer else settings.tokenizer
    if choice.kind == "own":
        raise typer.BadParameter("missing: --tokenizer (a recipe whose tokenizer is trained on the mixture names none)")
    longest = max_length if max_length is not None else found.sft.max_length if found else None
    check_free(out)
    path = find_tokenizer(choice)
    with unfinished(out) as folder:
        inputs = read_inputs(paths, folder)
        check_has_rows(inputs.manifests, bool(inputs.unreadable))

        def work(writer: ArtifactWriter) -> None:
            for rejected in inputs.unreadable:
                writer.read(rejected.source)
                writer.reject(rejected)
            tokenize_rows(inputs.manifests, open_tokenizer(path, settings.template), settings, longest, writer)

        with redirect_stdout(sys.stderr):  # standard output is for the counts alone
            result = cached(lambda: do_once(
                "tokenize", settings=stage_settings(settings, longest, path), code=code_version("posttrain.tokenize.rows"),
                inputs=inputs.manifests, work=work, workspace=workspace_url()))
        log.info("tokenize: %s", result.why)
        manifest = place(result.manifest, out, shutil.copytree)
        manifest.parents = inputs.parents
        write_json(manifest.file("manifest.json"), asdict(manifest))
    show_counts(manifest, as_json)
    if not as_json:
        for line in source_lines(manifest.facts):
            typer.echo(line)


def check_has_rows(manifests: list[Manifest], unreadable: bool) -> None:
    """Refuse inputs without SFT rows: other rows are left out, and that must not look like success."""
    written: dict[str, int] = {}
    for manifest in manifests:
        check_has_messages(manifest)
        for split, rows in manifest.written.items():
            written[split] = written.get(split, 0) + rows
    if not written.get("sft") and not unreadable:
        there = ", ".join(f"{rows:,} in {split}" for split, rows in written.items()) or "none at all"
        raise ValueError(f"no SFT rows to tokenise; rows: {there}")


def check_has_messages(manifest: Manifest) -> None:
    if manifest.stage == "tokenize":
        raise ValueError(f"{manifest.path} is tokenised already: its rows hold ids and no messages; give the mixture")


def source_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Rows, tokens, trainable tokens and truncated rows by source, and together."""
    yield f"{'rows':>11}{'tokens':>15}{'trainable':>15}{'truncated':>11}  source"
    for name, count in [*facts["per_source"].items(), ("together", facts)]:
        yield f"{count['rows']:>11,}{count['tokens']:>15,}{count['trainable_tokens']:>15,}{count['truncated']:>11,}  {name}"


def render(
    file: Annotated[Path, typer.Argument(exists=True, help="Artifact folder, or Parquet or JSONL rows.", show_default=False)],
    template: Annotated[str, typer.Option("--template", help=TEMPLATE_HELP, show_default=False)],
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help=TOKENIZER_HELP, show_default="a tiny one trained on the file"),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Show the first rows.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show rows as a model sees them: text and token ids side by side, trained tokens marked. Exit status 1: one was refused."""
    from posttrain.tokenize.render import printable, render_row, rendered_lines
    from posttrain.tokenize.tiny import train_tokenizer
    from posttrain.tokenize.tokenizer import ChatTokenizer, find_tokenizer, open_tokenizer

    name = checked_template(template)
    if tokenizer:
        chat, what = open_tokenizer(find_tokenizer(tokenizer_choice(tokenizer)), name), tokenizer
    elif name == OWN:
        raise typer.BadParameter("missing: --tokenizer, whose own template is to be shown")
    else:
        texts = (m.content for row in rows_of(file, SAMPLE_ROWS) if not isinstance(row, Rejected) for m in all_messages(row))
        chat = ChatTokenizer(train_tokenizer(texts, TinyModel.model_fields["vocab_size"].default, name), {})
        what = f"a tiny one, trained on the first {SAMPLE_ROWS:,} rows of this file"
    shown = [rendered for row in rows_of(file, rows) for rendered in render_row(chat, row)]
    if not shown:
        raise ValueError(f"{file} has no rows")
    if as_json:
        facts = {"template": name, "tokenizer": what, "vocabulary": len(chat.tokenizer), "added_tokens": chat.added}
        typer.echo(json.dumps(facts | {"rows": [asdict(row) for row in shown]}, ensure_ascii=False))
    else:
        added = ", ".join(f"{token} {n}" for token, n in chat.added.items())
        size = f"{len(chat.tokenizer):,} tokens" + (f", added {added}" if added else "")
        typer.echo(f"template {name}, tokenizer {printable(what)} ({size})")
        for row in shown:
            typer.echo("\n" + "\n".join(rendered_lines(row)))
    if any(row.refused for row in shown):
        raise typer.Exit(1)


def rows_of(file: Path, number: int) -> Iterator[Example | Rejected]:
    """The first rows of an artifact or a file of rows."""
    if not is_artifact(file):
        return itertools.islice(read_file(file), number)
    manifest = load_manifest(str(file.resolve()))
    check_has_messages(manifest)
    return itertools.islice(read_examples(manifest), number)


def checked_template(name: str) -> str:
    """The name, if the table has it; wrong use otherwise."""
    if name not in TEMPLATES and name != OWN:
        raise typer.BadParameter(f"no template {name!r}; there are {', '.join([*TEMPLATES, OWN])}")
    return name


def tokenizer_choice(text: str) -> FileTokenizer | HubTokenizer:
    """A path that exists (of an artifact, its checkpoint), or OWNER/NAME[@REVISION] on the Hub; wrong use otherwise."""
    path = Path(text).resolve()
    if path.exists():
        return FileTokenizer(kind="file", path=str(path / "checkpoint" if is_artifact(path) else path))
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text)
    if not found:
        raise typer.BadParameter(f"--tokenizer {text!r} is neither a file or folder nor a Hub id OWNER/NAME[@REVISION]")
    return HubTokenizer(kind="hub", id=found[1], revision=found[2] or "main")
