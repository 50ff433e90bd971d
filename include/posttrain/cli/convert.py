"""The command convert: raw rows → examples of a source family."""

from __future__ import annotations

from typing import Annotated

import typer

from posttrain import hub
from posttrain.cli import options
from posttrain.cli.artifact import show_counts, unfinished, write_stage
from posttrain.cli.convert_filters import filtered_conversion
from posttrain.cli.data import OptionalOut
from posttrain.cli.raw import Origin, RawIn, SourceName, chosen, collect_all, raw_sources
from posttrain.cli.rows import UNSTATED
from posttrain.cli.run_stage import do_in_run
from posttrain.convert import FAMILIES, convert_source, converter_modules
from posttrain.schema import CATEGORIES
from posttrain.storage import ArtifactWriter

FamilyLicense = Annotated[
    str | None, typer.Option("--license", help="Licence of the source.", show_default=f"the family's, else {UNSTATED}"),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="COLUMN=VALUE of the rows that are taken, as in a recipe; several may follow."),
]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option("--option", help="NAME=VALUE of an option of the family (`sources FAMILY` lists them); several may follow."),
]
Category = Annotated[str, typer.Option("--category", help=f"One of {', '.join(CATEGORIES)}.")]


def convert(
    family: Annotated[str | None, typer.Option("--family", help="`sources` lists them.", show_default=False)] = None,
    paths: RawIn = None, out: OptionalOut = None, source: SourceName = None, license: FamilyLicense = None, origin: Origin = None,
    category: Category = "general", where: Where = None, option: FamilyOption = None,
    keywords: Annotated[
        bool, typer.Option("--apply-keyword-filter", "--apply-keyword-filters", help="Drop rows by the keyword rule."),
    ] = False,
    empty: Annotated[
        bool, typer.Option("--apply-empty-message-filter", "--apply-empty-message-filters", help="Drop rows with an empty turn."),
    ] = False,
    push_to_hub: Annotated[
        str | None, typer.Option("--push-to-hub", metavar="ENTITY/NAME", show_default=False,
                                 help="Upload the rows as this private data set; the token comes from HF_TOKEN."),
    ] = None,
    run: options.RunId = None, as_json: options.AsJson = False,
) -> None:
    """Raw rows → SFT examples, preference pairs and RLVR examples; an unreadable row is kept with file, row, field and reason."""
    if run and (keywords or empty or push_to_hub):
        raise typer.BadParameter("within a run, the recipe's `filter` and `release` do what the filters and the push would do")
    if run:
        return do_in_run("convert", run, source, as_json)
    options.needed(family=family, out=out, **{"in": paths})
    if family not in FAMILIES:
        raise typer.BadParameter(f"no source family {family!r}; there are {', '.join(sorted(FAMILIES))}")
    if category not in CATEGORIES:
        raise typer.BadParameter(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    if push_to_hub:
        hub.check_push(push_to_hub)
    sources = raw_sources(paths or [], source)
    choices = chosen(FAMILIES[family], license, where or [], option or [])
    licence = license or FAMILIES[family].license or UNSTATED
    specs = [[spec.model_copy(update=choices) for spec in s.specs(family, licence, origin, category)] for s in sources]
    settings = [spec[0].model_dump(mode="json", exclude={"load", "review"}) for spec in specs]
    with unfinished(out) as folder:
        inputs = collect_all(sources, specs, folder)

        def convert_all(writer: ArtifactWriter) -> None:
            for collected, spec in zip(inputs.manifests, specs, strict=True):
                convert_source(collected, spec[0], writer)

        def work(writer: ArtifactWriter) -> None:
            if keywords or empty:
                filtered_conversion(convert_all, writer, folder, keywords=keywords, empty=empty)
            else:
                convert_all(writer)

        applied = {"apply_keyword_filter": keywords, "apply_empty_message_filter": empty} if keywords or empty else {}
        manifest = write_stage("convert", converter_modules(family), folder, out, inputs,
                               (settings[0] if len(settings) == 1 else {"sources": settings}) | applied, work)
    show_counts(manifest, as_json)
    if not manifest.rows["kept"]:
        typer.echo(f"no row is of the family {family}: `python -m posttrain doctor FILE` says which families read it", err=True)
    if push_to_hub:
        typer.echo(f"pushed to {hub.push_rows(manifest, push_to_hub)}", err=True)
