"""Text of PDF pages: whether it can be read, and words that are hyphenated at line ends."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from embedstack.documents.readers.cleaning import count_controls, is_usual

__all__ = ["LINE_END_HYPHEN", "HyphenJoiner", "is_readable", "mixes_scripts"]

#: Marks a hyphen and line end that were removed. A private character, which no readable text has.
LINE_END_HYPHEN = "\uf8ff"

# Placeholders for characters of fonts without a Unicode mapping: (cid:12), glyph names such as /g150/g149, private use.
_PLACEHOLDERS = re.compile(
    r"[\ufffd\ue000-\uf8ff]|\(cid:\d+\)|(?:/(?:g|gid|glyph|cid|c|uni|G|C|F)[0-9A-Fa-f]{1,5}\s*){3,}"
)
_MAX_PLACEHOLDERS = 0.3
_ASCII = re.compile("[\0-\x7f]+")
_SAMPLE = 4_000
# Languages in Latin script have 30 to 50 % vowels. Glyph numbers that were taken for letters have about 15 %.
_VOWELS = b"aeiouyAEIOUY"
_NO_LETTERS = bytes(code for code in range(256) if not chr(code).isascii() or not chr(code).isalpha())
_NO_VOWELS = bytes(code for code in range(256) if code not in _VOWELS)
_MIN_VOWELS = 0.2
_MIN_LETTERS = 100

# Fonts with wrong maps give letters of another script within a word. These scripts are combined in words.
_COMBINED = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH"})
_MAX_MIXED = 0.1
_MIN_WORDS = 20

# Ligatures and positional forms of letters: "ﬁ" is "fi". Others, such as "²", carry a meaning.
_FORMS = re.compile("[\ufb00-\ufdff\ufe70-\ufefc]+")
_LINE_END = re.compile(r"(?<=[^\W\d_])[-\u2010]\n(?=\w)")
_WORD = re.compile(rf"[^\W\d_]+(?:[-\u2010{LINE_END_HYPHEN}][^\W\d_]+)*+")
_MARK = re.compile(LINE_END_HYPHEN)
_TAIL = re.compile(r"[^\W\d_]+\Z")
_HEAD = re.compile(r"[^\W\d_]+")
_MAX_WORD = 60
# Compounds of these words keep their hyphen.
_COMPOUND_STARTS = frozenset({"self", "well"})


def is_readable(extracted: str) -> bool:
    """Whether the text of a page is language, and not codes of fonts that do not map to Unicode."""
    text = extracted.replace("\ufffe", "")
    length = len("".join(text.split()))
    placeholders = sum(len(match.group()) for match in _PLACEHOLDERS.finditer(text)) + count_controls(text)
    others = _ASCII.sub("", text)
    sample = others[:_SAMPLE]
    unassigned = sum(not is_usual(character) for character in sample) * len(others) / max(1, len(sample))
    if max(placeholders, unassigned) > _MAX_PLACEHOLDERS * length:
        return False
    return not _lacks_vowels(text, length)


def _lacks_vowels(text: str, length: int) -> bool:
    base = unicodedata.normalize("NFD", text).encode("ascii", "ignore")
    letters = len(base.translate(None, _NO_LETTERS))
    if letters < max(_MIN_LETTERS, length / 2):
        return False
    return len(base.translate(None, _NO_VOWELS)) < _MIN_VOWELS * letters


def mixes_scripts(text: str) -> bool:
    """Whether words have letters of several scripts, because fonts map some letters wrongly to Unicode."""
    words = [word for word in text.split() if not word.isascii()][:_SAMPLE]
    mixed = sum(
        len({_script(character) for character in word if not character.isascii()} - _COMBINED) > 1 for word in words
    )
    return len(words) >= _MIN_WORDS and mixed > _MAX_MIXED * len(words)


@lru_cache(4096)
def _script(character: str) -> str:
    """The script of a letter by its name in Unicode, such as "CYRILLIC"; that of another character is "LATIN"."""
    return unicodedata.name(character, "LATIN").partition(" ")[0] if character.isalpha() else "LATIN"


class HyphenJoiner:
    """Joins words that are hyphenated at line ends, by the words that the document has elsewhere.

    "infor-" and "mation" become "information". "well-" and "known" become "well-known" if the document has that word
    elsewhere, or both of its parts, but not "wellknown".
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Read the document's words.

        Args:
            texts: Texts of all pages.
        """
        pages = [_mark(text) for text in texts]
        looked_up: set[str] = set()
        for text in pages:
            for match in _MARK.finditer(text):
                tail, head = _parts(text, match)
                looked_up |= {tail, head, tail + head, f"{tail}-{head}"}
        # Most pages have no hyphenated words, and a document's words take much memory.
        self._words = {
            word
            for text in (pages if looked_up else ())
            for match in _WORD.finditer(text)
            if (word := match.group().lower().replace("\u2010", "-")) in looked_up
        }

    def join(self, text: str) -> str:
        """The text of a page with joined words, and with ligatures resolved."""
        marked = _mark(text)
        joined = _MARK.sub(lambda match: self._replacement(marked, match), marked)
        return _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match.group()), joined)

    def _replacement(self, text: str, match: re.Match[str]) -> str:
        # "S-Plus" and "2-fold" keep their hyphen.
        if not text[match.start() - 1 : match.start()].isalpha() or not text[match.end() : match.end() + 1].islower():
            return "-"
        tail, head = _parts(text, match)
        if tail + head in self._words:
            return ""
        is_compound = f"{tail}-{head}" in self._words or tail in _COMPOUND_STARTS
        return "-" if is_compound or {tail, head} <= self._words else ""


def _mark(text: str) -> str:
    return _LINE_END.sub(LINE_END_HYPHEN, text)


def _parts(text: str, match: re.Match[str]) -> tuple[str, str]:
    """The letters before and after a hyphen, in lower case."""
    tail = _TAIL.search(text[max(0, match.start() - _MAX_WORD) : match.start()])
    head = _HEAD.match(text, match.end(), match.end() + _MAX_WORD)
    return tail.group().lower() if tail else "", head.group().lower() if head else ""
