"""Encryption keys of buckets and indexes: checked when they are chosen, and whenever vectors are read or written."""

from typing import Any

from moto.kms.models import kms_backends

from localaws.services.s3vectors.errors import InvalidRequest, S3VectorsError

__all__ = ["check_key", "chosen_encryption"]


def chosen_encryption(account_id: str, region: str, configuration: dict[str, Any] | None) -> dict[str, str] | None:
    """The encryptionConfiguration of a request; None if the request has none.

    Raises:
        S3VectorsError: Type and key do not match, or the key does not exist. The messages were measured by users of
            the service (langchain.js' S3 Vectors integration, 2026-09).
    """
    if not configuration:
        return None
    kind, arn = configuration.get("sseType") or "AES256", configuration.get("kmsKeyArn")
    if (kind == "AES256") == bool(arn):
        message = (
            "kmsKeyArn must not be specified when sseType is AES256."
            if arn
            else "kmsKeyArn must be specified when sseType is set to aws:kms"
        )
        raise InvalidRequest(message, ("EncryptionConfiguration", message))
    if not arn:
        return {"sseType": kind}
    if _key(account_id, region, arn) is None:
        raise S3VectorsError("AccessDeniedException", f"Key '{arn}' does not exist")
    return {"sseType": kind, "kmsKeyArn": arn}


def check_key(account_id: str, region: str, encryption: dict[str, str]) -> None:
    """Check that an encryption key can be used.

    Raises:
        S3VectorsError: The key is missing, disabled or pending deletion, or is not for encryption.
    """
    arn = encryption.get("kmsKeyArn")
    if arn is None:
        return
    key = _key(account_id, region, arn)
    if key is None:
        raise S3VectorsError("KmsNotFoundException", f"Key '{arn}' does not exist")
    if key.key_state == "Disabled":
        raise S3VectorsError("KmsDisabledException", f"{arn} is disabled.")
    if key.key_state != "Enabled":
        state = "pending deletion" if key.key_state == "PendingDeletion" else key.key_state
        raise S3VectorsError("KmsInvalidStateException", f"{arn} is {state}.")
    if key.key_usage != "ENCRYPT_DECRYPT":
        raise S3VectorsError("KmsInvalidKeyUsageException", f"{arn} key usage is {key.key_usage}.")


def _key(account_id: str, region: str, arn: str) -> Any:
    """Moto's key with an ARN; None if the account has no such key in the region."""
    key = kms_backends[account_id][region].keys.get(arn.rpartition("/")[2])
    return key if key is not None and key.arn == arn else None
