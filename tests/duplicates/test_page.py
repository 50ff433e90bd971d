"""docs/duplicates.md against the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from posttrain.duplicates.clusters import SEMANTIC_SCHEMA, SPARED_SCHEMA, VERDICTS
from posttrain.duplicates.semantic import ROWS_A_BLOCK
from posttrain.duplicates.settings import Duplicates, NearDuplicates, SemanticDuplicates
from posttrain.schema import REASONS


def test_the_page_names_every_setting_reason_and_column(project: Path) -> None:
    page = (project / "docs" / "duplicates.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert example is not None
    section = yaml.safe_load(example[1])["filter"]["duplicates"]
    assert set(Duplicates.model_validate(section).model_dump()) == set(section)
    for verdict in VERDICTS[1:]:
        assert verdict in REASONS and f"`{verdict}`" in page
    assert all(f"`{name}`" in page for name in [*SEMANTIC_SCHEMA.names, *SPARED_SCHEMA.names, *SemanticDuplicates.model_fields])
    assert f"{ROWS_A_BLOCK:,} at a time" in page and f"({SemanticDuplicates(model='any/model').complete_rows:,})" in page
    bands, width = NearDuplicates().banding()
    assert f"{bands} bands of {width}" in page and f"signature of {NearDuplicates().permutations} numbers" in page
