"""Raw files named on the command line, as sources: one source a file, or all of them under one --source."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from posttrain.cli.rows import Inputs, artifact_parent, file_parent, is_artifact, row_files, stem_of
from posttrain.recipe import FileLoad, Source, data_root
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, read_rejected


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
