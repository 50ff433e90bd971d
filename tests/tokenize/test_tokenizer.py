"""Finding a tokenizer, hashing its files, opening it with a template."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest

from posttrain.recipe import FileTokenizer, HubTokenizer, RecipeError, Tokenize, load_recipe
from posttrain.tokenize.tokenizer import (
    TokenizerError,
    find_tokenizer,
    install_template,
    open_tokenizer,
    tokenizer_files,
    tokenizer_settings,
)


def of_file(path):
    return FileTokenizer(kind="file", path=str(path))


def test_files_are_the_tokenizers_and_not_the_checkpoints(saved):
    (saved / "model.safetensors").write_bytes(b"weights")
    (saved / "config.json").write_text("{}")
    files = tokenizer_files(saved)
    assert set(files) == {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert all(len(digest) == 64 for digest in files.values())


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"])
def test_settings_change_with_a_byte_of_any_file_and_not_with_the_place(saved, name, tmp_path):
    settings = Tokenize(tokenizer=of_file(saved))
    before = tokenizer_settings(settings)
    elsewhere = saved.rename(tmp_path / "elsewhere")
    assert tokenizer_settings(Tokenize(tokenizer=of_file(elsewhere))) == before
    with (elsewhere / name).open("a") as f:
        f.write("\n")
    assert tokenizer_settings(Tokenize(tokenizer=of_file(elsewhere))) != before


def test_a_saved_tokenizer_opens_with_its_own_template(saved, tiny):
    chat = open_tokenizer(saved, "tokenizer")
    assert chat.tokenizer.chat_template == tiny["tulu"].tokenizer.chat_template and chat.added == {}


def test_a_bare_tokenizer_json_opens_packed_and_unpacked(real_file, tmp_path):
    unpacked = tmp_path / "tokenizer.json"
    unpacked.write_bytes(gzip.decompress(real_file.read_bytes()))
    chats = [open_tokenizer(path, "tulu") for path in (real_file, unpacked)]
    assert [chat.tokenizer.eos_token for chat in chats] == ["<|endoftext|>"] * 2
    assert chats[0].tokenizer.encode("사과 and apples") == chats[1].tokenizer.encode("사과 and apples")


def test_the_tokens_of_a_template_are_registered_as_special_and_the_answers_end_is_the_end_of_text(real_file):
    chat = open_tokenizer(real_file, "chatml_sep")
    known = 50280
    assert chat.added == {"<|im_start|>": known, "<|im_sep|>": known + 1, "<|im_end|>": known + 2}
    assert chat.tokenizer.encode("<|im_start|><|im_sep|><|im_end|>", add_special_tokens=False) == [known, known + 1, known + 2]
    assert chat.tokenizer.eos_token_id == known + 2
    assert install_template(chat.tokenizer, "chatml_sep") == {}, "a second time there is nothing to add"


def test_a_template_that_begins_a_text_brings_the_token_where_the_tokenizer_has_none(real_file):
    assert open_tokenizer(real_file, "llama3").tokenizer.bos_token == "<|begin_of_text|>"
    chat = open_tokenizer(real_file, "llama2")
    assert chat.tokenizer.bos_token == "<s>" and chat.tokenizer.eos_token == "<|endoftext|>"


def test_a_tokenizer_without_end_of_text_is_refused_where_the_template_needs_it(tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(TokenizerError, match="'tulu' ends an answer with the end-of-text token"):
        open_tokenizer(tmp_path / "tokenizer.json", "tulu")
    assert open_tokenizer(tmp_path / "tokenizer.json", "chatml").tokenizer.eos_token == "<|im_end|>"


def test_an_own_template_without_marks_is_refused(saved):
    (saved / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with pytest.raises(TokenizerError, match="no {% generation %} marks(.|\n)*tulu, chatml"):
        open_tokenizer(saved, "tokenizer")


def test_code_of_the_folder_is_not_run(saved):
    config = json.loads((saved / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", "mine.Mine"]}}
    (saved / "tokenizer_config.json").write_text(json.dumps(config))
    (saved / "mine.py").write_text("raise SystemExit('the code of the folder was run')")
    try:
        open_tokenizer(saved, "tulu")
    except TokenizerError as error:
        assert "trust_remote_code" in str(error)


@pytest.mark.parametrize("content", [b"", b"{}", b"not json"])
def test_a_broken_file_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(TokenizerError, match="tokenizer.json"):
        open_tokenizer(tmp_path / "tokenizer.json", "tulu")


def test_what_cannot_be_had_is_named(tmp_path):
    with pytest.raises(TokenizerError, match="is no tokenizer"):
        find_tokenizer(of_file(tmp_path))
    with pytest.raises(TokenizerError, match="nobody/nothing at v1 of the Hub cannot be had"):
        find_tokenizer(HubTokenizer(kind="hub", id="nobody/nothing", revision="v1"))


def test_a_tokenizer_trained_on_the_mixture_cannot_have_a_template_of_its_own():
    with pytest.raises(RecipeError, match="tokenize.template: a tokenizer that is trained on the mixture has no template"):
        load_recipe("smoke", {"tokenize": {"template": "tokenizer"}})


def test_an_unknown_template_or_kind_of_tokenizer_is_refused_by_the_recipe():
    with pytest.raises(RecipeError, match="tokenize.template: .*'chatml'"):
        load_recipe("smoke", {"tokenize": {"template": "chatlm"}})
    with pytest.raises(RecipeError, match="tokenize.tokenizer.revison: unknown key; did you mean 'revision'"):
        load_recipe("smoke", {"tokenize": {"tokenizer": {"kind": "hub", "id": "a/b", "revison": "v1"}}})


def test_no_torch_is_needed(saved):
    """In a process in which torch cannot be imported: open, render, encode."""
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from posttrain.schema import Message\n"
        "from posttrain.tokenize.chat import encode_texts, render_turns\n"
        "from posttrain.tokenize.tokenizer import open_tokenizer\n"
        f"chat = open_tokenizer(Path({str(saved)!r}), 'chatml')\n"
        "text, spans = render_turns(chat, (Message('user', 'a'), Message('assistant', 'b')))\n"
        "print(len(encode_texts(chat, [text])[0].ids))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) > 5, done.stderr
