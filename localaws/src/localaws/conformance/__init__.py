"""Checks the local AWS's responses against botocore's service models, as they go over the wire.

For tests of the local AWS (LOCALAWS_CHECK_ANSWERS=1). SDKs silently drop unknown members, so a response of
the wrong shape looks correct in Python and breaks a stricter client. With this check it becomes an error that names the
violations.
"""

from localaws.conformance.middleware import ConformanceCheck

__all__ = ["ConformanceCheck"]
