"""Raw files named on the command line, as sources: one source a file, or all of them under one --source."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from posttrain.cli.rows import Inputs, artifact_parent, file_parent, is_artifact, row_files, stem_of
from posttrain.recipe import FileLoad, Source, data_root
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, read_rejected

if TYPE_CHECKING:
    from posttrain.convert import Family

RawIn = Annotated[
    list[Path] | None,
    typer.Option("--in", exists=True, show_default=False,
                 help="Raw file (json, jsonl, csv, tsv, txt, parquet; .gz, .zst) or collect artifact; several may follow."),
]
SourceName = Annotated[str | None, typer.Option("--source", help="Name of the source.", show_default="the file's name")]
Origin = Annotated[str | None, typer.Option("--origin", help="Where the source comes from.", show_default="the file's path")]


@dataclass(frozen=True)
class RawSource:
    """A source with its files, or with the artifact of collect that holds its rows."""

    name: str
    files: list[Path] = field(default_factory=list)
    collected: Manifest | None = None

    def specs(self, family: str, license: str, origin: str | None, category: str) -> list[Source]:
        """A Source per file; they differ in what they load and in nothing else. An artifact knows licence and origin itself."""
        facts = self.collected.facts if self.collected else {"license": license, "origin": origin or str(self.files[0])}
        loads = [FileLoad(kind="file", path=data_path(file)) for file in self.files] or [FileLoad(kind="file", path="collected")]
        return [
            Source(name=self.name, family=family, load=load, origin=facts["origin"], license=facts["license"],
                   category=category)  # type: ignore[arg-type]
            for load in loads
        ]


def raw_sources(paths: list[Path], source: str | None) -> list[RawSource]:
    """The sources that the paths stand for, in the order given."""
    found: dict[str, RawSource] = {}
    for path in paths:
        if is_artifact(path):
            manifest = load_manifest(str(path.resolve()))
            name = source or str(manifest.settings["source"])
            found[name] = RawSource(name, collected=manifest)
            continue
        for file in row_files(path):
            name = source or source_name(file)
            found.setdefault(name, RawSource(name)).files.append(file)
    return list(found.values())


def source_name(file: Path) -> str:
    """The file's name as the name of a source: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem_of(file)).strip("-._") or "source"


def data_path(file: Path) -> str:
    """A path as FileLoad takes it: under the data root where it lies there, so that raw rows are named alike everywhere."""
    path = file.resolve()
    return str(path.relative_to(data_root())) if path.is_relative_to(data_root()) else str(path)


def chosen(family: Family, license: str | None, where: list[str], options: list[str]) -> dict[str, Any]:
    """What the command line says about a source beside its files, checked: `where`, `options`, and the family's terms.

    A licence that is given stands for itself; without one the family's counts, and so does that it is non-commercial.
    """
    given = {name: values[0] if len(values) == 1 else values for name, values in _pairs("--option", options).items()}
    try:
        family.bind(given)
    except ValidationError as error:
        first, known = error.errors()[0], ", ".join(family.options.model_fields) if family.options else ""
        raise typer.BadParameter(f"--option {'.'.join(map(str, first['loc']))}: {first['msg']}; options: {known}") from error
    except ValueError as error:
        raise typer.BadParameter(f"--option: {error}") from error
    wanted = {column: tuple(values) for column, values in _pairs("--where", where).items()}
    return {"where": wanted, "options": given, "non_commercial": license is None and family.commercial_use == "no"}


def _pairs(option: str, given: list[str]) -> dict[str, list[Any]]:
    """NAME=VALUE as name → values, each read as YAML (`true`, `3`, `null`) where it is a plain value, else as the text it is."""
    pairs: dict[str, list[Any]] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise typer.BadParameter(f"{option} takes NAME=VALUE, not {text!r}")
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:  # `*gsm8k` and `!math` mean something else in YAML
            read = value
        pairs.setdefault(name, []).append(read if isinstance(read, bool | int | float | dict | None) else value)
    return pairs


def collect_all(sources: list[RawSource], specs: list[list[Source]], folder: Path) -> Inputs:
    """The collect artifact of every source, made under `folder` unless given. Rows that are no rows yet come as unreadable."""
    from posttrain.collect import collect

    inputs = Inputs()
    for number, (source, loads) in enumerate(zip(sources, specs, strict=True)):
        if source.collected:
            inputs.manifests.append(source.collected)
            inputs.parents.append(artifact_parent(source.collected))
            continue
        writer = ArtifactWriter(str(folder / f"raw-{number:04d}"), stage="collect")
        for spec in loads:
            collect(spec, data_root(), 0, writer)
        manifest = writer.finish()
        inputs.manifests.append(manifest)
        inputs.unreadable += [Rejected(**row) for row in read_rejected(manifest)]
        inputs.parents += [file_parent(file) for file in source.files]
    return inputs
