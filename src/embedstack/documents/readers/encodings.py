"""Detects a file's character encoding and decodes its text.

Encodings are tried in this order: by the byte order mark; ISO-2022-JP by its escape sequences; UTF-16 and UTF-32 by the
positions of NUL bytes; UTF-8; the declared encoding, for example of an HTML page; the most likely encodings by
charset-normalizer. Decoding is strict: no character is replaced. Only encodings of the WHATWG standard
(https://encoding.spec.whatwg.org/#names-and-labels) and DOS code pages are used. Some of Python's others decompress
their input, and some accept any bytes.
"""

import codecs
import re
from collections.abc import Iterator

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import count_controls

__all__ = ["decode"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf_32"),
    (codecs.BOM_UTF32_BE, "utf_32"),
    (codecs.BOM_UTF8, "utf_8_sig"),
    (codecs.BOM_UTF16_LE, "utf_16"),
    (codecs.BOM_UTF16_BE, "utf_16"),
)
_ISO_2022_JP = re.compile(rb"\x1b(?:\$[@B]|\([BIJ])")
_NON_ASCII = re.compile(rb"[\x80-\xff]")

# Candidates for charset-normalizer, most common first, which breaks ties.
_LEGACY = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2",
    "iso8859_5", "iso8859_7", "koi8_r", "koi8_u", "mac_roman", "mac_cyrillic", "cp437", "cp850", "cp852", "cp866",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
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
}
_ALLOWED = {
    codecs.lookup(name).name for name in (*_LEGACY, *(f"iso8859_{part}" for part in (*range(3, 12), *range(13, 17))))
}

# Bytes examined to detect an encoding. More is slower and hardly more accurate.
_SAMPLE = 64 * 1024
_BLOCK_BYTES = 1024 * 1024
# Texts have few control characters; binary files that are valid in an encoding by chance have many.
_MAX_CONTROLS = 0.005


def decode(content: bytes, allowance: Allowance, declared: str | None = None) -> tuple[str, str]:
    """Decode a file.

    Args:
        content: The whole file.
        allowance: The document's limits. Characters are not counted here, but decoding stops beyond the limit.
        declared: The encoding that the file declares.

    Returns:
        The decoded text, and the encoding by Python's name.

    Raises:
        DocumentRefused: The file is not text ("not_text"), is in no supported encoding ("undecodable"), or is
            "too_large".
    """
    tried = []
    for encoding, is_guess in _candidates(content, declared, allowance):
        if encoding in tried:
            continue
        tried.append(encoding)
        try:
            text = _decode(content, encoding, allowance)
        except UnicodeError:
            continue
        if is_guess:
            allowance.notes.append(
                f"The encoding {encoding} was guessed. If the text looks wrong, save the file as UTF-8."
            )
        return text, encoding.removesuffix("_sig")
    return allowance.refuse(
        "undecodable",
        f"is not in a supported character encoding (tried: {', '.join(tried)}, and {len(_LEGACY)} older ones unless it "
        "has a byte order mark). Save it as UTF-8.",
    )


def _candidates(content: bytes, declared: str | None, allowance: Allowance) -> Iterator[tuple[str, bool]]:
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    if marked:
        yield marked, False
        return
    if _ISO_2022_JP.search(content[:_SAMPLE]):
        yield "iso2022_jp", False
    if b"\0" in content[:_SAMPLE]:
        encoding = _wide_encoding(content[:_SAMPLE])
        if encoding is None:
            allowance.refuse(
                "not_text", "contains NUL bytes and is not text. Use the suffix of its format, or convert it to text."
            )
        yield encoding, False
        return
    yield "utf_8", False
    encoding = _supported(declared)
    if encoding:
        yield encoding, False
    for guess in _likely(content):
        yield guess, True


def _wide_encoding(sample: bytes) -> str | None:
    # ASCII text in UTF-16 has a NUL in every second byte, in UTF-32 in three of four; the other bytes have almost none.
    sample = sample[: len(sample) // 4 * 4]
    shares = [sample[position::4].count(0) / max(1, len(sample) // 4) for position in range(4)]
    zeros = [share > 0.4 for share in shares]
    patterns = {
        (False, True, False, True): "utf_16_le",
        (True, False, True, False): "utf_16_be",
        (False, True, True, True): "utf_32_le",
        (True, True, True, False): "utf_32_be",
    }
    encoding = patterns.get((zeros[0], zeros[1], zeros[2], zeros[3]))
    texts = [share for share, zero in zip(shares, zeros, strict=True) if not zero]
    return encoding if encoding and max(texts) < 0.02 else None


def _supported(declared: str | None) -> str | None:
    try:
        name = codecs.lookup(declared or "").name
    except (LookupError, ValueError):
        return None
    name = _DECLARED.get(name, name)
    return name if codecs.lookup(name).name in _ALLOWED else None


def _likely(content: bytes) -> Iterator[str]:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most files are UTF-8

    first = _NON_ASCII.search(content)
    start = content.rfind(b"\n", 0, first.start() if first else 0) + 1
    sample = content[max(start, (first.start() if first else 0) - _SAMPLE) :][:_SAMPLE]
    # Cut at a line end, which is never part of a character: a partial character would exclude the right encoding.
    end = sample.rfind(b"\n")
    sample = sample[: end + 1] if len(sample) == _SAMPLE and end > 0 else sample
    matches = list(from_bytes(sample, cp_isolation=list(_LEGACY), enable_fallback=False))
    if matches:
        best = matches[0]
        equal = [match.encoding for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
        yield min((name for name in equal if name in _LEGACY), key=_LEGACY.index, default=best.encoding)
    for match in matches:
        yield match.encoding


def _decode(content: bytes, encoding: str, allowance: Allowance) -> str:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    limit = allowance.limits.max_text_characters
    blocks: list[str] = []
    characters = controls = 0
    for start in range(0, len(content), _BLOCK_BYTES):
        block = decoder.decode(content[start : start + _BLOCK_BYTES], start + _BLOCK_BYTES >= len(content))
        controls += count_controls(block)
        characters += len(block)
        # A file has more characters than its text, because markup and field names are not text.
        if characters > 4 * limit:
            allowance.take_characters(characters)
        blocks.append(block)
    if controls > max(2, characters * _MAX_CONTROLS):
        allowance.refuse(
            "not_text", f"has {controls:,} control characters in {characters:,} and is not text. Convert it to text."
        )
    return "".join(blocks)
