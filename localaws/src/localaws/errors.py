"""What can go wrong with the local AWS itself, as opposed to errors it answers with in AWS's name."""

from embedstack.errors import ConfigurationError


class LocalAwsError(ConfigurationError):
    """The local AWS could not be started, found or stopped; the message says why and what to do about it."""
