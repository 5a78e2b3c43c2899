"""Detection of character encodings, and refusal of binary files."""
# ruff: noqa: RUF001 - characters of other scripts

import hashlib

import pytest

from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused

# From the Universal Declaration of Human Rights, article 1.
TEXTS = {
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Größe, Übermaß, Ärger.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Zażółć gęślą jaźń.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا.",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_encodings_are_decoded(language, encoding):
    document = read_bytes(TEXTS[language].encode(encoding), "a.txt")
    assert document.sections[0].text == TEXTS[language]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_without_bom_are_decoded(encoding):
    assert read_bytes(TEXTS["de"].encode(encoding), "a.txt").sections[0].text == TEXTS["de"]


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("de", "cp1252"), ("de", "mac_roman"), ("fr", "cp1252"), ("pl", "cp1250"), ("pl", "iso8859-2"),
        ("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "cp866"), ("el", "cp1253"), ("ar", "cp1256"), ("ja", "shift_jis"),
        ("ja", "euc_jp"), ("zh", "gb18030"), ("ko", "euc_kr"),
    ],
)  # fmt: skip
def test_legacy_encodings_are_guessed_with_a_note(language, encoding):
    document = read_bytes(TEXTS[language].encode(encoding), "a.txt")
    assert document.sections[0].text == TEXTS[language]
    assert document.notes == (
        f"The encoding {document.encoding} was guessed. If the text looks wrong, save the file as UTF-8.",
    )


def test_iso_2022_jp_is_detected_by_escapes():
    document = read_bytes(TEXTS["ja"].encode("iso2022_jp"), "a.txt")
    assert (document.sections[0].text, document.notes) == (TEXTS["ja"], ())


def test_encoding_is_detected_from_a_late_character():
    text = "plain words\n" * 20_000 + TEXTS["ru"]
    assert read_bytes(text.encode("cp1251"), "a.txt").sections[0].text == text


def test_characters_across_block_boundaries_are_decoded():
    text = "x" + "ж" * 1_500_000
    assert "".join(section.text for section in read_bytes(text.encode(), "a.txt").sections) == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfea", "undecodable"),  # UTF-16 by its byte order mark, with half of a character
        (b"\xef\xbb\xbfabc\xff", "undecodable"),
        (bytes(range(128, 256)) * 50, "undecodable"),
        (b"".join(hashlib.sha256(bytes([number])).digest() for number in range(150)), "not_text"),
        (b"text\0text\0" * 50, "not_text"),
        (bytes(5000), "not_text"),
        (b"words \x01\x02\x03\x04 more " * 50, "not_text"),
    ],
)  # fmt: skip
def test_binary_and_undecodable_files_are_refused(content, reason):
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(content, "a.txt")
    assert refused.value.reason == reason
