"""Timestamps in moto's form."""

from datetime import UTC, datetime

__all__ = ["utc_now"]


def utc_now() -> datetime:
    """The machine's time in UTC, without a time zone: moto's responses add it."""
    return datetime.now(UTC).replace(tzinfo=None)
