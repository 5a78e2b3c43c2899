"""Reads strings of a PDF, such as its title.

pypdfium2's own functions fail for strings with a lone surrogate.
"""

import ctypes
from collections.abc import Callable

from pypdfium2 import raw

__all__ = ["read_string"]


def read_string(read: Callable[..., int]) -> str:
    """A string that a function of PDFium writes into a buffer as UTF-16, with its number of bytes as its result."""
    size = read(None, 0)
    if size <= 2:  # the final NUL alone
        return ""
    buffer = (raw.FPDF_WCHAR * (size // 2))()
    read(buffer, size)
    return ctypes.string_at(buffer, size - 2).decode("utf-16-le", "replace")
