"""Errors of the local AWS itself, as opposed to the AWS errors in its responses."""

from embedstack.errors import ConfigurationError


class LocalAwsError(ConfigurationError):
    """The local AWS could not be started, found or stopped; the message says what to do."""
