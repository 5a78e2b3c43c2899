"""Pairs are combined and truncated as by the tokenizers library, with every kind of tokenizer."""

import pytest
import tokenizers
from hypothesis import given, settings, strategies as st
from tokenizers import processors

from embedstack_server.model.pair_tokenizer import PairTokenizer, longest_first
from embedstack_server.model.tokenizer import Tokenizer
from tests.support.tokenizer_kinds import KINDS, UNITS, unigram, wordpiece

LIMITS = (6, 16, 17)


def with_types_in_all_places():
    tokenizer = wordpiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS]:1 $A:2 [SEP]:0 $B:3 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def with_two_separators():
    tokenizer = unigram(KINDS["unigram"]().pre_tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


PAIR_KINDS = {
    **KINDS,
    "types in all places": with_types_in_all_places,
    "two separators": with_two_separators,
}


@pytest.fixture(scope="module", params=PAIR_KINDS)
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    PAIR_KINDS[request.param]().save(str(path))
    return path


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(UNITS), min_size=1, max_size=40).map("".join),
    st.lists(st.sampled_from(UNITS), min_size=1, max_size=300).map("".join),
    st.sampled_from(["left", "right"]),
    st.sampled_from(LIMITS),
    st.booleans(),
)
def test_pairs_equal_those_of_the_library(path, short, long, direction, limit, is_swapped):
    query, text = (long, short) if is_swapped else (short, long)
    library = tokenizers.Tokenizer.from_file(str(path))
    library.enable_truncation(limit, strategy="longest_first", direction=direction)
    expected = library.encode(query, text)
    (pair,) = PairTokenizer(Tokenizer(path, limit)).tokenize(query, [text], truncate=True, direction=direction)
    assert list(pair) == expected.ids
    assert pair.types == (expected.type_ids if any(library.encode("a", "a").type_ids) else [])


def test_pairs_of_one_call_equal_single_pairs(path):
    tokenizer = PairTokenizer(Tokenizer(path, 16))
    texts = ["the cat", "漢字" * 40, "a", "cats, (a) cat sat " * 500]
    together = tokenizer.tokenize("the cat sat", texts, truncate=True)
    alone = [tokenizer.tokenize("the cat sat", [text], truncate=True)[0] for text in texts]
    assert [(list(pair), pair.types) for pair in together] == [(list(pair), pair.types) for pair in alone]


@pytest.mark.parametrize(
    ("first", "second", "most", "expected"),
    [
        (8, 4, 6, (3, 3)),
        (2, 3, 5, (2, 3)),
        (8, 1, 5, (4, 1)),
        (1, 8, 5, (1, 4)),
        (5, 5, 5, (2, 3)),
        (6, 5, 5, (3, 2)),
        (5, 0, 3, (3, 0)),
        (2, 9, 6, (2, 4)),
        (9, 9, 2, (1, 1)),
    ],
)
def test_longest_first_leaves_the_shorter_text_its_half(first, second, most, expected):
    assert longest_first(first, second, most) == expected
