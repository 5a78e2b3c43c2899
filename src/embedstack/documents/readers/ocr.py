"""Reads text in pictures with Tesseract, a program of the system."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.errors import ConfigurationError

__all__ = ["Picture", "read_picture"]

_LANGUAGES = re.compile(r"[A-Za-z0-9_/]+(?:\+[A-Za-z0-9_/]+)*")
_INSTALL = "`apt-get install tesseract-ocr` or `brew install tesseract`"
# Tesseract would use all processors for a few percent of speed.
_VARIABLES = {"OMP_THREAD_LIMIT": "1"}
_LIST_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in shades of grey.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        pixels: One byte for each pixel, row by row from the top.
    """

    width: int
    height: int
    pixels: bytes

    def to_pgm(self) -> bytes:
        """The picture as a PGM file (https://netpbm.sourceforge.net/doc/pgm.html)."""
        return b"P5 %d %d 255\n" % (self.width, self.height) + self.pixels


def read_picture(picture: Picture, allowance: Allowance) -> str:
    """The text in a picture; "" without text.

    Args:
        picture: The picture.
        allowance: The limits, with the languages. Receives a note if the page cannot be read in time or at all.

    Raises:
        ConfigurationError: Tesseract or the data of a language is not installed.
    """
    languages = allowance.limits.ocr_languages or ""
    program = _program(languages)
    command = [program, "stdin", "stdout", "-l", languages]
    try:
        done = subprocess.run(
            command,
            input=picture.to_pgm(),
            capture_output=True,
            check=False,
            timeout=allowance.limits.max_ocr_seconds,
            env={**os.environ, **_VARIABLES},
        )
    except subprocess.TimeoutExpired:
        allowance.count_note(
            f"Pages without text because OCR took more than {allowance.limits.max_ocr_seconds:g} s: {{}}.", 1
        )
        return ""
    if done.returncode != 0:
        allowance.count_note("Pages without text because Tesseract failed: {}.", 1)
        return ""
    return clean(done.stdout.decode("utf-8", "replace")).strip()


@cache
def _program(languages: str) -> str:
    """The program's path, after checking the languages."""
    program = shutil.which("tesseract")
    if program is None:
        raise ConfigurationError(f"EMBEDSTACK_OCR is set, but Tesseract is not installed. Install it with {_INSTALL}.")
    if not _LANGUAGES.fullmatch(languages):
        raise ConfigurationError(
            f"OCR_LANGUAGES is {languages!r}. Set it to Tesseract's names of languages, such as eng+deu."
        )
    listed = subprocess.run(
        [program, "--list-langs"], capture_output=True, text=True, check=False, timeout=_LIST_SECONDS
    ).stdout.split()
    missing = [language for language in languages.split("+") if language not in listed]
    if missing:
        raise ConfigurationError(
            f"Tesseract lacks the language {missing[0]!r} of OCR_LANGUAGES. Install it, for example with "
            f"`apt-get install tesseract-ocr-{missing[0]}`."
        )
    return program
