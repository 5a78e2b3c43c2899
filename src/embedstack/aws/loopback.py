"""Loopback addresses, and access to them without a proxy."""

import ipaddress
import os
from collections.abc import MutableMapping
from urllib.parse import urlsplit

__all__ = ["LOOPBACK_NAMES", "bypass_proxies", "is_loopback"]

#: Entries for NO_PROXY: curl, Python and the AWS SDKs compare names and do not resolve them.
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
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
    """Exclude this machine from the proxy settings; other requests still use the proxy.

    Args:
        environ: Environment in which NO_PROXY and no_proxy are extended, since programs read one or the other.
    """
    names = [name for variable in ("NO_PROXY", "no_proxy") for name in environ.get(variable, "").split(",")]
    merged = ",".join(dict.fromkeys([*(name.strip() for name in names if name.strip()), *LOOPBACK_NAMES]))
    # Only "*" alone means every host.
    value = "*" if "*" in merged.split(",") else merged
    environ["NO_PROXY"] = environ["no_proxy"] = value
