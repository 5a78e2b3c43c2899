"""A full-text index of one metadata key, ranked by BM25."""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from localaws.services.s3vectors.text_analysis import analyzer

__all__ = ["TextIndex"]

# The defaults of Lucene and OpenSearch. AWS does not document its own.
_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75
#: Deleted texts that are kept before the index is rebuilt.
_MIN_DELETED = 1000


class _Postings:
    """The texts that contain a term, and how often."""

    __slots__ = ("count", "frequencies", "texts")

    def __init__(self) -> None:
        self.texts, self.frequencies = array("q"), array("q")
        #: Number of texts without deleted ones.
        self.count = 0


class TextIndex:
    """Texts by key, ranked by BM25 as Lucene computes it. Not safe for threads: the vector index has a lock.

    ``score = Σ idf · tf · (k1 + 1) / (tf + k1 · (1 - b + b · length / mean length))`` with
    ``idf = ln(1 + (N - n + 0.5) / (n + 0.5))``, k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, 2009).
    """

    def __init__(self, language: str | None) -> None:
        """Create an empty index.

        Args:
            language: Language of texts and queries; None for the standard analyzer.
        """
        self.language = language
        self._analyze = analyzer(language)
        #: The latest text of each key that was written since the last search; None for a deleted one.
        self._pending: dict[str, str | None] = {}
        self._clear()

    def __getstate__(self) -> dict[str, Any]:
        self._apply()
        return {"language": self.language, "texts": [self._texts[number] for number in self._numbers.values()]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["language"])  # type: ignore[misc]
        self._pending = dict(state["texts"])

    def __len__(self) -> int:
        """The number of texts."""
        self._apply()
        return len(self._numbers)

    def put(self, key: str, text: str) -> None:
        """Store a text; the former text of the key is replaced. It is analyzed before the next search."""
        self._pending[key] = text

    def delete(self, key: str) -> None:
        """Delete a text; a missing key is ignored."""
        self._pending[key] = None

    def search(self, query: str, count: int, accepts: Callable[[str], bool] | None = None) -> dict[str, float]:
        """The scores of the texts that contain a term of the query, highest first; equal ones in order of insertion.

        Args:
            query: The query.
            count: Maximum number of results.
            accepts: Whether a key may be a result. Other texts count for the rarity of terms only.
        """
        self._apply()
        scores = self._scores(query)
        matching = np.flatnonzero(scores > 0)
        results: dict[str, float] = {}
        for number in matching[np.argsort(-scores[matching], kind="stable")].tolist():
            key = self._texts[number][0]
            if accepts is None or accepts(key):
                results[key] = float(scores[number])
                if len(results) == count:
                    break
        return results

    def _scores(self, query: str) -> "np.ndarray":
        """Float64 (texts,): 0 for texts without a term of the query, NaN for deleted ones that have one."""
        lengths = np.array(self._lengths)
        scores = np.zeros(len(lengths))
        for term, repeats in Counter(self._analyze(query)).items():
            postings = self._postings.get(term)
            if postings is None or not postings.count:
                continue
            rarity = math.log1p((len(self._numbers) - postings.count + 0.5) / (postings.count + 0.5))
            texts, frequencies = np.array(postings.texts), np.array(postings.frequencies)
            relative = lengths[texts] * len(self._numbers) / self._total
            norm = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * relative)
            scores[texts] += repeats * rarity * frequencies * (_SATURATION + 1) / (frequencies + norm)
        return scores

    def _apply(self) -> None:
        """Apply the writes since the last search."""
        pending, self._pending = self._pending, {}
        for key, text in pending.items():
            self._remove(key)
            if text is not None:
                self._add(key, text)
        deleted = len(self._lengths) - len(self._numbers)
        if deleted > max(_MIN_DELETED, len(self._numbers)):
            texts = [self._texts[number] for number in self._numbers.values()]
            self._clear()
            for key, text in texts:
                self._add(key, text)

    def _add(self, key: str, text: str) -> None:
        terms = self._analyze(text)
        number = len(self._lengths)
        for term, frequency in Counter(terms).items():
            postings = self._postings[term]
            postings.texts.append(number)
            postings.frequencies.append(frequency)
            postings.count += 1
        self._lengths.append(len(terms))
        self._texts.append((key, text))
        self._numbers[key] = number
        self._total += len(terms)

    def _remove(self, key: str) -> None:
        number = self._numbers.pop(key, None)
        if number is None:
            return
        for term in set(self._analyze(self._texts[number][1])):
            self._postings[term].count -= 1
        self._total -= int(self._lengths[number])
        self._lengths[number] = math.nan  # which makes the score NaN
        self._texts[number] = ("", "")

    def _clear(self) -> None:
        self._postings: defaultdict[str, _Postings] = defaultdict(_Postings)
        #: Terms of each text; NaN for a deleted text.
        self._lengths = array("d")
        self._texts: list[tuple[str, str]] = []
        self._numbers: dict[str, int] = {}
        self._total = 0
