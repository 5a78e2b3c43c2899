"""Anonymous access to S3, decided by a bucket's policy, its ACLs and its public access block.

S3 user guide, "The meaning of public" and "Blocking public access"; S3 API reference, "POST Object" for forms.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import ALL_USERS_GRANTEE

from localaws.core.resource_policies import decide

__all__ = ["form_refusal", "is_public_read"]

#: Query parameters of GetObject and ListObjects; any other one selects an operation that is never public here.
_OBJECT_PARAMETERS = frozenset({"partNumber", "versionId", "x-id"})
_LIST_PARAMETERS = frozenset({
    "continuation-token", "delimiter", "encoding-type", "fetch-owner", "list-type", "marker", "max-keys", "prefix",
    "start-after", "x-id",
})  # fmt: skip


def is_public_read(bucket: Any, key: Any, key_name: str | None, parameters: Mapping[str, object]) -> bool:
    """Whether an anonymous request may read an object or list a bucket.

    Args:
        bucket: moto's bucket.
        key: moto's object; None for a missing object and for the bucket itself.
        key_name: The object's key; None for the bucket itself.
        parameters: The query parameters of the request.
    """
    if not parameters.keys() <= (_LIST_PARAMETERS if key_name is None else _OBJECT_PARAMETERS):
        return False
    block = bucket.public_access_block
    by_policy = PermissionResult.NEUTRAL
    if not _is_set(block, "restrict_public_buckets"):
        resource = f"arn:{bucket.partition}:s3:::{bucket.name}"
        action = "s3:ListBucket"
        if key_name is not None:
            resource += f"/{key_name}"
            action = "s3:GetObjectVersion" if "versionId" in parameters else "s3:GetObject"
        by_policy = decide(bucket.policy, None, action, resource)
    if by_policy != PermissionResult.NEUTRAL or _is_set(block, "ignore_public_acls"):
        return bool(by_policy == PermissionResult.PERMITTED)
    acl = bucket.acl if key_name is None else key and key.acl
    return acl is not None and bool(acl.public_read)


def form_refusal(bucket: Any, fields: Mapping[str, str]) -> str | None:
    """The reason for rejecting an upload by an HTML form; None if it is signed or the bucket is publicly writable.

    Args:
        bucket: moto's bucket.
        fields: The fields of the form.
    """
    lowercase = {name.lower(): value for name, value in fields.items()}
    sigv4 = ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
    if not any(
        all(lowercase.get(name) for name in names) for names in (sigv4, ("policy", "awsaccesskeyid", "signature"))
    ):
        is_ignored = _is_set(bucket.public_access_block, "ignore_public_acls")
        return None if not is_ignored and _is_public_write(bucket.acl) else "Access Denied"
    try:
        expiration = datetime.fromisoformat(json.loads(base64.b64decode(lowercase["policy"]))["expiration"])
    except (ValueError, KeyError, TypeError):
        return "Invalid Policy: it is not base64 of a JSON document with an expiration."
    if expiration.replace(tzinfo=expiration.tzinfo or UTC) < datetime.now(UTC):
        return "Invalid according to Policy: Policy expired."
    return None


def _is_set(block: Any, name: str) -> bool:
    return block is not None and str(getattr(block, name)).lower() == "true"


def _is_public_write(acl: Any) -> bool:
    return any(
        ALL_USERS_GRANTEE in grant.grantees and {"WRITE", "FULL_CONTROL"} & set(grant.permissions)
        for grant in (acl.grants if acl else [])
    )
