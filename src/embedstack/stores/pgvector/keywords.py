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

__all__ = ["KeywordQuery", "KeywordRanking"]

_K1, _B = 1.2, 0.75
_POSTING = np.dtype([("number", ">u4"), ("length", ">u2"), ("frequency", "u1")])
_NUMBER = np.dtype(">u4")
#: Documents with the same score as the last one, at most. More would only slow down a search.
_MAX_TIED = 1000
#: Up to this range of numbers per posting, an array over the range is faster than a sorted list of the numbers.
_MAX_SPREAD = 20


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

    def ranking(self) -> "KeywordRanking":
        """The ranking of all documents with a term of the text."""
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
        return KeywordRanking(terms, int(count or 0), int(length or 0), np.frombuffer(removed or b"", _NUMBER))


class _Term(NamedTuple):
    """A term of the query.

    Attributes:
        frequency: Its frequency in the query.
        documents: The documents that contain it, also removed ones, of the type _POSTING.
    """

    frequency: int
    documents: "NDArray[np.void]"


class KeywordRanking:
    """Documents by number with their scores."""

    def __init__(self, terms: list[_Term], count: int, length: int, removed: "NDArray[np.uint32]") -> None:
        """Compute the scores.

        Args:
            terms: The terms of the query.
            count: Number of documents in the collection.
            length: Sum of their lengths, in words.
            removed: Numbers of removed documents, (removed,).
        """
        numbers = [term.documents["number"].astype(np.intp) for term in terms]
        first = min((int(each.min()) for each in numbers), default=0)
        end = max((int(each.max()) for each in numbers), default=-1) + 1
        distinct = None
        if end - first > _MAX_SPREAD * sum(map(len, numbers)):
            # Numbers are not used again, so that few documents may be spread over billions.
            distinct = np.unique(np.concatenate(numbers))
            numbers = [np.searchsorted(distinct, each) for each in numbers]
            is_removed = np.isin(distinct, removed)
        else:
            numbers = [each - first for each in numbers]
            is_removed = np.zeros(end - first, bool)
            is_removed[removed[(removed >= first) & (removed < end)].astype(np.intp) - first] = True
        scores = np.zeros(len(is_removed))
        average = length / count if length else 1.0
        for term, places in zip(terms, numbers, strict=True):
            is_live = ~is_removed[places]
            documents, places = term.documents[is_live], places[is_live]  # noqa: PLW2901 - without removed ones
            idf = math.log(1 + (count - len(places) + 0.5) / (len(places) + 0.5))
            frequencies = documents["frequency"].astype(np.float64)
            lengths = documents["length"].astype(np.float64)
            scores[places] += (
                term.frequency * idf * frequencies / (frequencies + _K1 * (1 - _B + _B * lengths / average))
            )
        places = np.flatnonzero(scores)
        self._numbers = places + first if distinct is None else distinct[places]
        self._scores = scores[places]

    def __len__(self) -> int:
        return len(self._numbers)

    def best(self, count: int) -> tuple[list[int], list[float]]:
        """Numbers and scores of the best documents, in no particular order.

        Args:
            count: Number of documents. More are returned if several have the score of the last one.
        """
        if count >= len(self):
            return self._numbers.tolist(), self._scores.tolist()
        least = np.partition(self._scores, -count)[-count]
        above, tied = np.flatnonzero(self._scores > least), np.flatnonzero(self._scores == least)
        chosen = np.concatenate([above, tied[: max(count - len(above), _MAX_TIED)]])
        return self._numbers[chosen].tolist(), self._scores[chosen].tolist()
