"""The keys that vectors are encrypted with: checked when one is chosen, and whenever vectors are read or written."""

from typing import Any

from moto.kms.models import kms_backends

from localaws.services.s3vectors.buckets import Caller
from localaws.services.s3vectors.refusals import Refusal, invalid

__all__ = ["check_key", "chosen_encryption"]


def chosen_encryption(caller: Caller, configuration: dict[str, Any] | None) -> dict[str, str] | None:
    """An encryptionConfiguration as it is kept; None where none is given.

    Raises:
        Refusal: Type and key do not fit each other, or there is no such key. The messages are what users of the
            service measured (langchain.js' S3 Vectors integration, 2026-09).
    """
    if not configuration:
        return None
    kind, arn = configuration.get("sseType") or "AES256", configuration.get("kmsKeyArn")
    if kind == "AES256":
        if arn:
            raise invalid("kmsKeyArn must not be specified when sseType is AES256.", "EncryptionConfiguration")
        return {"sseType": kind}
    if not arn:
        raise invalid("kmsKeyArn must be specified when sseType is set to aws:kms", "EncryptionConfiguration")
    if _key(caller, arn) is None:
        raise Refusal("AccessDeniedException", f"Key '{arn}' does not exist")
    return {"sseType": kind, "kmsKeyArn": arn}


def check_key(caller: Caller, encryption: dict[str, str]) -> None:
    """Refuse to work with a key that cannot be used any more.

    Raises:
        Refusal: It is disabled, about to be deleted, gone, or one that does not encrypt.
    """
    arn = encryption.get("kmsKeyArn")
    if arn is None:
        return
    key = _key(caller, arn)
    if key is None:
        raise Refusal("KmsNotFoundException", f"Key '{arn}' does not exist")
    if key.key_state == "Disabled":
        raise Refusal("KmsDisabledException", f"{arn} is disabled.")
    if key.key_state != "Enabled":
        state = "pending deletion" if key.key_state == "PendingDeletion" else key.key_state
        raise Refusal("KmsInvalidStateException", f"{arn} is {state}.")
    if key.key_usage != "ENCRYPT_DECRYPT":
        raise Refusal("KmsInvalidKeyUsageException", f"{arn} key usage is {key.key_usage}.")


def _key(caller: Caller, arn: str) -> Any:
    """Moto's key of an ARN; None where there is none in the caller's account and region."""
    found = kms_backends[caller.account_id][caller.region].keys.get(arn.rpartition("/")[2])
    return found if found is not None and found.arn == arn else None
