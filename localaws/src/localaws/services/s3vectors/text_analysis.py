"""Analyzers of full-text search, which split a text into the terms that are compared.

AWS documents a standard analyzer and one for each of ten languages, and not how they work. Here they follow Lucene's.
The standard analyzer splits by Unicode's rules for words (UAX #29) and lowers the case; each Chinese or Japanese
character is a word. The analyzers of seven languages also drop stop words and stem with Snowball. Those of Chinese,
Japanese and Korean return pairs of adjacent characters, as CJKAnalyzer.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import pairwise

import snowballstemmer
from bm25s import stopwords

__all__ = ["Analyzer", "analyzer"]

Analyzer = Callable[[str], list[str]]

#: Snowball's stemmers, and the stop words of Snowball; of Lucene for English.
_LANGUAGES = {
    "de": ("german", stopwords.STOPWORDS_GERMAN),
    "en": ("english", stopwords.STOPWORDS_EN),
    "es": ("spanish", stopwords.STOPWORDS_SPANISH),
    "fr": ("french", stopwords.STOPWORDS_FRENCH),
    "it": ("italian", stopwords.STOPWORDS_ITALIAN),
    "nl": ("dutch", stopwords.STOPWORDS_DUTCH),
    "pt": ("portuguese", stopwords.STOPWORDS_PORTUGUESE),
}
_BY_PAIRS = frozenset({"zh", "ja", "ko"})
#: Words whose stems are remembered.
_REMEMBERED = 100_000

_HAN_AND_HIRAGANA = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK = re.compile(f"[{_HAN_AND_HIRAGANA}\u30a0-\u30ff\uac00-\ud7af]+")
_CHARACTER = re.compile(f"[{_HAN_AND_HIRAGANA}]")
# A word, which contains full stops and apostrophes between letters, and full stops and commas between digits.
_WORD = re.compile(r"\w+(?:(?:(?<=[^\W\d_])[.'](?=[^\W\d_])|(?<=\d)[.,](?=\d))\w+)*")


@cache
def analyzer(language: str | None) -> Analyzer:
    """The analyzer of a language.

    Args:
        language: One of S3 Vectors' language codes; None for the standard analyzer.
    """
    if language is None:
        return _words
    if language in _BY_PAIRS:
        return _words_and_pairs
    name, stop_words = _LANGUAGES[language]
    stem: Callable[[str], str] = lru_cache(_REMEMBERED)(snowballstemmer.stemmer(name).stemWord)
    dropped = frozenset(stop_words)
    return lambda text: [stem(word.removesuffix("'s")) for word in _words(text) if word not in dropped]


def _words(text: str) -> list[str]:
    return _WORD.findall(_CHARACTER.sub(r" \g<0> ", text).lower().replace("\u2019", "'"))


def _words_and_pairs(text: str) -> list[str]:
    return [term for part in _split(text) for term in part]


def _split(text: str) -> Iterator[list[str]]:
    start = 0
    for match in _CJK.finditer(text):
        yield _words(text[start : match.start()])
        run = match[0]
        yield [one + other for one, other in pairwise(run)] or [run]
        start = match.end()
    yield _words(text[start:])
