"""The command `decontaminate`: training rows of any origin against eval sets, with a report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from pydantic import ValidationError

from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.evals import Evals, check_evals, eval_index, is_recipe, with_index
from posttrain.cli.rows import Inputs, given_parents, is_artifact, read_inputs
from posttrain.cli.run_stage import do_in_run
from posttrain.decontaminate.presets import PresetName
from posttrain.recipe import Decontaminate
from posttrain.schema import SCHEMAS
from posttrain.storage import ArtifactWriter, Manifest, load_manifest


def decontaminate(
    train: Annotated[
        list[Path] | None,
        typer.Option("--train", "--in", exists=True, show_default=False,
                     help="Rows to clean: files (json, jsonl, csv, tsv, txt, parquet; .gz, .zst), folders, artifacts; several "
                          "may follow one --train."),
    ] = None,
    evals: Evals = None,
    preset: Annotated[
        PresetName | None, typer.Option("--preset", help="The rule.", show_default="the recipe's, else the default of a recipe"),
    ] = None,
    index: Annotated[
        Literal["embedded", "elasticsearch"] | None,
        typer.Option("--index", help="Where eval items are looked up; both find the same.",
                     show_default="the recipe's, else embedded"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", show_default=False, help="Folder for the results; new or empty.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the report, the matches and the table of evals and sources, but no rows."),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", show_default=False,
                     help="KEY=VALUE of a recipe's section `decontaminate`: ngram_size=13, turns=all, "
                          "cut_offs.cosine.review=0.5; several may follow."),
    ] = None,
    recipe: options.RecipeName = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Remove rows that overlap eval items; every removal names row, eval, item, score, rule and the matched text.

    Writes clean-*, review-* and removed-*.parquet, matches.parquet, contamination.tsv and report.html. The exit status is 0
    whatever was found, 1 for a failure, 2 for wrong use.
    """
    from posttrain.report import write_decontamination_report

    if run:
        return do_in_run("decontaminate", run, None, as_json)
    evals = evals or recipe
    options.needed(train=train, evals=evals, out=out)
    check_evals(evals)
    settings = _settings(recipe or (evals if is_recipe(evals) else None), preset, index, changes or [])
    if not is_recipe(evals):
        settings = settings.of_collection(str(Path(evals).resolve()))
    with unfinished(out, keep="shards") as folder:
        made = None if is_artifact(Path(evals)) else folder / "index"
        found = eval_index(evals, settings, folder, made)
        _check_index(settings, found)
        inputs, work = _work(train, found, settings, folder, dry_run)
        manifest = write_stage("decontaminate", "posttrain.decontaminate.files", folder, out, with_index(found, evals, inputs),
                               settings.model_dump(mode="json"), work)
        if made and not dry_run:
            shutil.move(made, Path(manifest.path) / "index")
    report = write_decontamination_report(manifest)
    show_counts(manifest, as_json)
    if not as_json:
        _show(manifest, report)


def _work(train: list[Path], index: Manifest, settings: Decontaminate, folder: Path, dry_run: bool) -> tuple[Inputs, Any]:
    """What the rows come from, and what is to be done with them. Rows of files keep their form, artifacts stay examples."""
    from posttrain.decontaminate.files import decontaminate_files
    from posttrain.decontaminate.shard import REVIEW
    from posttrain.decontaminate.stage import decontaminate_examples
    from posttrain.decontaminate.train_files import train_files

    if dry_run or not any(map(is_artifact, train)):
        paths = [str(part) for path in train for part in _part_files(path)]
        train_files(paths)  # says what is wrong with a path before anything is hashed
        inputs = Inputs(parents=given_parents(train))
        return inputs, lambda writer: decontaminate_files(paths, index, settings, writer, dry_run=dry_run)
    inputs = read_inputs(train, folder)

    def work(writer: ArtifactWriter) -> None:
        for kind in SCHEMAS:
            writer.names |= {kind: f"clean-{kind}", REVIEW + kind: f"review-{kind}"}
        writer.names["rejected"] = "removed"
        decontaminate_examples(inputs.manifests, index, settings, writer)

    return inputs, work


def _part_files(path: Path) -> list[Path]:
    """The part files with examples of an artifact; any other path itself."""
    if not is_artifact(path):
        return [path]
    manifest = load_manifest(str(path.resolve()))
    return [Path(manifest.file(entry.name)) for entry in manifest.files if entry.split in SCHEMAS]


def _settings(recipe: str | None, preset: str | None, index: str | None, changes: list[str]) -> Decontaminate:
    """The section `decontaminate` of the recipe, or its defaults, with what the command line says on top."""
    said: dict[str, Any] = {}
    for change in changes:
        key, sign, value = change.partition("=")
        if not (key and sign):
            raise typer.BadParameter(f"--set takes KEY=VALUE, not {change!r}")
        place = said
        *above, last = key.split(".")
        for part in above:
            place = place.setdefault(part, {})
        try:
            place[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"--set {key}: {value!r} is no YAML value") from error
    said |= {name: value for name, value in (("preset", preset), ("index", index)) if value is not None}
    if recipe:
        found = options.recipe_of(recipe, {"decontaminate": said})
        return found.decontaminate if found else Decontaminate()
    try:
        return Decontaminate.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        place = first.get("ctx", {}).get("path") or first["loc"]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown key; there are {', '.join(Decontaminate.model_fields)}"
        raise typer.BadParameter(f"{'.'.join(map(str, place))}: {message}") from error


def _check_index(settings: Decontaminate, index: Manifest) -> None:
    """Cut-offs for an eval set that the index does not have would silently be none; and its n-grams have the index's size."""
    known, size = index.facts["evals"], index.facts["ngram_size"]
    if size != settings.ngram_size:
        raise typer.BadParameter(f"the index {index.path} has {size}-grams, and {settings.ngram_size}-grams are asked for: index "
                                 "the eval sets again, or name their folder")
    for name in settings.evals:
        if name not in known:
            raise typer.BadParameter(f"evals.{name}: there is no such eval set; there are {', '.join(known)}")


def _show(manifest: Manifest, report: str) -> None:
    typer.echo(", ".join(f"{name} {rows:,}" for name, rows in manifest.facts["outcome"].items()))
    over = [cell for cell in manifest.facts["contamination"] if cell["over_limit"]]
    for cell in sorted(over, key=lambda cell: -cell["share"])[:20]:
        typer.echo(f"  over the data-set rule: {cell['source']} holds {cell['contaminated']:,} of {cell['items']:,} items of "
                   f"{cell['eval']} ({cell['share']:.1%})")
    if len(over) > 20:
        typer.echo(f"  … and {len(over) - 20} more in contamination.tsv")
    typer.echo(report)
