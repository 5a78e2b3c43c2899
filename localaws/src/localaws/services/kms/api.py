"""The AWS KMS API: moto's, with the state of keys checked."""

from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import AccessDeniedException
from moto.kms.responses import KmsResponse

__all__ = ["SIMPLIFICATIONS", "Kms"]

SIMPLIFICATIONS = {"CreateGrant": "Grants and key policies are stored and not checked."}

_INCORRECT_KEY = "The key ID in the request does not identify a CMK that can perform this operation."


class Kms(KmsResponse):  # type: ignore[misc]  # moto is untyped
    """Rejects keys that are disabled or pending deletion, and a Decrypt with a key that did not encrypt the data.

    Codes and messages: the API references of GenerateDataKey and Decrypt, and "Key states of AWS KMS keys"
    (https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html).
    """

    def encrypt(self) -> Any:
        """Encrypt, with an enabled key."""
        self._check_state(self._get_param("KeyId"))
        return super().encrypt()

    def generate_data_key(self) -> Any:
        """GenerateDataKey, with an enabled key."""
        self._check_state(self._get_param("KeyId"))
        return super().generate_data_key()

    def decrypt(self) -> Any:
        """Decrypt, with the key that encrypted the data."""
        key_id = self._get_param("KeyId")
        if key_id:
            self._check_state(key_id)
        try:
            return super().decrypt()
        except AccessDeniedException:
            # moto raises this for another key.
            raise _error("IncorrectKeyException", _INCORRECT_KEY) from None

    def _check_state(self, key_id: str) -> None:
        self._validate_key_id(key_id)
        key = self.kms_backend.keys[self.kms_backend.any_id_to_key_id(key_id)]
        if key.key_state == "Disabled":
            raise _error("DisabledException", f"{key.arn} is disabled.")
        if key.key_state == "PendingDeletion":
            raise _error("KMSInvalidStateException", f"{key.arn} is pending deletion.")


def _error(code: str, message: str) -> Exception:
    error: Exception = JsonRESTError(code, message)
    return error
