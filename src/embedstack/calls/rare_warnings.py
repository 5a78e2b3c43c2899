"""Warnings about failures that may repeat with every call."""

import logging
import time

from embedstack.calls.process_local import Lock

__all__ = ["RareWarnings"]

_SECONDS = 60.0


class RareWarnings:
    """Logs a warning once a minute for each subject. Safe for threads."""

    def __init__(self, logger: logging.Logger) -> None:
        """Prepare.

        Args:
            logger: Where to log.
        """
        self._logger = logger
        self._lock = Lock()
        self._logged: dict[str, float] = {}

    def log(self, subject: str, message: str, *values: object) -> None:
        """Log a warning, unless there was one of the subject within a minute.

        Args:
            subject: What the warning is about.
            message: The message, with the placeholders of :mod:`logging`.
            values: Values of the placeholders.
        """
        now = time.monotonic()
        with self._lock:
            if now - self._logged.get(subject, float("-inf")) < _SECONDS:
                return
            self._logged[subject] = now
        self._logger.warning(message, *values)
