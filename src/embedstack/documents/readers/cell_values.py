"""Texts of a spreadsheet's numbers: dates as ISO 8601, percentages, and numbers without binary rounding."""

import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Literal

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.package import parse_part

__all__ = ["NumberKind", "number_kinds", "number_text"]

NumberKind = Literal["number", "date", "time", "percent"]

# Built-in formats (ECMA-376 part 1, 18.8.30), including those of East Asian locales.
_BUILT_IN: dict[str, NumberKind] = {
    **{str(number): "date" for number in (14, 15, 16, 17, 22, *range(27, 32), 36, *range(50, 59))},
    **{str(number): "time" for number in (18, 19, 20, 21, *range(32, 36), 45, 46, 47)},
    **{str(number): "percent" for number in (9, 10)},
}
# Parts of a format that are not codes: quoted text, escaped and filling characters, colours and conditions.
_LITERALS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
_DATE_CODE = re.compile("[ydg]|m{3}|(?<![hs:])m(?!:|s)", re.IGNORECASE)
_TIME_CODE = re.compile("[hs]", re.IGNORECASE)
_SECONDS_PER_DAY = 86400
_MAX_DAYS = 2_958_465  # to 9999-12-31, the last date in Excel and in Python
_MAX_FORMAT = 255
_MAX_PLAIN = 1e21


def number_kinds(package: zipfile.ZipFile, part: str | None, allowance: Allowance) -> Sequence[NumberKind]:
    """The kind of each cell style, by its index."""
    formats: dict[str, str] = {}
    styles: list[str] = []
    in_cell_styles = False

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal in_cell_styles
        if element == "numFmt":
            formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif element == "cellXfs":
            in_cell_styles = True
        elif element == "xf" and in_cell_styles:
            styles.append(attributes.get("numFmtId", "0"))

    def end(element: str) -> None:
        nonlocal in_cell_styles
        if element == "cellXfs":
            in_cell_styles = False

    if part:
        parse_part(package, part, allowance, start=start, end=end)
    kinds: dict[str, NumberKind] = {}
    for style in styles:
        if style not in kinds:
            kinds[style] = _kind(style, formats.get(style))
    return [kinds[style] for style in styles]


def _kind(style: str, code: str | None) -> NumberKind:
    if code is None:
        return _BUILT_IN.get(style, "number")
    # The first section is for positive numbers.
    code = _LITERALS.sub("", code[:_MAX_FORMAT]).partition(";")[0]
    if code.lower() == "general":
        return "number"
    if _DATE_CODE.search(code):
        return "date"
    if _TIME_CODE.search(code):
        return "time"
    return "percent" if "%" in code else "number"


def number_text(value: str, kind: NumberKind, *, from_1904: bool) -> str:
    """The text of a stored number.

    Args:
        value: The number as stored: digits of a binary floating-point number, or a serial number of days.
        kind: Its format's kind.
        from_1904: Whether days count from 1904 instead of 1900.
    """
    try:
        number = float(value)
    except ValueError:
        return value
    if kind in ("date", "time") and 0 <= number <= _MAX_DAYS:
        # A number below 1 is a time, in whatever format.
        is_time = kind == "time" or 0 < number < 1
        with suppress(OverflowError):  # the last days, counted from 1904 or rounded up
            return _time_text(number) if is_time else _date_text(number, from_1904=from_1904)
    if kind == "percent":
        return f"{_plain(100 * number)}%"
    return value if value.isdigit() else _plain(number)


def _plain(number: float) -> str:
    # Excel computes with 15 significant digits and stores 17: 0.1 + 0.2 is stored as 0.30000000000000004.
    return f"{number:.0f}" if number.is_integer() and abs(number) < _MAX_PLAIN else f"{number:.15g}"


def _date_text(serial: float, *, from_1904: bool) -> str:
    # Excel's 1900 has a 29 February, number 60.
    epoch = date(1904, 1, 1) if from_1904 else date(1899, 12, 30 if serial >= 60 else 31)
    moment = datetime.combine(epoch, time.min) + timedelta(seconds=round(serial * _SECONDS_PER_DAY))
    return moment.date().isoformat() if moment.time() == time.min else moment.isoformat()


def _time_text(days: float) -> str:
    minutes, seconds = divmod(round(days * _SECONDS_PER_DAY), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"
