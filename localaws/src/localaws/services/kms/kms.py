"""KMS's data keys, which moto hands out and opens whatever the state of the key that wraps them."""

from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.kms.exceptions import AccessDeniedException
from moto.kms.responses import KmsResponse

__all__ = ["Kms"]

_INCORRECT_KEY = "The key ID in the request does not identify a CMK that can perform this operation."


class Kms(KmsResponse):  # type: ignore[misc]  # moto is untyped
    """Refuses a key that is disabled or about to be deleted, and a Decrypt that names another key than the data's.

    Codes and messages: the API references of GenerateDataKey and Decrypt, and "Key states of AWS KMS keys"
    (https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html).
    """

    def encrypt(self) -> Any:
        """Encrypt with an enabled key."""
        self._check_state(self._get_param("KeyId"))
        return super().encrypt()

    def generate_data_key(self) -> Any:
        """GenerateDataKey of an enabled key."""
        self._check_state(self._get_param("KeyId"))
        return super().generate_data_key()

    def decrypt(self) -> Any:
        """Decrypt with the key that the data was encrypted with."""
        key_id = self._get_param("KeyId")
        if key_id:
            self._check_state(key_id)
        try:
            return super().decrypt()
        except AccessDeniedException:
            # What moto answers where the named key is another one.
            raise _refusal("IncorrectKeyException", _INCORRECT_KEY) from None

    def _check_state(self, key_id: str) -> None:
        self._validate_key_id(key_id)
        key = self.kms_backend.keys[self.kms_backend.any_id_to_key_id(key_id)]
        if key.key_state == "Disabled":
            raise _refusal("DisabledException", f"{key.arn} is disabled.")
        if key.key_state == "PendingDeletion":
            raise _refusal("KMSInvalidStateException", f"{key.arn} is pending deletion.")


def _refusal(code: str, message: str) -> Exception:
    error: Exception = JsonRESTError(code, message)
    return error
