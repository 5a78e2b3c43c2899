"""The S3 Vectors API: moto's, with validation against the API model, and actions on vectors that scale and query."""

import json
import math
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from botocore import xform_name
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import get_service_model
from moto.s3vectors import urls
from moto.s3vectors.responses import S3VectorsResponse

from localaws.core.request_validation import RequestTypeError, summarize, violations
from localaws.services.s3vectors.encryption import check_key
from localaws.services.s3vectors.errors import InvalidRequest, SerializationError
from localaws.services.s3vectors.metadata import metadata_problem, metadata_size
from localaws.services.s3vectors.paging import named_page, read_token, write_token
from localaws.services.s3vectors.queries import QueryMatch, parse_query, run_query
from localaws.services.s3vectors.usage_meter import meter_put, meter_query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localaws.services.s3vectors.records import VectorIndex, VectorsBackend
    from localaws.services.s3vectors.service import S3Vectors
    from localaws.services.s3vectors.vector_table import StoredVector

__all__ = ["SIMPLIFICATIONS", "S3VectorsApi"]

SIMPLIFICATIONS = {
    "CreateIndex": "Analyzers as in Lucene; AWS documents none. Those of zh, ja and ko use pairs of characters.",
    "PutVectorBucketDefaultIndexMode": "ENHANCED only: CLASSIC is for buckets from before September 30, 2026.",
    "PutVectorBucketPolicy": "The policy is stored and not applied.",
    "QueryVectors": "Exact instead of approximate. BM25 as in Lucene; RRF with the constant 60 over topK results each.",
    "UpdateIndexMode": "ENHANCED only: CLASSIC is for buckets from before September 30, 2026.",
    "UpdateMetadataConfiguration": "BUILDING lasts 2 s, and 1 s more per 1,000 vectors; AWS documents no duration.",
}

_Document = dict[str, Any]
_Response = tuple[int, dict[str, str], str]

#: "Request payload size: Up to 20 MiB" (user guide, "Limitations and restrictions").
_MAX_REQUEST = 20 * 1024 * 1024
_LIST_PAGE = 500
#: ListVectors ends a page after it has read this many bytes (API reference).
_LIST_BYTES = 1024 * 1024
_QUERY_PAGE = 100
#: Values without a JSON number, as services built with Smithy write them.
_SPECIAL_NUMBERS = {"NaN", "Infinity", "-Infinity"}
#: A possible unpaired surrogate in JSON; an escaped backslash in front of a ``u`` matches too.
_UNPAIRED_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")

# moto routes only the actions that it implements.
for _action in ("PutVectorBucketDefaultIndexMode", "QueryVectors", "UpdateIndexMode", "UpdateMetadataConfiguration"):
    urls.url_paths.setdefault(f"{{0}}/{_action}$", S3VectorsResponse.dispatch)


class S3VectorsApi(S3VectorsResponse):  # type: ignore[misc]  # moto is untyped
    """The S3 Vectors API of one local AWS."""

    service: ClassVar["S3Vectors"]

    @classmethod
    def call(cls, account_id: str, region: str, operation: str, request: _Document) -> _Document:
        """Run an action for another service.

        Args:
            account_id: The account.
            region: The region.
            operation: The action, such as ``CreateIndex``.
            request: The members of the request.

        Raises:
            ServiceException: The action fails.
        """
        api = cls()
        api.current_account, api.region, api.params, api.uri_match = account_id, region, request, {}
        api._validate(operation)
        result: _Document = getattr(api, xform_name(operation))().result or {}
        return result

    def setup_class(self, request: Any, full_url: str, headers: Any, use_raw_body: bool = True) -> None:
        """Keep the body as bytes: moto would try to parse large JSON documents as forms."""
        super().setup_class(request, full_url, headers, use_raw_body=use_raw_body)

    def parse_parameters(self, request: Any) -> None:
        """Leave parsing to :meth:`call_action`, which can return errors. moto's parser visits every number."""
        del request
        self.params: _Document = {}

    def call_action(self) -> Any:
        """Parse and validate the request, then run the action."""
        try:
            self.params = {**_parse(self.body), **self._path_parameters()}
            self._validate(self._get_action())
        except ServiceException as error:
            status, headers, body = self.serialized(ActionResult(error))
            headers, body = self._enrich_response(headers, body)
            return status, headers, body
        return super().call_action()

    @property
    def s3vectors_backend(self) -> "VectorsBackend":
        """The buckets of the caller's account and region."""
        return self.service.backend(self.current_account, self.region)

    def create_vector_bucket(self) -> ActionResult:
        """CreateVectorBucket."""
        with self.s3vectors_backend.lock:
            bucket = self.s3vectors_backend.add_bucket(self.params)
        return ActionResult({"vectorBucketArn": bucket.vector_bucket_arn})

    def get_vector_bucket(self) -> ActionResult:
        """GetVectorBucket."""
        with self.s3vectors_backend.lock:
            return ActionResult({"vectorBucket": self.s3vectors_backend.find_bucket(self.params)})

    def list_vector_buckets(self) -> ActionResult:
        """ListVectorBuckets."""
        with self.s3vectors_backend.lock:
            buckets = {bucket.vector_bucket_name: bucket for bucket in self.s3vectors_backend.vector_buckets.values()}
        return ActionResult(named_page("vectorBuckets", buckets, self.params))

    def delete_vector_bucket(self) -> ActionResult:
        """DeleteVectorBucket, which must not have indexes."""
        with self.s3vectors_backend.lock:
            bucket = self.s3vectors_backend.find_bucket(self.params)
            self.s3vectors_backend.delete_vector_bucket(bucket.vector_bucket_name)
        return EmptyResult()

    def create_index(self) -> ActionResult:
        """CreateIndex."""
        with self.s3vectors_backend.lock:
            index = self.s3vectors_backend.add_index(self.params, self.service.write_rates(), self.service.full_text())
        return ActionResult({"indexArn": index.index_arn})

    def get_index(self) -> ActionResult:
        """GetIndex."""
        with self.s3vectors_backend.lock:
            return ActionResult({"index": self.s3vectors_backend.find_index(self.params)})

    def list_indexes(self) -> ActionResult:
        """ListIndexes."""
        with self.s3vectors_backend.lock:
            indexes = self.s3vectors_backend.find_bucket(self.params).indexes
            by_name = {index.index_name: index for index in indexes.values()}
        return ActionResult(named_page("indexes", by_name, self.params))

    def delete_index(self) -> ActionResult:
        """DeleteIndex with its vectors."""
        with self.s3vectors_backend.lock:
            index = self.s3vectors_backend.find_index(self.params)
            self.s3vectors_backend.delete_index(None, None, index.index_arn)
        return EmptyResult()

    def update_metadata_configuration(self) -> ActionResult:
        """UpdateMetadataConfiguration: makes metadata keys searchable, or unsearchable."""
        with self.s3vectors_backend.lock:
            index = self.s3vectors_backend.find_index(self.params)
        added, deleted = (
            (self.params.get(member) or {}).get("textSearchConfigurations") for member in ("add", "delete")
        )
        if bool(added) == bool(deleted):
            raise InvalidRequest("Must specify either add or delete but not both")
        with index.lock:
            if added:
                index.full_text.add(added, index.vectors.all_metadata())
            else:
                index.full_text.remove([one["metadataKey"] for one in deleted or []])
        return ActionResult({"indexArn": index.index_arn})

    def update_index_mode(self) -> ActionResult:
        """UpdateIndexMode: every index is in ENHANCED mode."""
        with self.s3vectors_backend.lock:
            self.s3vectors_backend.find_index(self.params)
        _require_enhanced(self.params, "indexMode")
        return EmptyResult()

    def put_vector_bucket_default_index_mode(self) -> ActionResult:
        """PutVectorBucketDefaultIndexMode: every index is in ENHANCED mode."""
        with self.s3vectors_backend.lock:
            self.s3vectors_backend.find_bucket(self.params)
        _require_enhanced(self.params, "defaultIndexMode")
        return EmptyResult()

    def put_vectors(self) -> _Response:
        """PutVectors: all of them or none."""
        index, records = self._index(), self.params["vectors"]
        metadata = [record.get("metadata") or {} for record in records]
        vectors = _matrix(records, index)
        for position, (record, entries) in enumerate(zip(records, metadata, strict=True)):
            if problem := metadata_problem(entries, index.non_filterable_keys):
                raise _invalid_record(record["key"], problem, f"vectors[{position}].metadata")
        with index.lock:
            index.rates.take(len(records))
            index.put([record["key"] for record in records], vectors, metadata)
        if self.service.meter is not None:
            size = sum(index.size(record["key"], record.get("metadata") or {}) for record in records)
            meter_put(self.service.meter, self.s3vectors_backend, index, size)
        return _json({})

    def get_vectors(self) -> _Response:
        """GetVectors; missing keys are left out."""
        index = self._index()
        with index.lock:
            vectors = list(index.vectors.get(self.params["keys"]))
        return _json({"vectors": [self._describe_vector(vector) for vector in vectors]})

    def delete_vectors(self) -> _Response:
        """DeleteVectors; missing keys are ignored."""
        index = self._index()
        with index.lock:
            index.rates.take(len(self.params["keys"]))
            index.delete(self.params["keys"])
        return _json({})

    def list_vectors(self) -> _Response:
        """ListVectors, of the index or of one segment."""
        index, request = self._index(), self.params
        segments, segment = request.get("segmentCount"), request.get("segmentIndex")
        if (segments is None) != (segment is None) or (segment or 0) >= (segments or 1):
            message = "segmentCount and segmentIndex must be given together, and segmentIndex be less"
            raise InvalidRequest(message, ("segmentIndex", message))
        kind = f"{index.index_arn} {segment or 0}/{segments or 1}"
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
        return _json({"vectors": [self._describe_vector(vector) for vector in page], **more})

    def query_vectors(self) -> _Response:
        """QueryVectors by a vector, by full text, or by both."""
        index, request = self._index(), self.params
        query = parse_query(request, index, _numbers)
        asked = [json.dumps(request.get(name)) for name in ("queryVector", "queryTexts", "topK", "filter")]
        position = read_token(index.index_arn, request.get("nextToken"))
        if position is None:
            name, start = None, 0
            with index.lock:
                matches = run_query(query, index)
            if self.service.meter is not None:
                meter_query(self.service.meter, self.s3vectors_backend, index)
        else:
            name, start = position
            matches = self.service.query_results.get(name, asked)
        end = start + _QUERY_PAGE
        more = {}
        if end < len(matches):
            name = name or self.service.query_results.add(asked, matches)
            more = {"nextToken": write_token(index.index_arn, [name, end])}
        vectors = [self._describe_match(match) for match in matches[start:end]]
        return _json({"vectors": vectors, "distanceMetric": index.distance_metric, **more})

    def _index(self) -> "VectorIndex":
        """The index that the request names; its encryption key must be usable."""
        with self.s3vectors_backend.lock:
            index = self.s3vectors_backend.find_index(self.params)
        check_key(self.current_account, self.region, index.encryption_configuration)
        return index

    def _path_parameters(self) -> _Document:
        """The parameters that the tagging actions take from path and query."""
        arn = (self.uri_match or {}).get("resourceArn")
        if arn is None:
            return {}
        parameters: _Document = {"resourceArn": arn}
        if self.method == "DELETE":
            parameters["tagKeys"] = self.querystring.get("tagKeys", [])
        return parameters

    def _validate(self, operation: str) -> None:
        """Check the request against the API model.

        Raises:
            InvalidRequest: It violates constraints; the message lists every violation.
            SerializationError: A member has the wrong type.
        """
        shape = get_service_model("s3vectors").operation_model(operation).input_shape
        try:
            violated = violations(shape, self.params) if shape is not None else []
        except RequestTypeError as error:
            raise SerializationError(str(error)) from error
        if violated:
            raise InvalidRequest(summarize(violated), *violated)

    def _describe_vector(self, vector: "StoredVector") -> _Document:
        described: _Document = {"key": vector.key}
        if self.params.get("returnData"):
            described["data"] = {"float32": vector.values.tolist()}
        if self.params.get("returnMetadata"):
            described["metadata"] = vector.metadata
        return described

    def _describe_match(self, match: QueryMatch) -> _Document:
        described: _Document = {"key": match.key}
        if self.params.get("returnDistance") and match.distance is not None:
            described["distance"] = match.distance
        if self.params.get("returnScores") and self.params.get("queryTexts"):
            described["scores"] = _describe_scores(match)
        if self.params.get("returnMetadata"):
            described["metadata"] = match.metadata
        return described


def _matrix(records: list[_Document], index: "VectorIndex") -> "NDArray[np.float32]":
    """The vectors of PutVectors as float32 (records, dimension).

    Raises:
        ServiceException: A vector has the wrong length or invalid values.
    """
    rows = [record["data"].get("float32") or [] for record in records]
    for position, row in enumerate(rows):
        if len(row) != index.dimension:
            problem = f"vector must have length {index.dimension}, but has length {len(row)}"
            raise _invalid_record(records[position]["key"], problem, f"vectors[{position}]")
    vectors = _numbers(rows)
    # The largest absolute value shows NaN, infinity and a zero norm.
    for position, largest in enumerate(np.abs(vectors).max(axis=1).tolist()):
        if not math.isfinite(largest):
            problem = "vector contains NaNs or Infs"
        elif largest == 0 and index.distance_metric == "cosine":
            problem = "cosine distance does not support vectors with zero norm"
        else:
            continue
        raise _invalid_record(records[position]["key"], problem, f"vectors[{position}]")
    return vectors


def _numbers(rows: list[list[Any]]) -> "NDArray[np.float32]":
    """Numbers as float32, the type that the service validates; values out of range become infinite.

    Raises:
        SerializationError: A value is not a number.
    """
    types = set(map(type, chain.from_iterable(rows)))
    texts = [value for value in chain.from_iterable(rows) if isinstance(value, str)] if str in types else []
    if not types <= {int, float, str} or not _SPECIAL_NUMBERS.issuperset(texts):
        raise SerializationError("Expected numbers in 'float32'")
    try:
        with np.errstate(over="ignore"):
            return np.array(rows, np.float64).astype(np.float32)
    except OverflowError:
        raise SerializationError("Expected numbers in 'float32'") from None


def _describe_scores(match: QueryMatch) -> _Document:
    scores: _Document = {
        "bm25Scores": [{"metadataKey": key, "score": score} for key, score in match.bm25_scores.items()]
    }
    if match.fused is not None:
        scores["fused"] = match.fused
        if match.distance is not None:
            scores["vectorDistance"] = match.distance
    return scores


def _require_enhanced(request: _Document, member: str) -> None:
    if request[member] != "ENHANCED":
        message = "CLASSIC is supported for vector buckets created before September 30, 2026 only"
        raise InvalidRequest(message, (member, message))


def _invalid_record(key: str, problem: str, path: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid record for key '{key}': {problem}", (path, problem))


def _parse(content: bytes | str) -> _Document:
    """The members of a request.

    Raises:
        InvalidRequest: The body is too large.
        SerializationError: The body is not a JSON object, or contains an unpaired surrogate.
    """
    body = content.encode() if isinstance(content, str) else content
    if len(body) > _MAX_REQUEST:
        raise InvalidRequest("Request body exceeds max allowed size")
    try:
        document = json.loads(body, parse_constant=_reject_constant) if body else {}
        if b"\\u" in body and _UNPAIRED_SURROGATE.search(body):
            json.dumps(document, ensure_ascii=False).encode()
    except ValueError:
        # The message that users of the service have reported.
        raise SerializationError("UnknownError") from None
    if not isinstance(document, dict):
        raise SerializationError("Expected an object")
    return {name: value for name, value in document.items() if value is not None}


def _reject_constant(name: str) -> Any:
    raise ValueError(name)


def _json(document: _Document) -> _Response:
    return 200, {"Content-Type": "application/json"}, json.dumps(document)
