"""Texts are cut as the reference cuts them, and only when asked."""

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
def test_cuts_as_the_tokenizers_library_does(path, words, limit):
    text = "</s> " + " ".join(["cat <pad> sat </s>"] * words)
    library = tokenizers.Tokenizer.from_file(str(path))
    library.no_padding()
    library.enable_truncation(limit)
    assert Tokenizer(path, limit).encode([text, "cat"], truncate=True) == [
        library.encode(text).ids, library.encode("cat").ids
    ]  # fmt: skip


def test_cuts_real_texts_as_the_tokenizers_library_does(minilm_folder):
    path = minilm_folder / "tokenizer.json"
    library = tokenizers.Tokenizer.from_file(str(path))
    library.no_padding()
    for limit in (3, 16, 256):
        library.enable_truncation(limit)
        expected = [encoding.ids for encoding in library.encode_batch(golden_texts())]
        assert Tokenizer(path, limit).encode(golden_texts(), truncate=True) == expected


def test_a_text_that_is_too_long_is_named(path):
    with pytest.raises(TextTooLong, match="Text 1 has 5 tokens; the model reads 4") as caught:
        Tokenizer(path, 4).encode(["cat sat", "cat sat on"], truncate=False)
    assert caught.value.index == 1


@pytest.mark.parametrize(("padding", "specials", "expected"), [(7, None, 7), (None, "<pad>", 1), (None, "[PAD]", 1)])
def test_padding_is_the_models_own(path, tmp_path, padding, specials, expected):
    definition = json.loads(path.read_text().replace("<pad>", specials or "<pad>"))
    if padding is None:
        definition["padding"] = None
    else:
        definition["padding"]["pad_id"] = padding
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
    assert Tokenizer(tmp_path / "tokenizer.json", 8).pad_id == expected


def test_another_models_tokenizer_is_refused(path):
    assert Tokenizer(path, 8, vocabulary_size=12).encode(["far"], truncate=False) == [[0, 11, 2]]
    with pytest.raises(ConfigurationError, match=r"has 12 tokens, but the model has vectors for 11.* Fetch both again"):
        Tokenizer(path, 8, vocabulary_size=11)


def test_a_truncated_tokenizer_is_refused(path, tmp_path):
    content = path.read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigurationError, match=r"not a readable tokenizer definition: .*fetch it again"):
        Tokenizer(tmp_path / "tokenizer.json", 8)
