"""Detects a file's character encoding and decodes its text.

Encodings are tried in this order: by the byte order mark; ISO-2022-JP by its escape sequences; UTF-16 and UTF-32 by
their characters; UTF-8; the declared encoding, for example of an HTML page; the most likely encodings by
charset-normalizer. Only encodings of the WHATWG standard (https://encoding.spec.whatwg.org/#names-and-labels) and DOS
code pages are used. Some of Python's others decompress their input, and some accept any bytes.

A damaged byte must not change the encoding of the whole file. UTF-8 is kept if the file declares it, or if most of the
bytes that are not ASCII are valid UTF-8. Invalid bytes become U+FFFD and are counted in a note. The same applies to a
declared or likely encoding in which characters have several bytes.
"""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import count_controls, is_usual
from embedstack.documents.readers.likely_encodings import (
    LEGACY_ENCODINGS,
    MULTIBYTE_ENCODINGS,
    latin_encodings,
    likely_encodings,
)

__all__ = ["MAX_REPLACED_SHARE", "decode"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf_32"),
    (codecs.BOM_UTF32_BE, "utf_32"),
    (codecs.BOM_UTF8, "utf_8_sig"),
    (codecs.BOM_UTF16_LE, "utf_16"),
    (codecs.BOM_UTF16_BE, "utf_16"),
)
_WIDE = ("utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be")
_ISO_2022_KR = b"\x1b$)C"
_ISO_2022_JP = re.compile(rb"\x1b(?:\$[@B]|\([BIJ])")
_NON_ASCII = re.compile(rb"[\x80-\xff]")

# Declared names for which the WHATWG standard specifies a superset of Python's encoding.
_DECLARED = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
# Declared names that Python does not know.
_LABELS = {
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "x-euc-jp": "euc_jp",
    "x-gbk": "gb18030",
    "x-x-big5": "big5",
    "big5-hkscs": "big5hkscs",
    "windows-874": "cp874",
    "dos-874": "cp874",
    "windows-949": "cp949",
    "x-windows-949": "cp949",
    "iso-8859-8-i": "iso8859_8",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
}
_ALLOWED = {
    codecs.lookup(name).name
    for name in (
        *LEGACY_ENCODINGS,
        "big5hkscs",
        "euc_jis_2004",
        *(f"iso8859_{part}" for part in range(2, 17) if part != 12),
    )
}

# Bytes examined to detect an encoding. More is slower and hardly more accurate.
_SAMPLE = 64 * 1024
_BLOCK_BYTES = 1024 * 1024
# Texts have few control characters; binary files that are valid in an encoding by chance have many.
_MAX_CONTROLS = 0.005
_MAX_NULS = 0.003
_MIN_BLANKS = 0.08
# At least this share of the characters of UTF-16 and UTF-32 text is assigned in Unicode and common.
_MIN_USUAL = 0.97
#: A file is refused if more than this share of its characters is invalid, unless there are only a few of them.
MAX_REPLACED_SHARE = 0.01
_FEW = 3
# What UTF-8 text in Latin script has besides ASCII. Other encodings rarely give these by chance.
_TYPICAL = re.compile("[\xa0-\xff\u2010-\u2026\u20ac\u2122]*")
# U+FFFD, and what "ß" and a quotation mark of Windows-1252 are in UTF-8: letters of N'Ko.
_UNLIKELY = re.compile("[\u07c0-\u07ff\ufffd]")
# In an encoding of one byte per character, fewer of the sequences are UTF-8 characters of two bytes by chance.
_MAX_UTF_8_SHARE = 0.2

# Words of another script in a Latin encoding have no ASCII letter ("Âñå ëþäè"). Latin words in another encoding mix
# scripts ("Grцѓe"). KOI8 and Windows-1251 swap lower and upper case ("бЯЕ КЧДХ").
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_LATIN = "\x80-\u024f\u1e00-\u1eff"
_ODD_WORD = re.compile(rf"[{_LATIN}]+|(?=.*[A-Za-z]).*[^\0-\x7f{_LATIN}].*")
_MIN_WORDS = 4


class _Candidate(NamedTuple):
    encoding: str
    is_guess: bool = False
    replaces: bool = False  # whether invalid bytes are replaced


class _Utf8(NamedTuple):
    """How well a file is UTF-8.

    Attributes:
        valid: Characters of more than one byte.
        two_byte: Those of two bytes.
        valid_bytes: Their bytes.
        invalid: Byte sequences that are invalid.
        is_typical: Whether the characters are common in Latin script.
    """

    valid: int
    two_byte: int
    valid_bytes: int
    invalid: int
    is_typical: bool

    @property
    def is_dominant(self) -> bool:
        """Whether most bytes that are not ASCII are UTF-8, which other encodings are not by chance."""
        if self.invalid <= _FEW:
            return self.valid > 0
        return self.valid_bytes > (1 if self.is_typical else 4) * self.invalid

    @property
    def is_mixed(self) -> bool:
        """Whether there are too many valid sequences for an encoding of one byte per character."""
        return self.two_byte > max(_FEW, _MAX_UTF_8_SHARE * (self.two_byte + self.invalid))


def decode(content: bytes, allowance: Allowance, declared: str | None = None) -> tuple[str, str]:
    """Decode a file.

    Args:
        content: The whole file.
        allowance: The document's limits. Characters are not counted here, but decoding stops beyond the limit.
        declared: The encoding that the file declares.

    Returns:
        The decoded text, and the encoding by Python's name.

    Raises:
        DocumentRefused: The file is not text ("not_text"), is in no supported encoding or has too many invalid bytes
            ("undecodable"), or is "too_large".
    """
    tried = []
    for candidate in _candidates(content, declared, allowance):
        encoding = candidate.encoding
        if candidate in tried:
            continue
        tried.append(candidate)
        try:
            text = _decode(content, candidate, allowance)
        except UnicodeError:
            continue
        if candidate.is_guess:
            allowance.notes.append(
                f"The encoding {encoding} was guessed. If the text looks wrong, save the file as UTF-8."
            )
        return text, encoding.removesuffix("_sig")
    names = ", ".join(dict.fromkeys(candidate.encoding for candidate in tried))
    return allowance.refuse(
        "undecodable",
        f"is not in a supported character encoding (tried: {names}, and {len(LEGACY_ENCODINGS)} older ones without a "
        "byte order mark). Save it as UTF-8.",
    )


def _candidates(content: bytes, declared: str | None, allowance: Allowance) -> Iterator[_Candidate]:
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    if marked:
        yield _Candidate(marked, replaces=True)
        return
    if _ISO_2022_JP.search(content[:_SAMPLE]):
        yield _Candidate("iso2022_jp")
    if content.startswith(_ISO_2022_KR):
        yield _Candidate("iso2022_kr")
    if b"\0" in content[:_SAMPLE] and not _has_few_nuls(content[:_SAMPLE]):
        wide = _wide_encoding(content[:_SAMPLE])
        if wide is None:
            allowance.refuse(
                "not_text", "contains NUL bytes and is not text. Use the suffix of its format, or convert it to text."
            )
        yield _Candidate(wide, replaces=True)
        return
    yield _Candidate("utf_8")
    utf_8 = _measure_utf_8(content)
    yield from _candidates_besides_utf_8(content, declared, utf_8, allowance)


def _candidates_besides_utf_8(
    content: bytes, declared: str | None, utf_8: _Utf8, allowance: Allowance
) -> Iterator[_Candidate]:
    encoding = _supported(declared)
    declares_utf_8 = encoding == "utf-8"
    # Few invalid bytes in an ASCII file that declares UTF-8 are damage; more of them are another encoding.
    if utf_8.is_dominant or (declares_utf_8 and not utf_8.valid and utf_8.invalid <= _FEW):
        yield _Candidate("utf_8", replaces=True)
        return
    is_multibyte = encoding in MULTIBYTE_ENCODINGS
    if encoding and not declares_utf_8 and (is_multibyte or _is_plausible(content[:_SAMPLE], encoding)):
        yield _Candidate(encoding, replaces=True)
    if not utf_8.valid and utf_8.invalid <= _FEW:
        # Too few for a statistical guess. Most such files are in a Western European language, or damaged.
        if latin_encodings(_sample(content))[:1] == ["cp1252"]:
            yield _Candidate("cp1252", is_guess=True)
        yield _Candidate("utf_8", replaces=True)
        return
    for guess in likely_encodings(_sample(content)):
        if guess not in (*MULTIBYTE_ENCODINGS, "cp874") and utf_8.is_mixed:
            allowance.refuse("undecodable", "mixes UTF-8 and another character encoding. Save it as UTF-8.")
        yield _Candidate(guess, is_guess=True, replaces=True)


def _has_few_nuls(sample: bytes) -> bool:
    """Whether a sample is text of bytes with a few NULs, and not UTF-16 or UTF-32 with few ASCII characters."""
    if sample.count(0) > len(sample) * _MAX_NULS:
        return False
    # Blanks are frequent in bytes of text only, and most bytes of other scripts in UTF-16 are invalid UTF-8.
    if sample.count(b" ") + sample.count(b"\n") > len(sample) * _MIN_BLANKS:
        return True
    try:
        codecs.getincrementaldecoder("utf_8")().decode(sample)
    except UnicodeError:
        return False
    return True


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without byte order mark; None if the sample is neither."""
    best, most = None, 0
    for encoding in _WIDE:
        width = 4 if "32" in encoding else 2
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample[: len(sample) // width * width])
        except UnicodeError:
            continue
        # In the wrong byte order, line ends, blanks and punctuation become other characters.
        common = sum(character < "\x7f" or "\u3000" <= character < "\u3100" for character in text)
        is_text = text and sum(map(is_usual, text)) >= _MIN_USUAL * len(text)
        if is_text and common > most and (text.isascii() or any(character in "\n \u3001\u3002" for character in text)):
            best, most = encoding, common
    return best


def _measure_utf_8(content: bytes) -> _Utf8:
    decoder = codecs.getincrementaldecoder("utf_8")("replace")
    valid = two_byte = valid_bytes = invalid = 0
    is_typical = True
    for start in range(0, len(content), _BLOCK_BYTES):
        block = decoder.decode(content[start : start + _BLOCK_BYTES], start + _BLOCK_BYTES >= len(content))
        others = re.sub("[\0-\x7f]+", "", block)
        invalid += len(_UNLIKELY.findall(others))
        others = _UNLIKELY.sub("", others)
        valid += len(others)
        two_byte += sum(character < "\u0800" for character in others)
        valid_bytes += len(others.encode())
        is_typical = is_typical and _TYPICAL.fullmatch(others) is not None
    own = content.count("\ufffd".encode())  # those that the file has itself
    return _Utf8(valid + own, two_byte, valid_bytes + 3 * own, invalid - own, is_typical)


def _supported(declared: str | None) -> str | None:
    declared = (declared or "").lower()
    try:
        name = codecs.lookup(_LABELS.get(declared, declared)).name
    except (LookupError, ValueError):
        return None
    name = _DECLARED.get(name, name)
    return name if name == "utf-8" or codecs.lookup(name).name in _ALLOWED else None


def _is_plausible(sample: bytes, encoding: str) -> bool:
    """Whether the words of a sample are likely in an encoding of one byte per character, in which any bytes decode."""
    words = [word for word in _LETTERS.findall(sample.decode(encoding, "ignore")) if not word.isascii()]
    odd = sum(_ODD_WORD.fullmatch(word) is not None for word in words)
    # Headlines have words in upper case, but none that starts in lower case and goes on in upper case.
    swapped = sum(word[0].islower() and word[1:].isupper() for word in words)
    is_swapped = swapped > sum(map(str.istitle, words)) and 2 * sum(map(str.islower, words)) < len(words)
    return len(words) < _MIN_WORDS or (odd <= len(words) / 2 and not is_swapped)


def _sample(content: bytes) -> bytes:
    """A part of the content from the line of its first character that is not ASCII."""
    first = _NON_ASCII.search(content)
    start = content.rfind(b"\n", 0, first.start() if first else 0) + 1
    sample = content[max(start, (first.start() if first else 0) - _SAMPLE) :][:_SAMPLE]
    # Cut at a line end, which is never part of a character.
    end = sample.rfind(b"\n")
    return sample[: end + 1] if len(sample) == _SAMPLE and end > 0 else sample


def _decode(content: bytes, candidate: _Candidate, allowance: Allowance) -> str:
    encoding = candidate.encoding
    decoder = codecs.getincrementaldecoder(encoding)("replace" if candidate.replaces else "strict")
    limit = allowance.limits.max_text_characters
    blocks: list[str] = []
    characters = controls = replaced = 0
    for start in range(0, len(content), _BLOCK_BYTES):
        block = decoder.decode(content[start : start + _BLOCK_BYTES], start + _BLOCK_BYTES >= len(content))
        controls += count_controls(block)
        replaced += block.count("\ufffd")
        characters += len(block)
        # A file has more characters than its text, because markup and field names are not text.
        if characters > 4 * limit:
            allowance.take_characters(characters)
        blocks.append(block)
    if controls > max(2, characters * _MAX_CONTROLS):
        allowance.refuse(
            "not_text", f"has {controls:,} control characters in {characters:,} and is not text. Convert it to text."
        )
    if candidate.replaces:
        # The file may have U+FFFD itself, which is valid.
        replaced -= content.count("\ufffd".encode(encoding.removesuffix("_sig")[:9])) if "utf" in encoding else 0
        _check_replaced(replaced, characters, encoding, allowance)
    return "".join(blocks)


def _check_replaced(replaced: int, characters: int, encoding: str, allowance: Allowance) -> None:
    if replaced <= 0:
        return
    name = encoding.removesuffix("_sig").replace("utf_", "UTF-")
    if not _is_tolerable(replaced, characters):
        if not encoding.startswith("utf"):
            raise UnicodeError  # it is in another encoding
        allowance.refuse(
            "undecodable",
            f"has {replaced:,} byte sequences that are not {name}, in {characters:,} characters; at most "
            f"{MAX_REPLACED_SHARE:.0%} may be invalid. Save it as UTF-8.",
        )
    sequences = "byte sequence is" if replaced == 1 else "byte sequences are"
    allowance.notes.append(f"{replaced:,} {sequences} not {name} and became U+FFFD.")


def _is_tolerable(replaced: int, characters: int) -> bool:
    return replaced <= max(_FEW, characters * MAX_REPLACED_SHARE) and 2 * replaced <= characters
