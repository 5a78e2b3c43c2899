"""Collections in a vector bucket of S3 Vectors.

A collection is an index with its properties as tags. After a switch, a tag of the bucket names the collection's current
index.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from embedstack.errors import CollectionNotFound, ConfigurationError, StoreError
from embedstack.settings.settings import load_settings
from embedstack.stores.base import (
    Collection,
    VectorStore,
    replaced_error,
    require_complete,
    require_own_collection,
)
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.records import hash_text
from embedstack.stores.s3vectors.collection import S3VectorsCollection
from embedstack.stores.s3vectors.full_text import ENHANCED, text_search_configuration
from embedstack.stores.s3vectors.layout import NOT_FILTERABLE, from_tags, to_tags
from embedstack.stores.s3vectors.service import Service

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["S3VectorsStore"]

_POINTER = "embedstack:index-of:"
_MAX_NAME = 63
_DIGEST_DIGITS = 12


class S3VectorsStore(VectorStore):
    """A :class:`~embedstack.stores.base.VectorStore` on Amazon S3 Vectors. The vector bucket must exist."""

    def __init__(
        self, bucket: str, *, settings: "Settings | None" = None, session: "boto3.Session | None" = None
    ) -> None:
        """Create a client. No request is sent.

        Args:
            bucket: The vector bucket's name.
            settings: Region, endpoint and credentials; defaults to the environment.
            session: A custom boto3 session.
        """
        self._service = Service(bucket, settings or load_settings(), session)
        self._described: dict[str, str] | None = None

    def open(self, info: CollectionInfo, *, create: bool = True) -> S3VectorsCollection:
        """Open a collection; see :meth:`VectorStore.open`."""
        index = self._active(info.name)
        stored = self._properties(index)
        if stored is None and not create:
            raise self._not_found(info.name)
        return self._opened(info, stored, index, writable=create)

    def describe(self, name: str) -> CollectionInfo:
        """Describe a collection; see :meth:`VectorStore.describe`."""
        info = self._properties(self._active(name))
        if info is None:
            raise self._not_found(name)
        return info

    def collections(self) -> list[CollectionInfo]:
        """All collections, by name."""
        pointers = self._pointers()
        indexes = ((index, self._properties(index)) for index in self._indexes(""))
        active = (info for index, info in indexes if info and pointers.get(info.name, info.name) == index)
        return sorted(active, key=lambda info: info.name)

    def open_replacement(self, info: CollectionInfo) -> S3VectorsCollection:
        """Open a collection's replacement; see :meth:`VectorStore.open_replacement`."""
        self.describe(info.name)
        building = next(self._building(info.name), None)
        index = building or self._replacement_name(info)
        return self._opened(info, self._properties(index), index, writable=True)

    def outstanding(self, replacement: Collection) -> list[str]:
        """Ids of the records that differ; see :meth:`VectorStore.outstanding`. Reads both collections."""
        new = require_own_collection(replacement, S3VectorsCollection)
        active = self._active(new.info.name)
        if active == new.index:
            return []
        info = self._properties(active)
        old_records = self._collection(info, active).scan() if info else iter(())
        old_contents = {record.id: (record.content_hash, record.metadata) for record in old_records}
        new_contents = {record.id: (record.content_hash, record.metadata) for record in new.scan()}
        ids = old_contents.keys() | new_contents.keys()
        return sorted(key for key in ids if old_contents.get(key) != new_contents.get(key))

    def switch(self, replacement: Collection, *, complete: bool = True) -> None:
        """Switch a collection to its replacement; see :meth:`VectorStore.switch`.

        S3 Vectors has no locks: pause writers between the check and the switch.
        """
        new = require_own_collection(replacement, S3VectorsCollection)
        name = new.info.name
        old = self._active(name)
        if old == new.index:
            return
        if self._properties(new.index) is None:
            raise CollectionNotFound(f"The replacement of {name} was dropped. Open another one.")
        if complete:
            require_complete(name, len(self.outstanding(new)))
        # The old index is tagged first, so that it is never taken for an unfinished replacement.
        self._service.call("tag_resource", resourceArn=self._index_arn(old), tags={"embedstack:state": "replaced"})
        self._service.call("tag_resource", resourceArn=self._bucket_arn(), tags={_POINTER + name: new.index})

    def drop(self, name: str) -> None:
        """Delete a collection with all its records. Does nothing if it does not exist."""
        for index in self._of(name):
            self._service.call("delete_index", indexName=index)
        if name in self._pointers():
            self._service.call("untag_resource", resourceArn=self._bucket_arn(), tagKeys=[_POINTER + name])

    def drop_replaced(self, name: str) -> int:
        """Delete old versions and unfinished replacements; see :meth:`VectorStore.drop_replaced`."""
        self.describe(name)
        active = self._active(name)
        dropped = [index for index in self._of(name) if index != active]
        for index in dropped:
            self._service.call("delete_index", indexName=index)
        return len(dropped)

    def close(self) -> None:
        """Does nothing: there are no connections to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(
        self, info: CollectionInfo, stored: CollectionInfo | None, index: str, *, writable: bool
    ) -> S3VectorsCollection:
        if stored is None:
            stored = self._create(info, index)
        stored.require(info)
        collection = self._collection(stored, index)
        if writable:
            collection.full_text.configure()
        return collection

    def _create(self, info: CollectionInfo, index: str) -> CollectionInfo:
        """Create an index and return its properties; those of the existing one if a concurrent call created it."""
        metadata: dict[str, Any] = {"nonFilterableMetadataKeys": NOT_FILTERABLE}
        tags = to_tags(info)
        if self._bucket()["defaultIndexMode"] == ENHANCED:
            metadata["textSearchConfigurations"] = [text_search_configuration(info)]
        try:
            self._service.call(
                "create_index",
                indexName=index,
                dataType="float32",
                dimension=info.dimensions,
                distanceMetric=info.distance,
                metadataConfiguration=metadata,
                tags=tags,
            )
        except StoreError:
            stored = self._properties(index)
            if stored is None:
                raise
            return stored
        return info

    def _collection(self, info: CollectionInfo, index: str) -> S3VectorsCollection:
        return S3VectorsCollection(self._service, info, index, self._require_writable)

    def _require_writable(self, name: str, index: str) -> None:
        if self._active(name) != index and self._tags(index).get("embedstack:state") == "replaced":
            raise replaced_error(name)

    def _active(self, name: str) -> str:
        return self._pointers().get(name, name)

    def _pointers(self) -> dict[str, str]:
        tags = self._service.call("list_tags_for_resource", resourceArn=self._bucket_arn())["tags"]
        return {key.removeprefix(_POINTER): index for key, index in tags.items() if key.startswith(_POINTER)}

    def _indexes(self, prefix: str) -> Iterator[str]:
        parameters = {"prefix": prefix} if prefix else {}
        for index in self._service.items("list_indexes", "indexes", **parameters):
            if index["indexName"].startswith(prefix):
                yield index["indexName"]

    def _of(self, name: str) -> list[str]:
        indexes = ((index, self._properties(index)) for index in self._indexes(name[: _MAX_NAME - _DIGEST_DIGITS - 1]))
        return [index for index, info in indexes if info is not None and info.name == name]

    def _building(self, name: str) -> Iterator[str]:
        active = self._active(name)
        for index in self._of(name):
            if index != active and self._tags(index).get("embedstack:state") != "replaced":
                yield index

    def _replacement_name(self, info: CollectionInfo) -> str:
        # Includes the existing indexes, so that switching back to an earlier model creates another index.
        existing = sorted(self._of(info.name))
        digest = hash_text(*to_tags(info).values(), *existing).hex()[:_DIGEST_DIGITS]
        return f"{info.name[: _MAX_NAME - _DIGEST_DIGITS - 1]}-{digest}"

    def _properties(self, index: str) -> CollectionInfo | None:
        try:
            tags = self._tags(index)
        except CollectionNotFound:
            return None
        info = from_tags(tags)
        if info is None:
            raise ConfigurationError(
                f"The index {index!r} in the vector bucket {self._service.bucket!r} was not created by embedstack. "
                "Choose another collection name."
            )
        return info

    def _tags(self, index: str) -> dict[str, str]:
        tags: dict[str, str] = self._service.call("list_tags_for_resource", resourceArn=self._index_arn(index))["tags"]
        return tags

    def _index_arn(self, index: str) -> str:
        return f"{self._bucket_arn()}/index/{index}"

    def _bucket_arn(self) -> str:
        return self._bucket()["vectorBucketArn"]

    def _bucket(self) -> dict[str, str]:
        """ARN and index mode of the bucket; the mode is empty on servers without modes."""
        if self._described is None:
            bucket = self._service.call("get_vector_bucket")["vectorBucket"]
            self._described = {"defaultIndexMode": "", **{name: str(value) for name, value in bucket.items()}}
        return self._described

    def _not_found(self, name: str) -> CollectionNotFound:
        return CollectionNotFound(
            f"The collection {name!r} does not exist in the vector bucket {self._service.bucket!r}."
        )
