"""Operations on vector buckets, their policies, their indexes, and the tags of both."""

from typing import Any

from localaws.services.s3vectors.buckets import Buckets, Caller, Index, VectorBucket
from localaws.services.s3vectors.encryption import chosen_encryption
from localaws.services.s3vectors.paging import named_page
from localaws.services.s3vectors.refusals import Refusal, invalid, not_found
from localaws.services.s3vectors.write_rates import WriteRates

__all__ = ["ControlPlane"]

_Document = dict[str, Any]
_AES256 = {"sseType": "AES256"}
_MAX_TAGS = 50
_SYSTEM = "aws:"


class ControlPlane:
    """The operations, by their names in botocore; each takes the caller and the request, and gives the answer."""

    def __init__(self, buckets: Buckets, requests_per_second: float, vectors_per_second: float) -> None:
        """Work on buckets.

        Args:
            buckets: All of them.
            requests_per_second: How often an index may be written to.
            vectors_per_second: How many vectors may be put into an index or deleted from it.
        """
        self._buckets = buckets
        self._rates = (requests_per_second, vectors_per_second)

    def create_vector_bucket(self, caller: Caller, request: _Document) -> _Document:
        """CreateVectorBucket."""
        name = request["vectorBucketName"]
        encryption = chosen_encryption(caller, request.get("encryptionConfiguration")) or _AES256
        tags = _checked_tags({}, request.get("tags") or {})
        bucket = VectorBucket(name, caller.bucket_arn(name), encryption, tags)
        with self._buckets.lock:
            self._buckets.add(caller, bucket)
        return {"vectorBucketArn": bucket.arn}

    def get_vector_bucket(self, caller: Caller, request: _Document) -> _Document:
        """GetVectorBucket."""
        return {"vectorBucket": self._bucket(caller, request).description}

    def list_vector_buckets(self, caller: Caller, request: _Document) -> _Document:
        """ListVectorBuckets."""
        with self._buckets.lock:
            summaries = {name: bucket.summary for name, bucket in self._buckets.of(caller).items()}
        return named_page("vectorBuckets", summaries, request)

    def delete_vector_bucket(self, caller: Caller, request: _Document) -> _Document:
        """DeleteVectorBucket; it may not have indexes."""
        with self._buckets.lock:
            self._buckets.remove(caller, self._bucket(caller, request))
        return {}

    def put_vector_bucket_default_index_mode(self, caller: Caller, request: _Document) -> _Document:
        """PutVectorBucketDefaultIndexMode."""
        self._bucket(caller, request)
        _check_mode(request["defaultIndexMode"], "defaultIndexMode")
        return {}

    def put_vector_bucket_policy(self, caller: Caller, request: _Document) -> _Document:
        """PutVectorBucketPolicy; it is kept, and not applied."""
        self._bucket(caller, request).policy = request["policy"]
        return {}

    def get_vector_bucket_policy(self, caller: Caller, request: _Document) -> _Document:
        """GetVectorBucketPolicy."""
        policy = self._bucket(caller, request).policy
        if policy is None:
            raise not_found("vector bucket policy")
        return {"policy": policy}

    def delete_vector_bucket_policy(self, caller: Caller, request: _Document) -> _Document:
        """DeleteVectorBucketPolicy; where there is none it is no error."""
        self._bucket(caller, request).policy = None
        return {}

    def create_index(self, caller: Caller, request: _Document) -> _Document:
        """CreateIndex."""
        configuration = request.get("metadataConfiguration") or {}
        if configuration.get("textSearchConfigurations"):
            raise Refusal("NotImplementedException", "The local AWS does not implement s3vectors: full-text search.")
        encryption = chosen_encryption(caller, request.get("encryptionConfiguration"))
        tags = _checked_tags({}, request.get("tags") or {})
        with self._buckets.lock:
            bucket, name = self._bucket(caller, request), request["indexName"]
            index = Index(
                bucket.name,
                name,
                f"{bucket.arn}/index/{name}",
                request["dimension"],
                request["distanceMetric"],
                list(configuration.get("nonFilterableMetadataKeys") or []),
                encryption or bucket.encryption,
                tags,
                WriteRates(*self._rates),
            )
            bucket.add(index)
        return {"indexArn": index.arn}

    def get_index(self, caller: Caller, request: _Document) -> _Document:
        """GetIndex."""
        return {"index": self._index(caller, request).description}

    def list_indexes(self, caller: Caller, request: _Document) -> _Document:
        """ListIndexes."""
        with self._buckets.lock:
            indexes = self._bucket(caller, request).indexes
            summaries = {name: index.summary for name, index in indexes.items()}
        return named_page("indexes", summaries, request)

    def delete_index(self, caller: Caller, request: _Document) -> _Document:
        """DeleteIndex, with its vectors."""
        with self._buckets.lock:
            index = self._index(caller, request)
            del self._buckets.of(caller)[index.bucket].indexes[index.name]
        return {}

    def update_index_mode(self, caller: Caller, request: _Document) -> _Document:
        """UpdateIndexMode."""
        self._index(caller, request)
        _check_mode(request["indexMode"], "indexMode")
        return {}

    def list_tags_for_resource(self, caller: Caller, request: _Document) -> _Document:
        """ListTagsForResource."""
        with self._buckets.lock:
            return {"tags": dict(self._buckets.tagged(caller, request["resourceArn"]).tags)}

    def tag_resource(self, caller: Caller, request: _Document) -> _Document:
        """TagResource."""
        with self._buckets.lock:
            tagged = self._buckets.tagged(caller, request["resourceArn"])
            tagged.tags = _checked_tags(tagged.tags, request["tags"])
        return {}

    def untag_resource(self, caller: Caller, request: _Document) -> _Document:
        """UntagResource; tags that are not there are passed over."""
        with self._buckets.lock:
            tagged = self._buckets.tagged(caller, request["resourceArn"])
            tagged.tags = {key: value for key, value in tagged.tags.items() if key not in request["tagKeys"]}
        return {}

    def put_system_tags(self, caller: Caller, arn: str, tags: dict[str, str]) -> None:
        """Put AWS's own tags on a bucket or an index, as CloudFormation does.

        Raises:
            Refusal: There is nothing of that ARN.
        """
        with self._buckets.lock:
            tagged = self._buckets.tagged(caller, arn)
            tagged.tags = {**tagged.tags, **tags}

    def _bucket(self, caller: Caller, request: _Document) -> VectorBucket:
        with self._buckets.lock:
            return self._buckets.bucket(caller, request)

    def _index(self, caller: Caller, request: _Document) -> Index:
        with self._buckets.lock:
            return self._buckets.index(caller, request)


def _checked_tags(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Tags with others added to them.

    Raises:
        Refusal: They are more than 50, or have a name of AWS's own.
    """
    if any(key.lower().startswith(_SYSTEM) for key in new):
        raise invalid("Tag keys must not start with 'aws:'", "tags")
    tags = {**old, **new}
    if sum(not key.startswith(_SYSTEM) for key in tags) > _MAX_TAGS:
        raise invalid(f"A resource can have at most {_MAX_TAGS} tags", "tags")
    return tags


def _check_mode(mode: str, member: str) -> None:
    """Refuse what no bucket takes any more that was created since September 30, 2026."""
    if mode == "CLASSIC":
        raise invalid("CLASSIC is only allowed in vector buckets created before September 30, 2026", member)
