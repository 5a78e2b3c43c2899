"""Holds the local AWS's own answers against botocore's service models, as they go over the wire.

For tests of the local AWS (LOCALAWS_CHECK_ANSWERS=1): SDKs drop a member that they do not know without a word, so that
an answer of the wrong shape looks right in Python and breaks a stricter client. Here a wrong answer becomes an error
that names what is wrong with it.
"""

from localaws.conformance.middleware import AnswerCheck

__all__ = ["AnswerCheck"]
