"""Converted rows to the Hugging Face Hub as a private data set: Parquet under the published column names, and a card."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from posttrain.cards import hub_license
from posttrain.release import published
from posttrain.storage import Manifest, read_table

log = logging.getLogger(__name__)


class PushRefused(RuntimeError):
    """The rows cannot be pushed: no token, a name that is no ENTITY/NAME, or a Hub that does not take them."""


def check_push(name: str) -> str:
    """The token from HF_TOKEN. Raises PushRefused before any work is done where it is not set or the name is wrong."""
    if name.count("/") != 1 or not all(part.strip() for part in name.split("/")):
        raise PushRefused(f"--push-to-hub takes ENTITY/NAME, not {name!r}")
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise PushRefused(f"--push-to-hub is {name!r}, but HF_TOKEN is not set")
    return token


def push_rows(manifest: Manifest, name: str) -> str:
    """Upload the rows of an artifact as the private data set ENTITY/NAME, one configuration a split; returns its address.

    Raises PushRefused where the Hub cannot be reached or refuses; the artifact stays.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=check_push(name))
    with tempfile.TemporaryDirectory(prefix="posttrain-push-") as folder:
        write_dataset(manifest, name, Path(folder))
        try:
            url = api.create_repo(name, repo_type="dataset", private=True, exist_ok=True)
            api.upload_folder(repo_id=name, repo_type="dataset", folder_path=folder,
                              commit_message=f"{sum(manifest.written.values()):,} rows, artifact {manifest.key}")
        except Exception as error:  # of the HTTP client below huggingface_hub, which has changed with its versions
            raise PushRefused(f"{name} was not pushed to {api.endpoint}: {type(error).__name__}: {error}; the rows lie in "
                              f"{manifest.path}; look at the network, at HF_TOKEN and whose the name is, then repeat the command "
                              "with another --out") from error
    log.info("pushed to %s", url)
    return str(url)


def write_dataset(manifest: Manifest, name: str, folder: Path) -> None:
    """`<split>/train-00000.parquet` and README.md, as `datasets.load_dataset` reads them."""
    parts: dict[str, int] = {}
    for entry in manifest.files:
        if entry.split:
            table = published(read_table(manifest.file(entry.name)))
            number = parts[entry.split] = parts.get(entry.split, -1) + 1
            (folder / entry.split).mkdir(exist_ok=True)
            pq.write_table(table, folder / entry.split / f"train-{number:05d}.parquet", compression="zstd")
    (folder / "README.md").write_text(card(manifest, name, list(parts)), encoding="utf-8")


def card(manifest: Manifest, name: str, splits: list[str]) -> str:
    """The card: licence for the Hub, one configuration a split, and what became of the raw rows."""
    specs = manifest.settings.get("sources") or [manifest.settings]
    licences = sorted({hub_license(str(spec.get("license"))) for spec in specs})
    header = {
        "license": licences if len(licences) != 1 else licences[0],
        "configs": [{"config_name": split, "data_files": [{"split": "train", "path": f"{split}/*.parquet"}]} for split in splits],
    }
    rows = manifest.rows
    lines = [f"# {name.rpartition('/')[2]}", "",
             *(f"- {spec.get('name')}: {spec.get('origin')}, licence {spec.get('license')}" for spec in specs), "",
             f"{rows['read']:,} rows read, {rows['kept']:,} kept, {rows['rejected']:,} rejected.", "",
             *(f"- {reason}: {count:,}" for reason, count in manifest.reasons.items())]
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n" + "\n".join(lines).rstrip() + "\n"
