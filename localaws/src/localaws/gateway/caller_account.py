"""The account that a request acts in: the one of its access key.

As in LocalStack, an access key id of 12 digits is the account's id. The keys of IAM users and of assumed roles belong
to the account that created them. Every other key, such as ``local``, belongs to the default account.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from moto.iam.models import iam_backends

from localaws.config import ACCOUNT_ID
from localaws.core.wsgi import ACCESS_KEY_KEY, OWN_PATHS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CallerAccount", "account_of"]

_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
#: moto's header for the account of a request.
_HEADER = "HTTP_X_MOTO_ACCOUNT_ID"


class CallerAccount:
    """Tells moto the account of each request."""

    def __init__(self, application: "WSGIApplication") -> None:
        """Wrap an application."""
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Pass on a request with its account, unless it names one itself, as tests of moto do."""
        if not environ.get("PATH_INFO", "").startswith(OWN_PATHS):
            environ.setdefault(_HEADER, account_of(environ.get(ACCESS_KEY_KEY, "")))
        return self._application(environ, start_response)


def account_of(access_key: str) -> str:
    """The account of an access key id; the default account for an empty or unknown one.

    moto would look it up in every partition, and would load AWS's managed policies for each of them.
    """
    if _ACCOUNT.fullmatch(access_key):
        return access_key
    for account_id, partitions in list(iam_backends.items()):
        if any(access_key in backend.access_keys for backend in list(partitions.values())):
            return str(account_id)
    return ACCOUNT_ID
