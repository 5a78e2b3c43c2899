"""S3 Vectors: analyzers and the BM25 index."""

import copy
import math
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from localaws.services.s3vectors.text_analysis import analyzer
from localaws.services.s3vectors.text_index import TextIndex


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        (None, "The 2 QUICK Brown-Foxes jumped.", ["the", "2", "quick", "brown", "foxes", "jumped"]),
        (None, "dog's 3.14 1,000 a.com E-4711 x_1", ["dog's", "3.14", "1,000", "a.com", "e", "4711", "x_1"]),
        (None, "東京 ひらがな カタカナ 한국어", ["東", "京", "ひ", "ら", "が", "な", "カタカナ", "한국어"]),
        (None, "v2東京x", ["v2", "東", "京", "x"]),
        ("en", "The dog\u2019s connections", ["dog", "connect"]),
        ("fr", "les continuations", ["continu"]),
        ("es", "las canciones", ["cancion"]),
        ("pt", "as canções", ["cançõ"]),
        ("it", "le canzoni", ["canzon"]),
        ("de", "die Häuser", ["haus"]),
        ("nl", "de huizen", ["huis"]),
        ("zh", "搜索引擎 S3", ["搜索", "索引", "引擎", "s3"]),
        ("ja", "東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("ko", "한국어 말", ["한국", "국어", "말"]),
    ],
)  # fmt: skip
def test_analyzer_returns_terms(language, text, terms):
    assert analyzer(language)(text) == terms


@settings(max_examples=80, deadline=None)
@given(
    writes=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.none() | st.lists(st.sampled_from(["x", "y", "z"]), max_size=5)),
        max_size=30,
    ),
    query=st.lists(st.sampled_from(["x", "y", "z", "w"]), max_size=3),
)
def test_text_index_agrees_with_the_formula_after_any_writes(writes, query):
    index = TextIndex(None)
    texts: dict[str, list[str]] = {}
    for key, words in writes:
        if words is None:
            index.delete(key)
            texts.pop(key, None)
        else:
            index.put(key, " ".join(words))
            texts[key] = words
    assert len(index) == len(texts)
    expected = {key: _bm25(words, query, texts.values()) for key, words in texts.items() if set(words) & set(query)}
    found = index.search(" ".join(query), 100)
    assert found == pytest.approx(expected)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert copy.deepcopy(index).search(" ".join(query), 100) == pytest.approx(expected)
    assert index.search(" ".join(query), 1, lambda key: key in "abc").keys() <= set("abc")


def _bm25(words, query, texts):
    mean = sum(map(len, texts)) / len(texts)
    score = 0.0
    for term, repeats in Counter(query).items():
        frequency, matching = words.count(term), sum(term in text for text in texts)
        rarity = math.log(1 + (len(texts) - matching + 0.5) / (matching + 0.5))
        norm = 1.2 * (0.25 + 0.75 * len(words) / mean)
        score += repeats * rarity * frequency * 2.2 / (frequency + norm) if frequency else 0
    return score


def test_text_index_is_rebuilt_after_many_deletions():
    index = TextIndex(None)
    for number in range(2500):
        index.put(f"k{number % 10}", f"x y{number}")
        assert len(index) == min(number + 1, 10)
    assert list(index.search("x", 20)) == [f"k{number}" for number in range(10)]
    assert list(index.search("y2495", 20)) == ["k5"]
    assert index.search("y5", 20) == {}
