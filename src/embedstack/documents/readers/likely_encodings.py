"""Guesses the encoding of text that is not UTF-8 and declares nothing.

East Asian and Thai encodings are recognized by the characters that such texts have, which tolerates damaged bytes.
For others, charset-normalizer compares the frequencies of letters. It does not tell the encodings of Latin script
apart, which differ in a few letters; there, the alphabets of languages decide.
"""

import re
import unicodedata
from collections import Counter
from contextlib import suppress

__all__ = ["LEGACY_ENCODINGS", "MULTIBYTE_ENCODINGS", "latin_encodings", "likely_encodings"]

#: Encodings of text without declaration, most common first, which breaks ties.
LEGACY_ENCODINGS = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2", "iso8859_5",
    "iso8859_6", "iso8859_7", "koi8_r", "koi8_u", "mac_roman", "mac_cyrillic", "cp437", "cp850", "cp852", "cp855",
    "cp866", "cp874", "cp932", "euc_jp", "gb18030", "big5", "cp949",
)  # fmt: skip
#: Those in which a character may have several bytes, so that a damaged byte is noticed.
MULTIBYTE_ENCODINGS = ("cp932", "euc_jp", "cp949", "gb18030", "big5")
_LATIN_ENCODINGS = ("cp1252", "cp1250", "iso8859_2", "cp1254", "cp1257", "mac_roman", "cp850", "cp852", "cp437")
_ALL_BUT_SPECIAL = tuple(name for name in LEGACY_ENCODINGS if name not in MULTIBYTE_ENCODINGS and name != "cp874")

# Of the characters of a text in an East Asian encoding, this share is of its script.
_MIN_SHARE = 0.9
_MIN_KANA, _MIN_HANGUL, _MIN_COMMON_HAN = 0.15, 0.5, 0.04
# The most frequent characters of Chinese, simplified and traditional.
_COMMON_HAN = frozenset(
    "的一是不了人在有我他这個个們们中来來上大为為和国國地到以说說時时要就出会會可也你对對生能而子那得于於着下自之年"
)
# The most frequent syllables of Korean.
_COMMON_HANGUL = frozenset("이다는에의을를가고하은한지기로리사인도자서스나어라그아해")
_MIN_COMMON_HANGUL = 0.2
_MIN_CHARACTERS = 4
# Marks of Thai, which stand above or below a consonant.
_MAX_LOOSE_MARKS = 0.02

_MIN_LATIN_SHARE = 0.9
# Letters of languages in Latin script besides a to z.
_ALPHABETS = tuple(
    frozenset(letters + letters.upper().replace("SS", ""))
    for letters in (
        "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúü", "ãáâàçéêíóôõúü", "àèéìíîòóùú", "éèëïóöüáíúê", "åäöé", "æøåéèòôü",
        "áðéíóúýþæö", "äöõüšž", "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž",
        "çğ\u0131iöşüâîû", "āčēģīķļņšūž", "ąčęėįšųūž", "àçèéíïòóúü", "ëç", "âêîôûŵŷáäëïö",
    )
)  # fmt: skip
# A character, with the letters before and after it.
_NON_ASCII_IN_CONTEXT = re.compile(r"(?:(?<=([^\W\d_]))|(?<![^\W\d_]))([^\0-\x7f])(?=([^\W\d_]?))")
# What texts have besides letters.
_SIGNS = frozenset("\xa0¡£§©«®°±²³»¼½¾¿–—‘’‚“”„•…‰€™ªº")  # noqa: RUF001 - typographic


def likely_encodings(sample: bytes) -> list[str]:
    """Encodings in which a sample may be, the most likely first.

    Args:
        sample: Text with bytes that are not ASCII, which does not start or end within a character.
    """
    special = [name for name in MULTIBYTE_ENCODINGS if _is_east_asian(sample.decode(name, "replace"), name)]
    if _is_thai(sample.decode("cp874", "replace")):
        special.append("cp874")
    if special:
        return special
    guesses = _guess(sample)
    latin = latin_encodings(sample) if not guesses or guesses[0] in (*_LATIN_ENCODINGS, "cp1258") else []
    return list(dict.fromkeys([*latin, *guesses]))


def _guess(sample: bytes) -> list[str]:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - most files are UTF-8

    # Declarations in the sample are considered elsewhere.
    matches = list(
        from_bytes(sample, cp_isolation=list(_ALL_BUT_SPECIAL), enable_fallback=False, preemptive_behaviour=False)
    )
    if not matches:
        return []
    # Of the encodings that give the same text or are equally likely, the most common one.
    best = matches[0]
    equal = [match.encoding for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    first = min((name for name in equal if name in _ALL_BUT_SPECIAL), key=_ALL_BUT_SPECIAL.index, default=best.encoding)
    text = sample.decode(first)
    same = (name for name in _ALL_BUT_SPECIAL if name == first or sample.decode(name, "ignore") == text)
    return list(dict.fromkeys([next(same, first), *(match.encoding for match in matches)]))


def _is_east_asian(text: str, encoding: str) -> bool:
    others = [character for character in text if character > "\x7f"]
    kana = sum("\u3040" <= character <= "\u30ff" for character in others)
    hangul = sum("\uac00" <= character <= "\ud7a3" for character in others)
    han = sum("\u4e00" <= character <= "\u9fff" for character in others)
    signs = sum(
        "\u3000" <= character <= "\u303f" or "\uff00" <= character <= "\uffef" or "\u2000" <= character <= "\u22ff"
        for character in others
    )
    letters = kana + hangul + han
    if letters < _MIN_CHARACTERS or letters + signs < _MIN_SHARE * len(others):
        return False
    if encoding in ("cp932", "euc_jp"):
        return kana >= _MIN_KANA * letters
    if encoding == "cp949":
        common = sum(character in _COMMON_HANGUL for character in others)
        return hangul >= _MIN_HANGUL * letters and common >= _MIN_COMMON_HANGUL * hangul
    common = sum(character in _COMMON_HAN for character in others)
    return kana < _MIN_KANA * letters and common >= _MIN_COMMON_HAN * han


def _is_thai(text: str) -> bool:
    others = [character for character in text if character > "\x7f"]
    thai = sum("\u0e00" < character < "\u0e5c" for character in others)
    if thai < _MIN_CHARACTERS or thai < _MIN_SHARE * len(others):
        return False
    marks = loose = 0
    before = " "
    for character in text:
        if unicodedata.combining(character) or character == "\u0e31" or "\u0e34" <= character <= "\u0e37":
            marks += 1
            loose += not "\u0e00" < before < "\u0e5c"
        before = character
    return marks > 0 and loose <= _MAX_LOOSE_MARKS * marks


def latin_encodings(sample: bytes) -> list[str]:
    """Encodings of Latin script in which most letters are of one language, the most likely first."""
    scores = []
    for position, encoding in enumerate(_LATIN_ENCODINGS):
        with suppress(UnicodeDecodeError):
            score, letters = _latin_score(sample.decode(encoding))
            scores.append((score, letters, -position, encoding))
    return [encoding for score, *_, encoding in sorted(scores, reverse=True) if score >= _MIN_LATIN_SHARE]


def _latin_score(text: str) -> tuple[float, int]:
    """Share of the characters besides ASCII that text in one language has, and the number of its letters."""
    total = signs = 0
    letters: Counter[str] = Counter()
    for match in _NON_ASCII_IN_CONTEXT.finditer(text):
        before, character, after = match.groups("")
        total += 1
        if character in _SIGNS:
            signs += not (before and after)  # "Gr°n" has a sign within a word
        elif not (before.islower() and character.isupper()):
            letters[character] += 1
    if total > sum(character.isascii() and character.isalpha() for character in text):
        return 0.0, 0  # most letters of Latin script are in ASCII
    most = max(sum(count for letter, count in letters.items() if letter in alphabet) for alphabet in _ALPHABETS)
    return (signs + most) / max(1, total), most
