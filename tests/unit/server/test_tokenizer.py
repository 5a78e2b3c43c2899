"""Texts are truncated as by the tokenizers library, and only on request."""

import json

import pytest
import tokenizers
from hypothesis import given, strategies as st

from embedstack.errors import ConfigurationError, TextTooLong
from embedstack.models.golden import golden_texts
from embedstack_server.model.tokenizer import Tokenizer
from tests.support.reference_models import ReferenceModel


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return ReferenceModel.load("roberta").write(tmp_path_factory.mktemp("roberta")) / "tokenizer.json"


@given(words=st.integers(1, 40), limit=st.integers(3, 30))
def test_tokenizer_truncates_like_the_library(path, words, limit):
    text = "</s> " + " ".join(["cat <pad> sat </s>"] * words)
    library = tokenizers.Tokenizer.from_file(str(path))
    library.no_padding()
    library.enable_truncation(limit)
    assert Tokenizer(path, limit).encode([text, "cat"], truncate=True) == [
        library.encode(text).ids, library.encode("cat").ids
    ]  # fmt: skip


def test_tokenizer_truncates_real_texts_like_the_library(minilm_folder):
    path = minilm_folder / "tokenizer.json"
    library = tokenizers.Tokenizer.from_file(str(path))
    library.no_padding()
    for limit in (3, 16, 256):
        library.enable_truncation(limit)
        expected = [encoding.ids for encoding in library.encode_batch(golden_texts())]
        assert Tokenizer(path, limit).encode(golden_texts(), truncate=True) == expected


def test_tokenizer_names_a_text_that_is_too_long(path):
    with pytest.raises(TextTooLong, match="Text 1 has 5 tokens; the model reads 4") as caught:
        Tokenizer(path, 4).encode(["cat sat", "cat sat on"], truncate=False)
    assert caught.value.index == 1


@pytest.mark.parametrize(("padding", "specials", "expected"), [(7, None, 7), (None, "<pad>", 1), (None, "[PAD]", 1)])
def test_tokenizer_reads_the_padding_id(path, tmp_path, padding, specials, expected):
    definition = json.loads(path.read_text().replace("<pad>", specials or "<pad>"))
    if padding is None:
        definition["padding"] = None
    else:
        definition["padding"]["pad_id"] = padding
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
    assert Tokenizer(tmp_path / "tokenizer.json", 8).pad_id == expected


@pytest.mark.parametrize(("pad_token", "expected"), [("far", 11), ({"content": "far"}, 11), (None, 2)])
def test_tokenizer_without_padding_pads_with_no_word(path, tmp_path, pad_token, expected):
    definition = json.loads(path.read_text().replace("<pad>", "<unused>"))
    (tmp_path / "tokenizer.json").write_text(json.dumps({**definition, "padding": None}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad_token}))
    assert Tokenizer(tmp_path / "tokenizer.json", 8).pad_id == expected


def test_tokenizer_of_another_model_is_rejected(path):
    assert Tokenizer(path, 8, vocabulary_size=12).encode(["far"], truncate=False) == [[0, 11, 2]]
    with pytest.raises(
        ConfigurationError, match=r"has 12 tokens, but the model has vectors for 11.* Download both again"
    ):
        Tokenizer(path, 8, vocabulary_size=11)


def test_incomplete_tokenizer_file_is_rejected(path, tmp_path):
    content = path.read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigurationError, match=r"not a readable tokenizer definition: .*Download it again"):
        Tokenizer(tmp_path / "tokenizer.json", 8)
