"""Collections in a vector bucket of S3 Vectors.

A collection is an index; its tags say what its vectors are. After a switch, a tag of the bucket names the index that
the collection is now.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from embedstack.errors import (
    CollectionNotFound,
    CollectionReplaced,
    ConfigurationError,
    ReplacementIncomplete,
    StoreError,
)
from embedstack.settings.settings import load_settings
from embedstack.stores.base import Collection
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.records import hash_text
from embedstack.stores.s3vectors.collection import S3VectorsCollection
from embedstack.stores.s3vectors.layout import NOT_FILTERABLE, from_tags, to_tags
from embedstack.stores.s3vectors.service import Service

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["S3VectorsStore"]

_POINTER = "embedstack:index-of:"
_MAX_NAME = 63
_REPLACED = 12


class S3VectorsStore:
    """A :class:`~embedstack.stores.base.VectorStore` on Amazon S3 Vectors. The bucket has to be there."""

    def __init__(
        self, bucket: str, *, settings: "Settings | None" = None, session: "boto3.Session | None" = None
    ) -> None:
        """Make a client; nothing is called yet.

        Args:
            bucket: The vector bucket's name.
            settings: Where AWS is; read from the environment otherwise.
            session: A boto3 session of the caller's.
        """
        self._service = Service(bucket, settings or load_settings(), session)
        self._arn: str | None = None

    def open(self, info: CollectionInfo, *, create: bool = True) -> S3VectorsCollection:
        """Open a collection; see :meth:`VectorStore.open`."""
        index = self._active(info.name)
        found = self._facts(index)
        if found is None and not create:
            raise self._not_found(info.name)
        return self._opened(info, found, index)

    def describe(self, name: str) -> CollectionInfo:
        """What a collection's vectors are; see :meth:`VectorStore.describe`."""
        found = self._facts(self._active(name))
        if found is None:
            raise self._not_found(name)
        return found

    def collections(self) -> list[CollectionInfo]:
        """All collections, by name."""
        pointers = self._pointers()
        found = ((index, self._facts(index)) for index in self._indexes(""))
        active = (info for index, info in found if info and pointers.get(info.name, info.name) == index)
        return sorted(active, key=lambda info: info.name)

    def open_replacement(self, info: CollectionInfo) -> S3VectorsCollection:
        """Open what is to take a collection's place; see :meth:`VectorStore.open_replacement`."""
        self.describe(info.name)
        building = next(self._building(info.name), None)
        index = building or self._replacement_name(info)
        return self._opened(info, self._facts(index), index)

    def outstanding(self, replacement: Collection) -> list[str]:
        """Ids of the records that differ, all of both being read; see :meth:`VectorStore.outstanding`."""
        new = self._mine(replacement)
        active = self._active(new.info.name)
        if active == new.index:
            return []
        facts = self._facts(active)
        old = self._collection(facts, active).scan() if facts else iter(())
        wanted = {record.id: (record.content_hash, record.metadata) for record in old}
        there = {record.id: (record.content_hash, record.metadata) for record in new.scan()}
        return sorted(key for key in wanted.keys() | there.keys() if wanted.get(key) != there.get(key))

    def switch(self, replacement: Collection, *, complete: bool = True) -> None:
        """Let a replacement take its collection's place; see :meth:`VectorStore.switch`.

        S3 Vectors has no locks: let no one write to the collection between the last look at it and the switch.
        """
        new = self._mine(replacement)
        name = new.info.name
        old = self._active(name)
        if old == new.index:
            return
        if self._facts(new.index) is None:
            raise CollectionNotFound(f"The replacement of {name} was dropped: begin another.")
        if complete and (missing := len(self.outstanding(new))):
            raise ReplacementIncomplete(
                f"{missing} records of the collection {name} are not in its replacement as they are: copy them, then "
                "switch."
            )
        # What it was is named first, so that a replacement that was built and one that was replaced stay apart.
        self._service.call("tag_resource", resourceArn=self._index_arn(old), tags={"embedstack:state": "replaced"})
        self._service.call("tag_resource", resourceArn=self._bucket_arn(), tags={_POINTER + name: new.index})

    def drop(self, name: str) -> None:
        """Delete a collection with all that it holds; nothing happens where there is none."""
        for index in self._of(name):
            self._service.call("delete_index", indexName=index)
        if name in self._pointers():
            self._service.call("untag_resource", resourceArn=self._bucket_arn(), tagKeys=[_POINTER + name])

    def drop_replaced(self, name: str) -> int:
        """Delete what no collection's name points to any more; see :meth:`VectorStore.drop_replaced`."""
        self.describe(name)
        active = self._active(name)
        dropped = [index for index in self._of(name) if index != active]
        for index in dropped:
            self._service.call("delete_index", indexName=index)
        return len(dropped)

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, info: CollectionInfo, found: CollectionInfo | None, index: str) -> S3VectorsCollection:
        if found is None:
            found = self._created(info, index)
        found.require(info)
        return self._collection(info, index)

    def _created(self, info: CollectionInfo, index: str) -> CollectionInfo:
        """A new index's facts; those of another's where it was faster, as when a pipeline's first documents come."""
        try:
            self._service.call(
                "create_index",
                indexName=index,
                dataType="float32",
                dimension=info.dimensions,
                distanceMetric=info.distance,
                metadataConfiguration={"nonFilterableMetadataKeys": NOT_FILTERABLE},
                tags=to_tags(info),
            )
        except StoreError:
            found = self._facts(index)
            if found is None:
                raise
            return found
        return info

    def _collection(self, info: CollectionInfo, index: str) -> S3VectorsCollection:
        return S3VectorsCollection(self._service, info, index, self._require_writable)

    def _require_writable(self, name: str, index: str) -> None:
        if self._active(name) != index and self._tags(index).get("embedstack:state") == "replaced":
            raise CollectionReplaced(
                f"The collection {name} was switched to another index since it was opened: open it again, with the "
                "model that it has now."
            )

    def _active(self, name: str) -> str:
        return self._pointers().get(name, name)

    def _pointers(self) -> dict[str, str]:
        tags = self._service.call("list_tags_for_resource", resourceArn=self._bucket_arn())["tags"]
        return {key.removeprefix(_POINTER): index for key, index in tags.items() if key.startswith(_POINTER)}

    def _indexes(self, prefix: str) -> Iterator[str]:
        parameters = {"prefix": prefix} if prefix else {}
        for index in self._service.pages("list_indexes", "indexes", **parameters):
            if index["indexName"].startswith(prefix):
                yield index["indexName"]

    def _of(self, name: str) -> list[str]:
        found = ((index, self._facts(index)) for index in self._indexes(name[: _MAX_NAME - _REPLACED - 1]))
        return [index for index, info in found if info is not None and info.name == name]

    def _building(self, name: str) -> Iterator[str]:
        active = self._active(name)
        for index in self._of(name):
            if index != active and self._tags(index).get("embedstack:state") != "replaced":
                yield index

    def _replacement_name(self, info: CollectionInfo) -> str:
        # By what it holds and by what is there, so that going back to an earlier model makes another index.
        taken = sorted(self._of(info.name))
        digest = hash_text(*to_tags(info).values(), *taken).hex()[:_REPLACED]
        return f"{info.name[: _MAX_NAME - _REPLACED - 1]}-{digest}"

    def _facts(self, index: str) -> CollectionInfo | None:
        try:
            tags = self._tags(index)
        except CollectionNotFound:
            return None
        found = from_tags(tags)
        if found is None:
            raise ConfigurationError(
                f"The index {index!r} in the vector bucket {self._service.bucket!r} was not made by embedstack: name "
                "the collection otherwise."
            )
        return found

    def _tags(self, index: str) -> dict[str, str]:
        tags: dict[str, str] = self._service.call("list_tags_for_resource", resourceArn=self._index_arn(index))["tags"]
        return tags

    def _index_arn(self, index: str) -> str:
        return f"{self._bucket_arn()}/index/{index}"

    def _bucket_arn(self) -> str:
        if self._arn is None:
            self._arn = str(self._service.call("get_vector_bucket")["vectorBucket"]["vectorBucketArn"])
        return self._arn

    def _mine(self, collection: Collection) -> S3VectorsCollection:
        if not isinstance(collection, S3VectorsCollection):
            raise StoreError("Only a replacement that this store opened can take a collection's place.")
        return collection

    def _not_found(self, name: str) -> CollectionNotFound:
        return CollectionNotFound(f"There is no collection {name!r} in the vector bucket {self._service.bucket!r}.")
