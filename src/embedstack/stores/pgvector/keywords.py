"""Ranks records by BM25 with the inverted index of migrations/0003_keywords.sql.

The formula is Lucene's: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009
(https://doi.org/10.1561/1500000019), without the constant factor k1 + 1.
"""

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from psycopg import sql

from embedstack.stores.pgvector.database import Connection
from embedstack.stores.pgvector.generations import Generation

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from psycopg import Cursor

__all__ = ["KeywordQuery", "KeywordRanking", "Matches"]

_K1, _B = 1.2, 0.75
_POSTING = np.dtype([("number", ">u4"), ("length", ">u2"), ("frequency", "u1")])
_NUMBER = np.dtype(">u4")
#: Documents with the same score as the last one, at most. More would only slow down a search.
_MAX_TIED = 1000
#: Up to this range of numbers per posting, an array over the range is faster than a sorted list of the numbers.
_MAX_SPREAD = 20
#: The best of every so many documents give a limit that most documents do not reach.
_SAMPLED = 16
_POSITIVE = float(np.finfo(np.float64).tiny)
_LENGTHS = np.arange(1 << 16, dtype=np.float64)


class KeywordQuery:
    """The statements that read the postings and the statistics for a text.

    They are sent at once and fetched later, so that a pipeline needs one round trip. Both must see the same snapshot.
    """

    def __init__(self, connection: Connection, generation: Generation, text: str) -> None:
        """Send the statements."""
        postings, batches = generation.keyword_table("postings"), generation.keyword_table("batches")
        self._postings: Cursor[Any] = connection.execute(
            # OFFSET 0 keeps the lookup of each term in the index; the planner does not know the number of terms.
            sql.SQL(
                "SELECT query.term, query.frequency, found.documents FROM {terms}("
                "(SELECT text_search::regconfig FROM {generations} WHERE id = %s), %s, true) AS query, "
                "LATERAL (SELECT documents FROM {postings} WHERE term = query.term OFFSET 0) AS found"
            ).format(
                terms=sql.Identifier(generation.schema, "keyword_terms"),
                generations=sql.Identifier(generation.schema, "generations"),
                postings=postings,
            ),
            (generation.id, text.replace("\0", " ")),
            binary=True,
        )
        self._statistics: Cursor[Any] = connection.execute(
            sql.SQL("SELECT sum(documents), sum(length), string_agg(removed, '') FROM {}").format(batches), binary=True
        )

    def fetch(self) -> "Matches":
        """Wait for the results."""
        frequencies: dict[str, int] = {}
        postings: dict[str, list[bytes]] = defaultdict(list)
        for term, frequency, documents in self._postings.fetchall():
            frequencies[term] = frequency
            postings[term].append(documents)
        count, length, removed = self._statistics.fetchone() or (None, None, None)
        terms = [
            # Sorted, so that documents with the same terms have the same score to the last bit.
            _Term(frequencies[term], np.frombuffer(b"".join(postings[term]), _POSTING))
            for term in sorted(postings)
        ]
        return Matches(terms, int(count or 0), int(length or 0), np.frombuffer(removed or b"", _NUMBER))


class _Term(NamedTuple):
    """A term of the query.

    Attributes:
        frequency: Its frequency in the query.
        documents: The documents that contain it, also removed ones, of the type _POSTING.
    """

    frequency: int
    documents: "NDArray[np.void]"


class Matches(NamedTuple):
    """The documents with a term of the query, and the statistics of the collection.

    Attributes:
        terms: The terms of the query.
        documents: Number of documents in the collection.
        length: Sum of their lengths, in words.
        removed: Numbers of removed documents, (removed,).
    """

    terms: list[_Term]
    documents: int
    length: int
    removed: "NDArray[np.uint32]"


class KeywordRanking:
    """Documents by number with their scores."""

    def __init__(self, matches: Matches) -> None:
        """Compute the scores."""
        terms, count, length, removed = matches
        numbers = [term.documents["number"].astype(np.intp) for term in terms]
        self._first = min((int(each.min()) for each in numbers), default=0)
        end = max((int(each.max()) for each in numbers), default=-1) + 1
        self._distinct: NDArray[np.intp] | None = None
        if end - self._first > _MAX_SPREAD * sum(map(len, numbers)):
            # Numbers are not used again, so that few documents may be spread over billions.
            self._distinct = np.unique(np.concatenate(numbers))
            numbers = [np.searchsorted(self._distinct, each) for each in numbers]
            is_removed = np.isin(self._distinct, removed)
        else:
            numbers = [each - self._first for each in numbers]
            is_removed = np.zeros(end - self._first, bool)
            within = removed[(removed >= self._first) & (removed < end)]
            is_removed[within.astype(np.intp) - self._first] = True
        self._scores = np.zeros(len(is_removed))
        average = length / count if length else 1.0
        norms = _K1 * (1 - _B + _B / average * _LENGTHS)
        for term, places in zip(terms, numbers, strict=True):
            documents = term.documents
            if len(removed):
                is_live = ~is_removed[places]
                documents, places = documents[is_live], places[is_live]  # noqa: PLW2901 - without removed ones
            idf = math.log(1 + (count - len(places) + 0.5) / (len(places) + 0.5))
            frequencies = documents["frequency"].astype(np.float64)
            scores = frequencies / (frequencies + norms[documents["length"]])
            scores *= term.frequency * idf
            self._scores[places] += scores

    def __len__(self) -> int:
        return int(np.count_nonzero(self._scores))

    def best(self, count: int) -> dict[int, float]:
        """Scores of the best documents by number, in no particular order.

        Args:
            count: Number of documents. More are returned if several have the score of the last one.
        """
        # The last one of the best documents of a sample is not better than that of all documents.
        least = max(_least(self._scores[::_SAMPLED], count), _POSITIVE)
        places = np.flatnonzero(self._scores >= least)
        scores = self._scores[places]
        least = _least(scores, count)
        above, tied = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        chosen = np.concatenate([above, tied[: max(count - len(above), _MAX_TIED)]])
        places, scores = places[chosen], scores[chosen]
        numbers = places + self._first if self._distinct is None else self._distinct[places]
        return dict(zip(numbers.tolist(), scores.tolist(), strict=True))


def _least(scores: "NDArray[np.float64]", count: int) -> float:
    """The lowest of the highest scores; 0 if there are not so many."""
    return float(np.partition(scores, -count)[-count]) if len(scores) >= count else 0.0
