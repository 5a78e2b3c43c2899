"""Addresses on this machine, and how to reach them without a proxy."""

import ipaddress
import os
from collections.abc import MutableMapping
from urllib.parse import urlsplit

__all__ = ["LOOPBACK_NAMES", "bypass_proxies", "is_loopback"]

#: What NO_PROXY has to name: curl, Python and the AWS SDKs compare names and do not resolve them.
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine and nowhere else."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def bypass_proxies(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have requests to this machine go past any proxy; other requests still use it.

    Args:
        environ: Where NO_PROXY and no_proxy are extended. Some programs read one, some the other, some both.
    """
    names = [name for variable in ("NO_PROXY", "no_proxy") for name in environ.get(variable, "").split(",")]
    merged = ",".join(dict.fromkeys([*(name.strip() for name in names if name.strip()), *LOOPBACK_NAMES]))
    # Only "*" by itself means every host.
    value = "*" if "*" in merged.split(",") else merged
    environ["NO_PROXY"] = environ["no_proxy"] = value
