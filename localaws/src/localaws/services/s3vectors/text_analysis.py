"""Analyzers of full-text search, which split a text into the terms that are compared.

AWS documents a standard analyzer and one for each of ten languages, and not how they work. Here the standard analyzer
follows Unicode's rules for words (UAX #29) as Lucene's does: lower-case words, and each Chinese or Japanese character
for itself. The analyzers of seven languages stem words with Snowball and keep stop words, which BM25 weighs little.
Those of Chinese, Japanese and Korean return pairs of neighbouring characters, as Lucene's CJKAnalyzer.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from itertools import pairwise

import snowballstemmer

__all__ = ["Analyzer", "analyzer"]

Analyzer = Callable[[str], list[str]]

_STEMMERS = {
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "it": "italian",
    "nl": "dutch",
    "pt": "portuguese",
}
_BY_PAIRS = frozenset({"zh", "ja", "ko"})
#: Words whose stems are remembered.
_REMEMBERED = 100_000

_HAN_AND_HIRAGANA = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK = re.compile(f"[{_HAN_AND_HIRAGANA}\u30a0-\u30ff\uac00-\ud7af]+")
# A word, which contains full stops and apostrophes between letters, and full stops and commas between digits.
_WORD = re.compile(
    rf"[{_HAN_AND_HIRAGANA}]"
    rf"|(?:(?![{_HAN_AND_HIRAGANA}])\w)+"
    rf"(?:(?:(?<=[^\W\d_])[.'\u2019](?=[^\W\d_])|(?<=\d)[.,](?=\d))(?:(?![{_HAN_AND_HIRAGANA}])\w)+)*"
)


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
    stemmer = snowballstemmer.stemmer(_STEMMERS[language])
    stem: Callable[[str], str] = lru_cache(_REMEMBERED)(stemmer.stemWord)
    return lambda text: [stem(word.removesuffix("'s")) for word in _words(text)]


def _words(text: str) -> list[str]:
    return [match[0].lower().replace("\u2019", "'") for match in _WORD.finditer(text)]


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
