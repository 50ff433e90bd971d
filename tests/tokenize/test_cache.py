"""The cache of tokenised rows: found again while nothing has changed, never when something has.

The two incidents of open-instruct's cache are here: a bad run's rows served on (PR #1509), and another tokenizer that
silently got the old one's rows (PR #1518).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from posttrain import code_version as versions
from posttrain.code_version import code_version
from posttrain.recipe import Tokenize
from posttrain.schema import Message
from posttrain.storage import StorageError, do_once, load_manifest, read_rows
from posttrain.tokenize.rows import cached, check_files, damaged_files, stage_settings, tokenize_rows
from posttrain.tokenize.tiny import train_tokenizer
from posttrain.tokenize.tokenizer import open_tokenizer


@pytest.fixture
def rows(mixture):
    return mixture((Message("user", "What is 4 + 4?"), Message("assistant", "4 + 4 = 8")))


@pytest.fixture
def tokenize(rows, saved, tmp_path):
    """The stage as a run does it, on one mixture unless another is given, with the tokenizer in folder `saved`."""

    def do(settings=None, max_length=None, manifest=None):
        settings, manifest = settings or Tokenize(), manifest or rows

        def work(out):
            tokenize_rows([manifest], open_tokenizer(saved, settings.template), settings, max_length, out)

        return cached(lambda: do_once(
            "tokenize", settings=stage_settings(settings, max_length, saved), code=code_version("posttrain.tokenize.rows"),
            inputs=[manifest], work=work, workspace=str(tmp_path / "workspace")))

    return do


def test_unchanged_rows_are_found_again(tokenize):
    first, again = tokenize(), tokenize()
    assert (first.skipped, again.skipped) == (False, True) and again.manifest.content == first.manifest.content


def test_another_tokenizer_of_the_same_name_gets_rows_of_its_own(tokenize, saved):
    """PR #1518: the folder's name stayed, its tokenizer did not."""
    first = tokenize()
    old_ids = next(iter(read_rows(first.manifest)))["input_ids"]
    train_tokenizer(iter(["other words entirely", "8 8 8"] * 3), 300).save_pretrained(saved)
    second = tokenize()
    assert not second.skipped and second.manifest.key != first.manifest.key
    assert next(iter(read_rows(second.manifest)))["input_ids"] != old_ids


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"])
def test_every_file_of_the_tokenizer_is_in_the_key(tokenize, saved, name):
    first = tokenize()
    with (saved / name).open("a") as f:
        f.write("{}" if name == "special_tokens_map.json" else "\n")
    assert tokenize().manifest.key != first.manifest.key


def test_settings_rows_and_length_are_in_the_key(tokenize, mixture):
    other = mixture((Message("user", "What is 4 + 4?"), Message("assistant", "4 + 4 = 9")))
    found = [tokenize(), tokenize(Tokenize(template="llama3")), tokenize(Tokenize(truncation=False)),
             tokenize(Tokenize(require_label=False)), tokenize(max_length=8), tokenize(manifest=other)]
    assert len({result.manifest.key for result in found}) == len(found) and not any(result.skipped for result in found)


@pytest.mark.parametrize("module", ["tokenize/templates.py", "tokenize/chat.py", "tokenize/rows.py", "schema.py"])
def test_changed_code_gives_a_new_key(tokenize, module, tmp_path, monkeypatch):
    """PR #1509 was cured by raising a version number by hand; here the repaired code is another key."""
    first = tokenize()
    copy = tmp_path / "posttrain"
    shutil.copytree(versions.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / module).open("a") as f:
        f.write("# repaired\n")
    monkeypatch.setattr(versions, "PACKAGE", copy)
    forget()
    try:
        second = tokenize()
    finally:
        monkeypatch.undo()
        forget()
    assert not second.skipped and second.manifest.key != first.manifest.key


def forget() -> None:
    versions._imports.cache_clear()
    versions.code_version.cache_clear()


# ---------------------------------------------------------------- a bad artifact


def damage(manifest, how):
    part = Path(manifest.file("part-sft-00000.parquet"))
    if how == "another byte":
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
    elif how == "cut off":
        part.write_bytes(part.read_bytes()[:-10])
    else:
        part.unlink()


@pytest.mark.parametrize("how", ["another byte", "cut off", "gone"])
def test_a_damaged_artifact_is_made_again_and_never_served(tokenize, how, caplog):
    first = tokenize()
    damage(first.manifest, how)
    assert damaged_files(first.manifest) == ["part-sft-00000.parquet"]
    again = tokenize()
    assert not again.skipped and "is damaged (part-sft-00000.parquet): made again" in caplog.text
    assert again.manifest.content == first.manifest.content and damaged_files(again.manifest) == []


def test_the_trainers_check_refuses_a_damaged_artifact(tokenize):
    manifest = tokenize().manifest
    check_files(manifest)
    damage(manifest, "another byte")
    with pytest.raises(StorageError, match="part-sft-00000.parquet changed since it was written"):
        check_files(load_manifest(manifest.path))


def test_a_run_that_was_killed_before_its_manifest_leaves_nothing_to_find(tokenize, rows):
    first = tokenize()
    Path(first.manifest.file("manifest.json")).unlink()
    damage(first.manifest, "cut off")
    again = tokenize()
    assert not again.skipped and again.manifest.content == first.manifest.content
