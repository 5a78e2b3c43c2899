"""S3, with two things that moto leaves out of what it is told, three that it answers wrongly, and event notices."""

import json
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import quote

import xmltodict
from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.responses import S3Response

from localaws.core.wsgi import IS_ANONYMOUS_KEY
from localaws.services.s3.event_notifications import ObjectEvents
from localaws.services.s3.object_watcher import WatchedObjects
from localaws.services.s3.public_access import form_refusal, is_public_read

_KEPT = "NewerNoncurrentVersions"


class S3(S3Response):  # type: ignore[misc]  # moto is untyped
    """Keeps a lifecycle's number of old versions, and applies a bucket policy that demands TLS as AWS does over TLS.

    moto denies by such a statement whatever the transport is, because it does not read conditions. Requests to the
    local AWS never leave the machine and count as encrypted.
    """

    events: ClassVar[ObjectEvents]

    @cached_property
    def backend(self) -> Any:
        """Moto's backend, watched: one of these objects answers one request."""
        return WatchedObjects(super().backend, self.events, self.current_account)

    def bucket_response(self, request: Any, full_url: str, headers: Any) -> Any:
        """Answer a request to a bucket; events go out when all of it is done."""
        try:
            return super().bucket_response(request, full_url, headers)
        finally:
            self.backend.tell()

    def key_response(self, request: Any, full_url: str, headers: Any) -> Any:
        """Answer a request to an object; events go out when all of it is done."""
        try:
            return super().key_response(request, full_url, headers)
        finally:
            self.backend.tell()

    def _bucket_response(self, request: Any, full_url: str) -> Any:
        if request.environ.get(IS_ANONYMOUS_KEY) and (refusal := self._refusal_of_everyone(request, full_url)):
            return refusal
        # Who pays for requests: moto would list the bucket.
        if request.method == "GET" and "requestPayment" in self._get_querystring(request, full_url):
            self.backend.head_bucket(self.parse_bucket_name_from_url(request, full_url))
            return (
                '<RequestPaymentConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                "<Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
            )
        return _worded(request, super()._bucket_response(request, full_url))

    def _key_response(self, request: Any, full_url: str) -> Any:
        if request.environ.get(IS_ANONYMOUS_KEY) and (refusal := self._refusal_of_everyone(request, full_url)):
            return refusal
        return _worded(request, super()._key_response(request, full_url))

    def _refusal_of_everyone(self, request: Any, full_url: str) -> tuple[int, dict[str, str], str] | None:
        """The response to an unsigned request that not everyone may send; None where everyone may."""
        name = self.parse_bucket_name_from_url(request, full_url)
        key_name = self.parse_key_name() or None
        if not name:
            return _denied("Access Denied")
        bucket = self.backend.get_bucket(name)
        if request.method == "POST":
            refusal = form_refusal(bucket, request.form) if key_name is None else "Access Denied"
            return _denied(refusal) if refusal else None
        key = None if key_name is None else self.backend.get_object(name, key_name)
        return None if is_public_read(bucket, key, key_name, request.args) else _denied("Access Denied")

    def _bucket_response_put(self, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        answer = super()._bucket_response_put(request, bucket_name, querystring)
        if "lifecycle" in querystring:
            self._keep_numbers(bucket_name)
        elif "policy" in querystring:
            bucket = self.backend.get_bucket(bucket_name)
            bucket.get_permission = partial(_permission, bucket)
        return answer

    def serialized(self, action_result: ActionResult) -> Any:
        """An answer; with the numbers of old versions, or with the versions' keys encoded, where it is about those."""
        # An error comes this way, too.
        action = self.data.get("Action") if isinstance(action_result.result, dict) else None
        if action == "ListObjectVersions" and self.querystring.get("encoding-type") == ["url"]:
            _encode(action_result.result)
        if action == "GetBucketLifecycleConfiguration":
            rules = self.backend.get_bucket_lifecycle(self.bucket_name)
            for rule, described in zip(rules, action_result.result["Rules"], strict=True):
                number = vars(rule).get("newer_noncurrent_versions")
                if number is not None:
                    described["NoncurrentVersionExpiration"][_KEPT] = number
        return super().serialized(action_result)

    def _keep_numbers(self, bucket_name: str) -> None:
        asked = xmltodict.parse(self.body, force_list=("Rule",))["LifecycleConfiguration"].get("Rule", [])
        rules = self.backend.get_bucket_lifecycle(bucket_name) or []
        for rule, wanted in zip(rules, asked, strict=True):
            vars(rule)["newer_noncurrent_versions"] = (wanted.get("NoncurrentVersionExpiration") or {}).get(_KEPT)


def _encode(versions: dict[str, Any]) -> None:
    """Encode what is a key or part of one, as in the lists of objects: an XML document cannot hold every character."""
    listed = [*versions["Versions"], *versions["DeleteMarkers"], *versions.get("CommonPrefixes", [])]
    for part in (versions, *listed):
        for name in ("Delimiter", "Key", "KeyMarker", "NextKeyMarker", "Prefix"):
            if part.get(name):
                part[name] = quote(part[name])
    versions["EncodingType"] = "url"


def _worded(request: Any, answer: Any) -> Any:
    """An answer; a denial with AWS's words, where moto has none."""
    if answer != (403, {}, "") or request.method == "HEAD":
        return answer
    return _denied("Access Denied")


def _denied(message: str) -> tuple[int, dict[str, str], str]:
    document = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
    return 403, {"Content-Type": "application/xml"}, document


def _permission(bucket: Any, action: str, resource: str) -> Any:
    """Moto's ``FakeBucket.get_permission``, without the statements that refuse plain HTTP."""
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    statements = policy["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    policy["Statement"] = [statement for statement in listed if not _refuses_plain_http(statement)]
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


def _refuses_plain_http(statement: dict[str, Any]) -> bool:
    transport = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement.get("Effect") == "Deny" and str(transport).lower() == "false"
