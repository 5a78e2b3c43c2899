"""Tells whether a table's first row is its header."""

import re
from collections.abc import Sequence

__all__ = ["COMPARED_ROWS", "is_column_name"]

#: Rows that are compared with the first one.
COMPARED_ROWS = 50
_MAX_NAME = 100
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d[\d.,' ]*(?:[eE][-+]?\d{1,4})?\s*[%€$£]?")
# Columns may be years, dates or other periods.
_PERIOD = re.compile(r"(?:1[5-9]|20|21)\d\d|\d{1,4}[-/.]\d{1,2}(?:[-/.]\d{1,4})?(?:[T ][\d:.]+Z?)?")
_DATA = re.compile(r"https?://|[^\s@]+@[^\s@]+\.\w")


def is_column_name(cell: str, values: Sequence[str]) -> bool:
    """Whether a cell of the first row may be the name of a column with these values.

    A name is not a number, an address, longer than 100 characters, or one of the values. Years and dates are names if
    most values are something else.
    """
    if len(cell) > _MAX_NAME or _DATA.match(cell) or cell in values:
        return False
    if _PERIOD.fullmatch(cell):
        return 2 * sum(_PERIOD.fullmatch(value) is not None for value in values) <= len(values)
    return _NUMBER.fullmatch(cell) is None
