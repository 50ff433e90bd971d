"""Tokenizers: where their files are, what those hash to, and how one is opened with a template of the table."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.recipe import FileTokenizer, HubTokenizer, Tokenize, data_root
from posttrain.storage import sha256_file
from posttrain.tokenize.templates import OWN, TEMPLATES

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "chat_template.json", "additional_chat_templates/*.jinja", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model",
    "spiece.model", "sentencepiece.bpe.model",
)
"""Every file from which transformers builds a tokenizer; a checkpoint's other files do not count."""

END_TOKENS = ("<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>")
"""What ends a text in a vocabulary that comes as a bare tokenizer.json, which does not say; the first that it holds."""


class TokenizerError(ValueError):
    """The tokenizer cannot be had, or cannot do what the template needs. The message says why."""


@dataclass(frozen=True)
class ChatTokenizer:
    """A fast tokenizer whose `chat_template` marks the answers. `added`: tokens that the template brought, with their ids."""

    tokenizer: Any
    added: dict[str, int]


# ---------------------------------------------------------------- files


def find_tokenizer(choice: FileTokenizer | HubTokenizer) -> Path:
    """The local folder (or tokenizer.json) of a tokenizer; of one on the Hub only the tokenizer's files are fetched.

    Raises TokenizerError naming what is missing.
    """
    if isinstance(choice, FileTokenizer):
        path = data_root() / choice.path
        if not tokenizer_files(path):
            raise TokenizerError(f"{path} is no tokenizer: neither a tokenizer.json (.gz too) nor a folder with one of its files")
        return path
    from huggingface_hub import snapshot_download

    try:
        # config.json names the tokenizer's class where tokenizer_config.json does not.
        return Path(snapshot_download(choice.id, revision=choice.revision, allow_patterns=[*TOKENIZER_FILES, "config.json"]))
    except (OSError, ValueError) as error:
        raise TokenizerError(f"tokenizer {choice.id} at {choice.revision} of the Hub cannot be had: {error}") from error


def tokenizer_files(path: Path) -> dict[str, str]:
    """Name → sha256 of the files that make up the tokenizer at `path`; empty where there is none."""
    if path.is_file():
        return {path.name: sha256_file(str(path))} if path.name.endswith((".json", ".json.gz")) else {}
    found = {file for pattern in TOKENIZER_FILES for file in path.glob(pattern)}
    return {file.relative_to(path).as_posix(): sha256_file(str(file)) for file in sorted(found)}


def tokenizer_settings(settings: Tokenize) -> dict[str, Any]:
    """What decides the base model's tokenizer, as JSON: its template, and its files by content wherever they lie."""
    choice = settings.tokenizer
    files = {} if choice.kind == "own" else tokenizer_files(find_tokenizer(choice))
    return {"template": settings.template, "tokenizer": {"kind": choice.kind, "files": files}}


# ---------------------------------------------------------------- opening


def open_tokenizer(path: Path, template: str) -> ChatTokenizer:
    """The tokenizer at `path` with a template of TEMPLATES, or with its own (`tokenizer`). Runs no code of the folder.

    Raises TokenizerError for a tokenizer that has no fast form, and as `install_template` does.
    """
    from transformers import AutoTokenizer

    if path.is_file():
        tokenizer = _bare_tokenizer(path)
    else:
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=False)
        except Exception as error:  # transformers and tokenizers raise whatever a broken file makes them stumble over
            raise TokenizerError(f"{path}: the tokenizer cannot be read: {error}") from error
    if not tokenizer.is_fast:
        raise TokenizerError(f"{path}: only a fast tokenizer knows which characters a token stands for; this one is "
                             f"{type(tokenizer).__name__}")
    return ChatTokenizer(tokenizer, install_template(tokenizer, template))


def _bare_tokenizer(path: Path) -> Any:
    """A tokenizer.json (or .json.gz) alone."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    data = path.read_bytes()
    try:
        core = Tokenizer.from_buffer(gzip.decompress(data) if path.suffix == ".gz" else data)
    except Exception as error:  # tokenizers raises plain Exception
        raise TokenizerError(f"{path} is no tokenizer.json: {error}") from error
    end = next((token for token in END_TOKENS if core.token_to_id(token) is not None), None)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token=end)


def install_template(tokenizer: Any, name: str) -> dict[str, int]:
    """Give a tokenizer a template of the table and the special tokens that it needs; returns the tokens that were new.

    The token that ends an answer becomes the end-of-text token, so that generation stops there. Raises TokenizerError
    where a tokenizer has no end-of-text token but the template needs it, and where its own template marks no answers.
    """
    if name == OWN:
        if "generation" not in (tokenizer.chat_template or ""):
            raise TokenizerError(
                "the tokenizer's own chat template is missing or has no {% generation %} marks, so nobody knows what to train "
                f"on; choose one of {', '.join(TEMPLATES)}")
        return {}
    template = TEMPLATES[name]
    known = len(tokenizer)
    tokenizer.add_tokens(list(template.tokens), special_tokens=True)
    if template.begin and tokenizer.bos_token is None:
        tokenizer.add_special_tokens({"bos_token": template.begin})
    if template.end:
        tokenizer.add_special_tokens({"eos_token": template.end})
    if tokenizer.eos_token is None:
        raise TokenizerError(f"template {name!r} ends an answer with the end-of-text token, and the tokenizer has none")
    tokenizer.chat_template = template.jinja
    return {token: n for token, n in sorted(tokenizer.get_added_vocab().items(), key=lambda item: item[1]) if n >= known}
