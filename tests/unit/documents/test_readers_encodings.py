"""Detection of character encodings, and refusal of binary files."""
# ruff: noqa: RUF001 - characters of other scripts

import hashlib
from collections import Counter

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
    "hu": "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és "
    "lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek. Gyűlöletből tűzön át.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler.",
    "it": "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Perché così è più libertà.",
    "fi": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม",
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
        ("de", "cp1252"), ("de", "mac_roman"), ("de", "cp850"), ("fr", "cp1252"), ("pl", "cp1250"),
        ("pl", "iso8859-2"), ("hu", "cp1250"), ("hu", "iso8859-2"), ("tr", "cp1254"), ("it", "cp1252"),
        ("fi", "cp1252"), ("ru", "cp1251"), ("ru", "koi8-r"), ("ru", "cp866"), ("el", "cp1253"),
        ("ar", "cp1256"), ("th", "cp874"), ("ja", "shift_jis"), ("ja", "euc_jp"), ("zh", "gb18030"),
        ("ko", "euc_kr"),
    ],
)  # fmt: skip
def test_legacy_encodings_are_guessed_with_a_note(language, encoding):
    document = read_bytes(TEXTS[language].encode(encoding), "a.txt")
    assert document.sections[0].text == TEXTS[language]
    assert document.notes == (
        f"The encoding {document.encoding} was guessed. If the text looks wrong, save the file as UTF-8.",
    )


REPLACED = "1 byte sequence is not UTF-8 and became U+FFFD."


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("damage", [0xE9, 0x81, 0xFF])
def test_utf_8_with_a_damaged_byte_stays_utf_8(language, place, damage):
    text = f"{TEXTS[language]}\n" * 3
    content = bytearray(text.encode())
    content[int(len(content) * place)] = damage
    document = read_bytes(bytes(content), "a.txt")
    expected, read = Counter(text), Counter(document.sections[0].text)
    assert document.encoding == "utf_8"
    assert (expected - read).total() <= 2


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<meta charset=utf-8><p>caf\xe9</p>", "caf\ufffd"),
        ("\ufeff<p>\xfcber caf".encode() + b"\xe9</p>", "\xfcber caf\ufffd"),
        ("<meta charset=iso-8859-1><p>\xa9 2020 caf".encode() + b"\xe9</p>", "\xa9 2020 caf\ufffd"),
    ],
)
def test_stray_byte_is_replaced_and_noted(content, text):
    document = read_bytes(content, "a.html")
    assert (document.encoding, document.sections[0].text, document.notes) == ("utf_8", text, (REPLACED,))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"caf\xe9 \x93x\x94", "caf\u00e9 \u201cx\u201d"),
        (b"a single \xe9\xa4 character", "a single \ufffd character"),
        (b"an \x81 byte", "an \ufffd byte"),
    ],
)
def test_few_bytes_are_western_or_damage(content, text):
    assert read_bytes(content, "a.txt").sections[0].text == text


def test_valid_replacement_characters_are_not_noted():
    document = read_bytes("a \ufffd b \ufffd c".encode() + b"\xff", "a.txt")
    assert document.notes == (REPLACED,)
    assert read_bytes("a \ufffd b".encode(), "a.txt").notes == ()


@pytest.mark.parametrize(
    ("language", "encoding"), [("ja", "shift_jis"), ("ja", "euc_jp"), ("zh", "gb18030"), ("ko", "euc_kr")]
)
def test_damaged_byte_does_not_change_a_multibyte_encoding(language, encoding):
    content = bytearray(f"{TEXTS[language]}\n{TEXTS[language]}".encode(encoding))
    content[len(content) // 2 - 7] = 0xFF
    document = read_bytes(bytes(content), "a.txt")
    assert TEXTS[language] in document.sections[0].text
    assert any("became U+FFFD" in note for note in document.notes)


@pytest.mark.parametrize(
    ("declared", "actual", "language"),
    [
        ("utf-8", "cp1252", "de"), ("iso-8859-1", "utf-8", "de"), ("iso-8859-1", "cp1251", "ru"),
        ("koi8-r", "cp1251", "ru"), ("windows-1251", "cp1252", "de"), ("windows-1252", "gb18030", "zh"),
        ("utf-8", "shift_jis", "ja"), ("shift_jis", "utf-8", "ja"), ("utf-16", "utf-8", "fr"),
    ],
)  # fmt: skip
def test_declared_encoding_that_contradicts_the_bytes_is_ignored(declared, actual, language):
    page = f'<meta charset="{declared}"><p>{TEXTS[language]} {TEXTS[language]}</p>'.encode(actual)
    assert read_bytes(page, "a.html").sections[0].text == f"{TEXTS[language]} {TEXTS[language]}"


@pytest.mark.parametrize(
    ("label", "actual", "language"),
    [
        ("x-sjis", "cp932", "ja"), ("tis-620", "cp874", "th"), ("windows-874", "cp874", "th"), ("gb2312", "gbk", "zh"),
        ("ks_c_5601-1987", "cp949", "ko"), ("x-mac-cyrillic", "mac_cyrillic", "ru"), ("IBM855", "cp855", "ru"),
        ("iso-8859-9", "cp1254", "tr"), ("Latin1", "cp1252", "de"),
    ],
)  # fmt: skip
def test_declared_labels_are_understood(label, actual, language):
    page = f'<meta charset="{label}"><p>{TEXTS[language]}</p>'.encode(actual)
    document = read_bytes(page, "a.html")
    assert (document.sections[0].text, document.notes) == (TEXTS[language], ())


def test_iso_2022_kr_is_detected_by_its_header():
    document = read_bytes(b"\x1b$)C" + TEXTS["ko"].encode("iso2022_kr").removeprefix(b"\x1b$)C"), "a.txt")
    assert document.sections[0].text == TEXTS["ko"]


def test_byte_order_mark_wins_over_declaration():
    page = f'<?xml version="1.0" encoding="windows-1251"?><html><p>{TEXTS["ru"]}</p></html>'
    for encoding in ("utf-8-sig", "utf-16"):
        assert read_bytes(page.encode(encoding), "a.xhtml").sections[0].text == TEXTS["ru"]


@pytest.mark.parametrize("language", ["ja", "zh", "ko", "ru"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-be"])
def test_wide_text_with_few_ascii_characters_is_decoded(language, encoding):
    text = f"{TEXTS[language]}\n{TEXTS[language]}"
    assert read_bytes(text.encode(encoding), "a.txt").sections[0].text == text


def test_windows_1252_decoded_as_latin_1_is_mended():
    text = "don\x92t \x93quote\x94 \x96 wait\x85 5 \x80"
    assert (
        read_bytes(text.encode(), "a.txt").sections[0].text == "don\u2019t \u201cquote\u201d \u2013 wait\u2026 5 \u20ac"
    )
    assert read_bytes("line\x85line".encode(), "a.txt").sections[0].text == "line\nline"


@pytest.mark.parametrize("text", ["Caf\xc3\xa9 cr\xc3\xa8me", "\u201eSpa\xdf\u201c f\xfcr alle"])
def test_text_that_looks_doubly_encoded_is_left_as_it_is(text):
    for encoding in ("utf-8", "cp1252"):
        if encoding == "utf-8" or "\xc3" not in text:
            assert read_bytes(text.encode(encoding), "a.txt").sections[0].text == text


def test_few_nul_bytes_are_removed():
    assert read_bytes(b"one\0 two " * 2 + b"words " * 200, "a.txt").sections[0].text.startswith("one two one two w")


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
        (b"\xef\xbb\xbf" + b"abc\xff" * 10, "undecodable"),
        ("Größe süß Gemüse Übermaß ".encode() + "Größe süß Gemüse Übermaß".encode("cp1252"), "undecodable"),
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
