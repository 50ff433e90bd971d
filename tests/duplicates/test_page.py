"""docs/duplicates.md against the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from posttrain.duplicates.clusters import CLUSTER_SCHEMA, VERDICTS
from posttrain.duplicates.settings import Duplicates, NearDuplicates
from posttrain.schema import REASONS


def test_the_page_names_every_setting_reason_and_column(project: Path) -> None:
    page = (project / "docs" / "duplicates.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert example is not None
    section = yaml.safe_load(example[1])["filter"]["duplicates"]
    assert set(Duplicates.model_validate(section).model_dump()) == set(section)
    for verdict in VERDICTS[1:]:
        assert verdict in REASONS and f"`{verdict}`" in page
    assert all(f"`{name}`" in page for name in CLUSTER_SCHEMA.names)
    bands, width = NearDuplicates().banding()
    assert f"{bands} bands of {width}" in page and f"signature of {NearDuplicates().permutations} numbers" in page
