"""moto's S3 backend for one request, extended to send event notifications."""

import contextlib
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import AccessDeniedByLock, InvalidBucketName

from localaws.services.s3.event_notifications import S3Event
from localaws.services.s3.object_locks import locked

if TYPE_CHECKING:
    from moto.s3.models import FakeKey, NotificationConfiguration, S3Backend

    from localaws.services.s3.event_notifications import ObjectEvents

__all__ = ["NotifyingS3Backend"]

#: ETag of an empty object, which the event of a delete marker carries.
_EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
_UNVERSIONED = "null"
#: Names of general purpose buckets (Amazon S3 user guide, "Bucket naming rules").
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: Held while a suspended bucket counts as versioned, or a concurrent deletion would leave it so.
_suspended = threading.Lock()


class NotifyingS3Backend:
    """Wraps moto's backend. Events are held until the request has finished with the object."""

    def __init__(self, backend: "S3Backend", events: "ObjectEvents", account_id: str) -> None:
        """Wrap a backend for one request."""
        self._backend = backend
        self._events = events
        self._account_id = account_id
        self._pending: list[S3Event] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def publish_events(self) -> None:
        """Send the events that were held."""
        while self._pending:
            self._events.publish(self._pending.pop(0), self._account_id)

    def create_bucket(self, bucket_name: str, *args: Any, **options: Any) -> Any:
        """CreateBucket; moto checks the length of the name only."""
        if not _BUCKET_NAME.fullmatch(bucket_name):
            raise InvalidBucketName
        return self._backend.create_bucket(bucket_name, *args, **options)

    def put_bucket_notification_configuration(self, bucket_name: str, notification_config: dict[str, Any]) -> None:
        """PutBucketNotificationConfiguration."""
        self._events.configure(self._backend.get_bucket(bucket_name), notification_config, self._account_id)

    def get_bucket_notification_configuration(self, bucket_name: str) -> "NotificationConfiguration | None":
        """GetBucketNotificationConfiguration."""
        return self._events.configuration(self._backend.get_bucket(bucket_name))

    def put_object(self, bucket_name: str, key_name: str, *args: Any, **options: Any) -> "FakeKey":
        """PutObject, or an upload by an HTML form."""
        with locked((bucket_name, key_name)):
            key = self._backend.put_object(bucket_name, key_name, *args, **options)
        self._created("Post" if options.get("request_method") == "POST" else "Put", key)
        return key

    def copy_object(
        self, src_key: "FakeKey", dest_bucket_name: str, dest_key_name: str, *args: Any, **options: Any
    ) -> None:
        """CopyObject."""
        self._backend.copy_object(src_key, dest_bucket_name, dest_key_name, *args, **options)
        self._created("Copy", self._backend.get_bucket(dest_bucket_name).keys.get(dest_key_name))

    def complete_multipart_upload(self, bucket_name: str, multipart_id: str, body: Any) -> "FakeKey | None":
        """CompleteMultipartUpload."""
        key = self._backend.complete_multipart_upload(bucket_name, multipart_id, body)
        if key is not None:
            self._created("CompleteMultipartUpload", key)
        return key

    def delete_object(
        self,
        bucket_name: str,
        key_name: str,
        version_id: str | None = None,
        bypass: bool = False,
    ) -> tuple[bool, dict[str, Any]]:
        """DeleteObject: delete the object or one version of it, or add a delete marker."""
        bucket = self._backend.get_bucket(bucket_name)
        with locked((bucket_name, key_name)), _versioned(bucket):
            existing_versions = {str(key.version_id) for key in bucket.keys.getlist(key_name, [])}
            return self._delete_object(bucket, key_name, version_id, bypass, existing_versions)

    def _delete_object(
        self, bucket: Any, key_name: str, version_id: str | None, bypass: bool, existing_versions: set[str]
    ) -> tuple[bool, dict[str, Any]]:
        deleted, result = self._backend.delete_object(bucket.name, key_name, version_id=version_id, bypass=bypass)
        if bucket.is_versioned and version_id is None:
            version = result.get("version-id")
            name = "s3:ObjectRemoved:DeleteMarkerCreated"
            self._pending.append(S3Event(name, bucket, key_name, etag=_EMPTY_ETAG, version=version))
        elif deleted and (str(version_id) in existing_versions if bucket.is_versioned else existing_versions):
            self._pending.append(S3Event("s3:ObjectRemoved:Delete", bucket, key_name, version=version_id))
        return deleted, result

    def delete_objects(
        self,
        bucket_name: str,
        objects: list[dict[str, Any]],
        bypass_retention: bool = False,
    ) -> tuple[list[tuple[str, str | None, str | None]], list[str]]:
        """DeleteObjects, with the same events as DeleteObject."""
        deleted: list[tuple[str, str | None, str | None]] = []
        errors: list[str] = []
        for entry in objects:
            name, version_id = entry["Key"], entry.get("VersionId")
            try:
                _, result = self.delete_object(bucket_name, name, version_id, bypass_retention)
            except AccessDeniedByLock:
                errors.append(name)
            else:
                deleted.append((name, version_id, None if version_id else result.get("version-id")))
        return deleted, errors

    def _created(self, how: str, key: "FakeKey") -> None:
        bucket = self._backend.get_bucket(key.bucket_name)
        if self._events.configuration(bucket) is None:
            return
        version = None if str(key.version_id) == _UNVERSIONED else str(key.version_id)
        etag = key.etag.replace('"', "")
        self._pending.append(S3Event(f"s3:ObjectCreated:{how}", bucket, key.name, key.size, etag, version))


@contextlib.contextmanager
def _versioned(bucket: Any) -> Iterator[None]:
    """Treat a bucket with suspended versioning as versioned: moto would delete all versions of the object."""
    with _suspended:
        is_suspended = bucket.versioning_status == "Suspended"
        if is_suspended:
            bucket.versioning_status = "Enabled"
        try:
            yield
        finally:
            if is_suspended:
                bucket.versioning_status = "Suspended"
