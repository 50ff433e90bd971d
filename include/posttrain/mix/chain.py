"""A mixture with the artifacts that it was made from: its rows, what was dropped on the way, and the stages before it."""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.mix.pool import Part, pieces
from posttrain.recipe import STAGES
from posttrain.storage import Manifest, exists, join, load_manifest, read_table

KEY = ["split", "source", "id"]
WHERE_IT_LIES = ("raw_file", "raw_row", "request_id")
"""Columns that say where a row is from and not what it is."""


class Chain:
    """A mixture and everything that it was made from, as far as it is still there."""

    def __init__(self, mixture: Manifest) -> None:
        self.mixture = mixture

    @cached_property
    def manifests(self) -> list[Manifest]:
        """The mixture first, then the stages before it, the later ones first."""
        found, todo = {self.mixture.path: self.mixture}, [self.mixture]
        while todo:
            for parent in todo.pop().parents:
                path = parent["path"]
                if path not in found and parent["stage"] != "file" and exists(join(path, "manifest.json")):
                    found[path] = load_manifest(path)
                    todo.append(found[path])
        order = {stage: -n for n, stage in enumerate(STAGES)}
        return sorted(found.values(), key=lambda m: (m.path != self.mixture.path, order.get(m.stage, 0), m.path))

    @cached_property
    def rows(self) -> pa.Table:
        """KEY, category, digest (of one of the row's copies: they are alike) and rows of every row of the mixture."""
        tables = []
        for entry in self.mixture.files:
            if entry.split:
                for _, piece in pieces(Part(self.mixture.file(entry.name), entry.split)):
                    split, digests = pa.array([entry.split] * piece.num_rows, pa.string()), pa.array(_digests(piece), pa.binary())
                    tables.append(pa.table({"split": split, "source": piece["source"], "id": piece["id"],
                                            "category": piece["category"], "digest": digests}))
        empty = pa.table({name: pa.array([], pa.string()) for name in [*KEY, "category"]} | {"digest": pa.array([], pa.binary())})
        grouped = pa.concat_tables([empty, *tables]).group_by(KEY).aggregate(
            [("category", "min"), ("digest", "min"), ([], "count_all")])
        return grouped.select([*KEY, "category_min", "digest_min", "count_all"])

    @cached_property
    def dropped(self) -> pa.Table:
        """source, id and why (stage: reason) of every dropped row; of two drops the later stage's."""
        tables = []
        for number, manifest in enumerate(self.manifests):
            for entry in manifest.files:
                if entry.is_rejected:
                    table = read_table(manifest.file(entry.name), ["source", "id", "reason"])
                    table = table.filter(pc.is_valid(table["id"]))
                    why = pc.binary_join_element_wise(pa.scalar(manifest.stage), table["reason"], pa.scalar(": "))
                    order = pa.array([number] * table.num_rows, pa.int32())
                    tables.append(pa.table({"source": table["source"], "id": table["id"], "order": order, "why": why}))
        if not tables:
            return pa.table({name: pa.array([], pa.string()) for name in ("source", "id", "why")})
        ordered = pa.concat_tables(tables).sort_by("order")
        return ordered.group_by(["source", "id"], use_threads=False).aggregate([("why", "first")]).rename_columns(
            ["source", "id", "why"])

    @cached_property
    def raw(self) -> dict[str, str]:
        """Source → hash of its raw rows."""
        return {source: manifest.content for manifest in self.manifests if manifest.stage == "collect"
                for source in manifest.by_source}

    @cached_property
    def sources(self) -> set[str]:
        """Every source of which any stage has seen a row."""
        return {source for manifest in self.manifests for source in manifest.by_source}

    @cached_property
    def files(self) -> dict[str, str]:
        """Path → sha256 of the row files that a command was given in place of artifacts."""
        return {parent["path"]: parent["content"] for manifest in self.manifests for parent in manifest.parents
                if parent["stage"] == "file"}

    def stages(self) -> dict[tuple[str, str], Manifest]:
        """(stage, source of a stage that has an artifact per source) → manifest. Of two versions of the mixture the later one."""
        return {(m.stage, _part(m)): m for m in reversed(self.manifests)}


def _part(manifest: Manifest) -> str:
    only = list(manifest.by_source)
    return only[0] if manifest.stage in ("collect", "convert") and len(only) == 1 else ""


def _digests(piece: pa.Table) -> list[bytes]:
    """A hash of every row's text and labels, its id left out: a row is looked up by its id, and a row that moved has another."""
    encode = msgspec.json.Encoder(order="sorted").encode
    labels = [name for name in piece.column_names if name != "id" and name not in WHERE_IT_LIES]
    return [hashlib.blake2b(encode(row), digest_size=16).digest() for row in piece.select(labels).to_pylist()]
