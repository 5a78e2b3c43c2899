"""Long texts are truncated as by the tokenizers library, with every kind of tokenizer, without reading them whole."""

import threading

import pytest
import tokenizers
from hypothesis import given, settings, strategies as st

from embedstack.errors import InputError, PayloadTooLarge, TextTooLong
from embedstack_server.model.tokenizer import MAX_INPUT_IDS, MAX_UNBROKEN_BYTES, Tokenizer
from tests.support.tokenizer_kinds import KINDS, UNITS, wordpiece

LIMIT = 64


class Pair:
    """This project's tokenizer and the library's, from the same file."""

    def __init__(self, path):
        self.library = tokenizers.Tokenizer.from_file(str(path))
        self.ours = Tokenizer(path, LIMIT)

    def truncated(self, text, direction):
        self.library.enable_truncation(LIMIT, direction=direction)
        encoding = self.library.encode(text)
        self.library.no_truncation()
        return encoding


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    KINDS[request.param]().save(str(path))
    return Pair(path)


@settings(max_examples=15, deadline=None)
@given(units=st.lists(st.sampled_from(UNITS), min_size=1, max_size=6), data=st.data())
@pytest.mark.parametrize("direction", ["right", "left"])
def test_tokenizer_truncates_long_texts_like_the_library(pair, direction, units, data):
    chosen = data.draw(st.lists(st.sampled_from(units), min_size=20, max_size=60))
    text = ("".join(chosen) * data.draw(st.integers(1, 200)))[:30_000]
    expected = pair.truncated(text, direction)
    if not expected.ids:
        return
    [tokenized] = pair.ours.tokenize([text], truncate=True, direction=direction, offsets=True)
    assert tokenized.ids == expected.ids
    # The library decides after truncation whether a token's leading space is part of its offsets.
    places = [[text[start:end].strip() for start, end in offsets] for offsets in (tokenized.offsets, expected.offsets)]
    assert places[0] == places[1]
    assert pair.ours.count(text) == len(pair.library.encode(text).ids)


@pytest.mark.parametrize("direction", ["right", "left"])
def test_tokenizer_truncates_several_long_texts_with_a_prompt(pair, direction):
    texts = ["cat " * 3_000, "the", "漢字" * 4_000, "(a, 1)" * 3_000]
    tokenized = pair.ours.tokenize(texts, truncate=True, direction=direction, prompt="the ")
    assert [text.ids for text in tokenized] == [pair.truncated("the " + text, direction).ids for text in texts]


def test_tokenizer_rejects_a_long_text_without_truncation(pair):
    with pytest.raises(TextTooLong, match=rf"Text 1 has (at least )?\d+ tokens; the model reads {LIMIT}") as caught:
        pair.ours.tokenize(["cat", "the cat sat, " * 100_000], truncate=False)
    assert caught.value.index == 1


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    path = tmp_path_factory.mktemp("wordpiece") / "tokenizer.json"
    wordpiece().save(str(path))
    return Pair(path)


@pytest.mark.parametrize("direction", ["right", "left"])
@pytest.mark.parametrize("unit", ["the ", "漢字", " ", "\n", "a,b(", "a漢"])
def test_tokenizer_does_not_read_huge_texts_whole(bert, monkeypatch, unit, direction):
    read = []
    encode_all = Tokenizer._encode_all

    def counted(self, texts, offsets, indices):
        read.append(sum(map(len, texts)))
        return encode_all(self, texts, offsets, indices)

    text = unit * ((4_000_000 if unit.isspace() else 25_000_000) // len(unit.encode()))
    monkeypatch.setattr(Tokenizer, "_encode_all", counted)
    ids = bert.ours.encode([text], truncate=True, direction=direction)[0]
    if unit.isspace():  # all of it may matter, but it is read in segments
        assert ids == [2, 3]
        assert max(read) < 200_000
    else:
        assert len(ids) == LIMIT
        assert sum(read) < 20_000


@pytest.mark.parametrize("direction", ["right", "left"])
def test_tokenizer_limits_texts_that_cannot_be_split(bert, direction):
    word = "a" * 1_000_000
    assert bert.ours.encode([word], truncate=True, direction=direction) == [[2, 1, 3]]
    with pytest.raises(
        TextTooLong, match=f"Text 0 has more than {MAX_UNBROKEN_BYTES} bytes without a position to split"
    ):
        bert.ours.encode(["a" * (MAX_UNBROKEN_BYTES + 10_000)], truncate=True, direction=direction)


def test_tokenizer_releases_the_interpreter_lock_for_long_words(bert):
    ticks = 0
    done = threading.Event()

    def tokenize():
        bert.ours.encode(["a" * 2_000_000], truncate=True)
        done.set()

    threading.Thread(target=tokenize).start()
    while not done.wait(0.001):
        ticks += 1
    assert ticks > 20


def test_tokenizer_limits_the_total_number_of_tokens(bert):
    assert len(bert.ours.tokenize(["the cat"] * 5, truncate=True, most_tokens=20)) == 5
    with pytest.raises(PayloadTooLarge, match="more than 19 tokens in total"):
        bert.ours.tokenize(["the cat"] * 5, truncate=True, most_tokens=19)


def test_tokenizer_decodes_token_ids_and_tokenizes_them_again(bert):
    ids = bert.ours.encode(["the cat sat"], truncate=True)[0]
    [again, bare, prompted] = bert.ours.tokenize([ids, ids[1:-1], "the"], truncate=True)
    assert again.ids == ids
    assert bare.ids == ids[1:-1], "special tokens were added"
    assert prompted.ids == [2, 4, 3]
    assert bert.ours.tokenize([ids], truncate=True, prompt="the ")[0].ids == [2, 4, *ids[1:]]
    long = [4] * 100
    assert bert.ours.tokenize([long], truncate=True)[0].ids == long[:LIMIT]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ([99], InputError, "token id 99; the model's token ids are 0 to 15"),
        ([-1], InputError, "token id -1"),
        ([4] * (MAX_INPUT_IDS + 1), TextTooLong, f"the maximum is {MAX_INPUT_IDS}"),
        ([4] * 100, TextTooLong, "has 100 tokens"),
        ("half a \ud83d", InputError, "not valid Unicode"),
    ],
)
def test_tokenizer_rejects_invalid_input_with_its_index(bert, text, error, message):
    with pytest.raises(error, match=message) as caught:
        bert.ours.tokenize(["the cat", text], truncate=False)
    assert caught.value.index == 1
