"""The Amazon S3 API: moto with event notifications, anonymous access and corrections of moto's defects.

Corrected: the number of noncurrent versions in lifecycle rules, policies that deny plain HTTP, GetBucketRequestPayment,
encoded keys in ListObjectVersions, and the body of AccessDenied.
"""

import json
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlparse

import xmltodict
from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import s3_backends
from moto.s3.responses import S3Response

from localaws.core.resource_policies import is_allowed
from localaws.core.wsgi import IS_ANONYMOUS_KEY
from localaws.services.s3.event_notifications import ObjectEvents
from localaws.services.s3.notifying_backend import NotifyingS3Backend
from localaws.services.s3.object_locks import locked
from localaws.services.s3.public_access import form_refusal, is_public_read

SIMPLIFICATIONS = {
    "PutBucketNotificationConfiguration": "Queues only; topics, functions and EventBridge are not implemented.",
    "PutBucketPolicy": "Conditions are ignored, except aws:SecureTransport: every request counts as encrypted.",
    "GetObject": "Unsigned requests are checked against the bucket's policy, ACL and public access block.",
    "PutBucketLifecycleConfiguration": "Rules are stored and not applied.",
}

_NEWER_VERSIONS = "NewerNoncurrentVersions"


class S3(S3Response):  # type: ignore[misc]  # moto is untyped
    """The S3 API.

    moto ignores conditions, so that a bucket policy that denies plain HTTP would deny every request. Such statements
    do not apply here: requests to the local AWS stay on this machine and count as encrypted.
    """

    events: ClassVar[ObjectEvents]

    @cached_property
    def backend(self) -> Any:
        """Moto's backend with event notifications. There is one response object per request."""
        return NotifyingS3Backend(super().backend, self.events, self.current_account)

    def bucket_response(self, request: Any, full_url: str, headers: Any) -> Any:
        """Handle a request to a bucket, then send its events."""
        try:
            return super().bucket_response(request, full_url, headers)
        finally:
            self.backend.publish_events()

    def key_response(self, request: Any, full_url: str, headers: Any) -> Any:
        """Handle a request to an object, then send its events."""
        try:
            return super().key_response(request, full_url, headers)
        finally:
            self.backend.publish_events()

    def _bucket_response(self, request: Any, full_url: str) -> Any:
        denial = self._anonymous_denial(request, full_url) or self._foreign_denial(request, full_url)
        if denial is not None:
            return denial
        # moto does not know GetBucketRequestPayment and would list the bucket.
        if request.method == "GET" and "requestPayment" in self._get_querystring(request, full_url):
            self.backend.head_bucket(self.parse_bucket_name_from_url(request, full_url))
            return (
                '<RequestPaymentConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                "<Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
            )
        return _with_error_body(request, super()._bucket_response(request, full_url))

    def _key_response(self, request: Any, full_url: str) -> Any:
        with locked(*self._objects(request, full_url)):
            denial = self._anonymous_denial(request, full_url) or self._foreign_denial(request, full_url)
            if denial is not None:
                return denial
            return _with_error_body(request, super()._key_response(request, full_url))

    def _objects(self, request: Any, full_url: str) -> list[tuple[str, str]]:
        """Bucket and key of the request's object, and of the source of a copy."""
        objects = [(self.parse_bucket_name_from_url(request, full_url), self.parse_key_name())]
        if source := request.headers.get("x-amz-copy-source"):
            bucket, _, key = unquote(urlparse(source).path).lstrip("/").partition("/")
            objects.append((bucket, key))
        return objects

    def _anonymous_denial(self, request: Any, full_url: str) -> tuple[int, dict[str, str], str] | None:
        """The response to an unsigned request that is not public; None for any other request."""
        if not request.environ.get(IS_ANONYMOUS_KEY):
            return None
        name = self.parse_bucket_name_from_url(request, full_url)
        key_name = self.parse_key_name() or None
        if not name:
            return _denied()
        bucket = self.backend.get_bucket(name)
        if request.method == "POST":
            refusal = form_refusal(bucket, request.form) if key_name is None else "Access Denied"
            return _denied(refusal) if refusal else None
        key = None if key_name is None else self.backend.get_object(name, key_name)
        return None if is_public_read(bucket, key, key_name, request.args) else _denied()

    def _foreign_denial(self, request: Any, full_url: str) -> tuple[int, dict[str, str], str] | None:
        """The response to a request that another account's bucket does not allow; None for any other request."""
        if request.environ.get(IS_ANONYMOUS_KEY):
            return None
        (bucket, key), *sources = self._objects(request, full_url)
        is_permitted = all(self._may("GetObject", *source) for source in sources if self._is_foreign(source[0]))
        if self._is_foreign(bucket):
            action = self._permission(request, full_url, key)
            # A bucket of this name cannot be created, which is another error.
            is_permitted &= action == "CreateBucket" or self._may(action, bucket, key)
        return None if is_permitted else _denied()

    def _permission(self, request: Any, full_url: str, key: str) -> str:
        """The permission that a request needs, without ``s3:``."""
        parameters = self._get_querystring(request, full_url)
        if not key and request.method == "POST":
            return "DeleteObject" if "delete" in parameters else "PutObject"
        self._set_action("KEY" if key else "BUCKET", request.method, parameters)
        action = str(self.data["Action"])
        return "ListBucket" if action == "HeadBucket" else action

    def _is_foreign(self, bucket_name: str) -> bool:
        return bool(s3_backends.bucket_accounts.get(bucket_name, ("", self.current_account))[1] != self.current_account)

    def _may(self, action: str, bucket_name: str, key: str) -> bool:
        """Whether the policy of another account's bucket allows an action."""
        bucket = self.backend.get_bucket(bucket_name)
        # The keys of DeleteObjects are in the body; it needs the permission for all.
        resource = str(bucket.arn) if not key and not action.endswith("Object") else f"{bucket.arn}/{key or '*'}"
        return is_allowed(bucket.policy, self.current_account, f"s3:{action}", resource)

    def _bucket_response_put(self, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        response = super()._bucket_response_put(request, bucket_name, querystring)
        if "lifecycle" in querystring:
            self._store_newer_versions(bucket_name)
        elif "policy" in querystring:
            bucket = self.backend.get_bucket(bucket_name)
            bucket.get_permission = partial(_permission, bucket)
        return response

    def serialized(self, action_result: ActionResult) -> Any:
        """Serialize a result, after adding what moto leaves out of lifecycle rules and lists of versions."""
        # Errors are serialized by this method too.
        action = self.data.get("Action") if isinstance(action_result.result, dict) else None
        if action == "ListObjectVersions" and self.querystring.get("encoding-type") == ["url"]:
            _encode_keys(action_result.result)
        if action == "GetBucketLifecycleConfiguration":
            rules = self.backend.get_bucket_lifecycle(self.bucket_name)
            for rule, described in zip(rules, action_result.result["Rules"], strict=True):
                number = vars(rule).get("newer_noncurrent_versions")
                if number is not None:
                    described["NoncurrentVersionExpiration"][_NEWER_VERSIONS] = number
        return super().serialized(action_result)

    def _store_newer_versions(self, bucket_name: str) -> None:
        requested = xmltodict.parse(self.body, force_list=("Rule",))["LifecycleConfiguration"].get("Rule", [])
        rules = self.backend.get_bucket_lifecycle(bucket_name) or []
        for rule, request in zip(rules, requested, strict=True):
            vars(rule)["newer_noncurrent_versions"] = (request.get("NoncurrentVersionExpiration") or {}).get(
                _NEWER_VERSIONS
            )


def _encode_keys(versions: dict[str, Any]) -> None:
    """URL-encode keys and parts of keys, since XML cannot hold every character."""
    listed = [*versions["Versions"], *versions["DeleteMarkers"], *versions.get("CommonPrefixes", [])]
    for part in (versions, *listed):
        for name in ("Delimiter", "Key", "KeyMarker", "NextKeyMarker", "Prefix"):
            if part.get(name):
                part[name] = quote(part[name])
    versions["EncodingType"] = "url"


def _with_error_body(request: Any, response: Any) -> Any:
    """Add the error's body to a denial, which moto sends without one."""
    if response != (403, {}, "") or request.method == "HEAD":
        return response
    return _denied()


def _denied(message: str = "Access Denied") -> tuple[int, dict[str, str], str]:
    document = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
    return 403, {"Content-Type": "application/xml"}, document


def _permission(bucket: Any, action: str, resource: str) -> Any:
    """Moto's ``FakeBucket.get_permission`` without the statements that deny plain HTTP."""
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    statements = policy["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    policy["Statement"] = [statement for statement in listed if not _denies_plain_http(statement)]
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


def _denies_plain_http(statement: dict[str, Any]) -> bool:
    transport = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement.get("Effect") == "Deny" and str(transport).lower() == "false"
