"""The mixture of the command line where no recipe says what to take: every row of every source, once."""

from __future__ import annotations

from posttrain.recipe import Amount, Mix
from posttrain.schema import SCHEMAS
from posttrain.storage import Manifest, read_table


def default_mix(manifests: list[Manifest]) -> Mix:
    """All SFT, preference and RLVR rows; no preference prompts, since answering them takes a model."""
    sources: dict[str, set[str]] = {kind: set() for kind in SCHEMAS}
    for manifest in manifests:
        for entry in manifest.files:
            if entry.split in SCHEMAS:
                sources[entry.split].update(read_table(manifest.file(entry.name), ["source"])["source"].unique().to_pylist())
    amounts = {kind: tuple(Amount(source=name, proportion=1.0) for name in sorted(names)) for kind, names in sources.items()}
    # Rows in files often carry no licence; who gives them on the command line knows them.
    return Mix(sft=amounts["sft"], preference=amounts["preference"], rlvr=amounts["rlvr"], allow_unstated=True)
