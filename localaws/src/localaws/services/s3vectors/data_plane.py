"""Operations on vectors."""

import json
import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from localaws.services.s3vectors.buckets import Buckets, Caller, Index
from localaws.services.s3vectors.encryption import check_key
from localaws.services.s3vectors.filters import parse_filter
from localaws.services.s3vectors.metadata import metadata_problem, metadata_size
from localaws.services.s3vectors.paging import Searches, read_token, write_token
from localaws.services.s3vectors.refusals import Refusal, invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localaws.services.s3vectors.vector_table import Neighbour, StoredVector

__all__ = ["DataPlane"]

_Document = dict[str, Any]

_LIST_PAGE = 500
#: ListVectors ends a page when it has read so much (API reference).
_LIST_BYTES = 1024 * 1024
#: Since June 16, 2026 ("Amazon S3 Vectors now supports 10,000 search results per query"), in pages of 100.
_MAX_TOP_K = 10_000
_QUERY_PAGE = 100
#: What JSON has no numbers for, as Smithy's services read it.
_NO_NUMBERS = {"NaN", "Infinity", "-Infinity"}


class DataPlane:
    """The operations, by their names in botocore; each takes the caller and the request, and gives the answer."""

    def __init__(self, buckets: Buckets) -> None:
        """Work on the indexes of buckets."""
        self._buckets = buckets
        self._searches = Searches()

    def put_vectors(self, caller: Caller, request: _Document) -> _Document:
        """PutVectors: all of them, or none."""
        index, records = self._index(caller, request), request["vectors"]
        metadata = [record.get("metadata") or {} for record in records]
        vectors = _matrix(records, index)
        for position, (record, found) in enumerate(zip(records, metadata, strict=True)):
            if problem := metadata_problem(found, index.not_filterable):
                raise _invalid_record(record["key"], problem, f"vectors[{position}].metadata")
        with index.lock:
            index.rates.take(len(records))
            index.vectors.put([record["key"] for record in records], vectors, metadata)
        return {}

    def get_vectors(self, caller: Caller, request: _Document) -> _Document:
        """GetVectors: those that are there."""
        index = self._index(caller, request)
        with index.lock:
            found = list(index.vectors.get(request["keys"]))
        return {"vectors": [_shown(vector, request) for vector in found]}

    def delete_vectors(self, caller: Caller, request: _Document) -> _Document:
        """DeleteVectors; keys that are not there are no error."""
        index = self._index(caller, request)
        with index.lock:
            index.rates.take(len(request["keys"]))
            index.vectors.delete(request["keys"])
        return {}

    def list_vectors(self, caller: Caller, request: _Document) -> _Document:
        """ListVectors, whole or a segment of it."""
        index = self._index(caller, request)
        segments, segment = request.get("segmentCount"), request.get("segmentIndex")
        if (segments is None) != (segment is None) or (segment or 0) >= (segments or 1):
            raise invalid(
                "segmentCount and segmentIndex must be given together, and segmentIndex be less", "segmentIndex"
            )
        kind = f"{index.arn} {segment or 0}/{segments or 1}"
        after, size = read_token(kind, request.get("nextToken")) or 0, request.get("maxResults") or _LIST_PAGE
        page: list[StoredVector] = []
        read = 0
        with index.lock:
            for vector in index.vectors.scan(after, segment=segment or 0, segments=segments or 1):
                if len(page) == size or read > _LIST_BYTES:
                    more = {"nextToken": write_token(kind, page[-1].sequence)}
                    break
                page.append(vector)
                read += len(vector.key) + 4 * index.dimension + metadata_size(vector.metadata)
            else:
                more = {}
        return {"vectors": [_shown(vector, request) for vector in page], **more}

    def query_vectors(self, caller: Caller, request: _Document) -> _Document:
        """QueryVectors, by vector; exact, where the service's is approximate."""
        index = self._index(caller, request)
        _check_query(request)
        question = [json.dumps(request.get(name)) for name in ("queryVector", "topK", "filter")]
        position = read_token(index.arn, request.get("nextToken"))
        if position is None:
            name, start, found = None, 0, self._search(index, request)
        else:
            name, start = position
            found = self._searches.recall(name, question)
        end = start + _QUERY_PAGE
        more = {}
        if end < len(found):
            more = {"nextToken": write_token(index.arn, [name or self._searches.keep(question, found), end])}
        vectors = [_neighbour(one, request) for one in found[start:end]]
        return {"vectors": vectors, "distanceMetric": index.metric, **more}

    def _search(self, index: Index, request: _Document) -> "list[Neighbour]":
        document = request.get("filter")
        predicate = None if document is None else parse_filter(document, index.not_filterable)
        query = _values([request["queryVector"].get("float32") or []])[0]
        problem = None
        if len(query) != index.dimension:
            problem = f"vector must have length {index.dimension}, but has length {len(query)}"
        elif not np.isfinite(query).all():
            problem = "vector contains NaNs or Infs"
        elif index.metric == "cosine" and not query.any():
            problem = "cosine distance does not support vectors with zero norm"
        if problem:
            message = "Query vector contains invalid values or is invalid for this index"
            raise invalid(message, "vector", f"Invalid input: {problem}")
        with index.lock:
            return index.vectors.search(query, request["topK"], predicate)

    def _index(self, caller: Caller, request: _Document) -> Index:
        with self._buckets.lock:
            index = self._buckets.index(caller, request)
        check_key(caller, index.encryption)
        return index


def _matrix(records: list[_Document], index: Index) -> "NDArray[np.float32]":
    """The vectors of PutVectors as float32 (records, dimension).

    Raises:
        Refusal: One of them is not one of the index's.
    """
    rows = [record["data"].get("float32") or [] for record in records]
    for position, row in enumerate(rows):
        if len(row) != index.dimension:
            problem = f"vector must have length {index.dimension}, but has length {len(row)}"
            raise _invalid_record(records[position]["key"], problem, f"vectors[{position}]")
    vectors = _values(rows)
    # The largest value tells both: NaN and infinity stay, and that of zeros is zero.
    for position, most in enumerate(np.abs(vectors).max(axis=1).tolist()):
        if not math.isfinite(most):
            problem = "vector contains NaNs or Infs"
        elif most == 0 and index.metric == "cosine":
            problem = "cosine distance does not support vectors with zero norm"
        else:
            continue
        raise _invalid_record(records[position]["key"], problem, f"vectors[{position}]")
    return vectors


def _values(rows: list[list[Any]]) -> "NDArray[np.float32]":
    """Numbers as float32, which is what the service judges; too large ones become infinite.

    Raises:
        Refusal: They are not numbers.
    """
    kinds = set(map(type, chain.from_iterable(rows)))
    texts = [value for value in chain.from_iterable(rows) if isinstance(value, str)] if str in kinds else []
    if not kinds <= {int, float, str} or not _NO_NUMBERS.issuperset(texts):
        raise Refusal("SerializationException", "Expected numbers in 'float32'")
    try:
        with np.errstate(over="ignore"):
            return np.array(rows, np.float64).astype(np.float32)
    except OverflowError:
        raise Refusal("SerializationException", "Expected numbers in 'float32'") from None


def _check_query(request: _Document) -> None:
    if request.get("queryTexts"):
        raise Refusal("NotImplementedException", "The local AWS does not implement s3vectors: full-text search.")
    if request.get("queryVector") is None:
        raise invalid("Must specify queryVector, queryTexts, or both", "queryVector")
    if request["topK"] > _MAX_TOP_K:
        constraint = f"Member must be between 1 and {_MAX_TOP_K}, inclusive"
        message = f"Value at '/topK' failed to satisfy constraint: {constraint}"
        raise invalid(f"1 validation error detected. {message}", "/topK", message)
    if request.get("queryMode") == "CLASSIC":
        raise invalid("queryMode CLASSIC is not allowed for an ENHANCED index", "queryMode")


def _shown(vector: "StoredVector", request: _Document) -> _Document:
    shown: _Document = {"key": vector.key}
    if request.get("returnData"):
        shown["data"] = {"float32": vector.values.tolist()}
    if request.get("returnMetadata"):
        shown["metadata"] = vector.metadata
    return shown


def _neighbour(found: "Neighbour", request: _Document) -> _Document:
    shown: _Document = {"key": found.key}
    if request.get("returnDistance"):
        shown["distance"] = found.distance
    if request.get("returnMetadata"):
        shown["metadata"] = found.metadata
    return shown


def _invalid_record(key: str, problem: str, path: str) -> Refusal:
    return invalid(f"Invalid record for key '{key}': {problem}", path, problem)
