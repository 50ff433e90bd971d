"""The command collect: raw rows on record."""

from __future__ import annotations

from typing import Annotated

import typer

from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.data import OptionalOut
from posttrain.cli.raw import Origin, RawIn, SourceName, raw_sources
from posttrain.cli.rows import UNSTATED, Inputs
from posttrain.cli.run_stage import do_in_run
from posttrain.recipe import data_root
from posttrain.storage import ArtifactWriter

License = Annotated[str, typer.Option("--license", help="Licence of the source.")]


def collect(
    paths: RawIn = None, out: OptionalOut = None, source: SourceName = None, license: License = UNSTATED, origin: Origin = None,
    recipe: options.RecipeName = None, run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Record raw rows with sha256, licence and origin: files, or a --source of a --recipe (which may be a Hub data set)."""
    from posttrain import collect as stage

    if run:
        return do_in_run("collect", run, source, as_json)
    options.needed(out=out)
    found = options.recipe_of(recipe)
    if found and source and not paths:
        names = [s.name for s in found.sources]
        if source not in names:
            raise typer.BadParameter(f"recipe {found.name} has no source {source!r}; it has {', '.join(names)}")
        specs = [found.source(source)]
    else:
        options.needed(**{"in": paths})
        sources = raw_sources(paths or [], source)
        if len(sources) > 1 or sources[0].collected:
            raise typer.BadParameter("raw files of one source are wanted: give one file, or the --source that several make up")
        specs = sources[0].specs("messages", license, origin, "general")
    seed = found.seed if found else 0
    loads = [stage.pinned(spec.load, data_root(), seed) for spec in specs]
    settings = {"load": loads[0] if len(loads) == 1 else loads, "source": specs[0].name, "origin": specs[0].origin,
                "license": specs[0].license}

    def work(writer: ArtifactWriter) -> None:
        files = []
        for spec, pin in zip(specs, loads, strict=True):
            stage.collect(spec, data_root(), seed, writer, pin)
            files += writer.facts["files"]
        writer.facts["files"] = files

    with unfinished(out) as folder:
        manifest = write_stage("collect", "posttrain.collect", folder, out, Inputs(), settings, work)
    show_counts(manifest, as_json)
