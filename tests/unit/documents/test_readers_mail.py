"""Readers of e-mails and Outlook messages."""

import base64
from typing import Any

import pytest

from embedstack.documents import Document, Section
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused
from tests.support.outlook_files import make_compound_file, make_msg, message_storage

HEADERS = "From: Ann <ann@example.com>\nTo: bob@example.com\nDate: Mon, 5 Jan 2026 10:00:00 +0000\nSubject: Offer\n"


def read(message: str | bytes, source: str = "a.eml") -> Document:
    return read_bytes(message.encode() if isinstance(message, str) else message, source)


def multipart(kind: str, *parts: str, headers: str = HEADERS) -> str:
    joined = "".join(f"--xyz\n{part}\n" for part in parts)
    return f'{headers}MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="xyz"\n\n{joined}--xyz--\n'


def part(media_type: str, text: str, headers: str = "") -> str:
    return f"Content-Type: {media_type}\n{headers}\n{text}"


def body(document: Document) -> str:
    return "\n".join(section.text for section in document.sections).partition("+0000\n\n")[2]


class TestEmail:
    def test_subject_is_the_heading_and_headers_are_lines(self):
        document = read(f"{HEADERS}\nHello Bob.\n")
        assert document.title == "Offer"
        assert list(document.sections) == [
            Section(
                "Offer\n\nFrom: Ann <ann@example.com>\nTo: bob@example.com\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n\n"
                "Hello Bob.",
                ("Offer",),
            )
        ]

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
            ("=?utf-8?b?R3LDtg==?=\n =?utf-8?q?=C3=9Fe?= now", "Größe now"),
            ("=?koi8-r?b?8NLJ18XU?=", "Привет"),
            ("=?zlib?b?R3I=?=", "Gr"),
            ("=?utf-8?b?not base64!?=", "not base64"),
            ("Größe", "Größe"),
            ("folded\n\tline", "folded line"),
        ],
    )
    def test_encoded_headers_are_decoded(self, header, expected):
        document = read(f"From: a@example.com\nSubject: {header}\n\ntext\n")
        assert document.title is not None
        assert expected in document.title

    def test_raw_header_bytes_are_decoded(self):
        assert read("Subject: Größe\nFrom: a@b\n\ntext".encode("latin-1")).title == "Größe"

    @pytest.mark.parametrize(
        ("charset", "encoding", "text"),
        [
            ("iso-8859-1", "quoted-printable", "Gr=F6=DFe"),
            ("windows-1251", "base64", base64.b64encode("Привет".encode("cp1251")).decode()),
            ("utf-8", "8bit", "Größe"),
            ("gb2312", "base64", base64.b64encode("你好".encode("gb2312")).decode()),
        ],
    )
    def test_text_is_decoded(self, charset, encoding, text):
        message = (
            f"{HEADERS}Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n{text}\n"
        )
        assert body(read(message)) in ("Größe", "Привет", "你好")

    def test_plain_text_is_preferred_unless_it_is_short(self):
        html = part("text/html", "<h1>Hi</h1><p>some words in HTML</p>")
        assert (
            body(read(multipart("alternative", part("text/plain", "some words in text"), html))) == "some words in text"
        )
        short = read(multipart("alternative", part("text/plain", "See HTML."), html))
        assert short.sections[-1].text == "Hi\n\nsome words in HTML"
        assert short.sections[-1].headings == ("Offer", "Hi")

    def test_html_beside_pictures_is_read(self):
        picture = part("image/png", "AAAA", "Content-Transfer-Encoding: base64\n")
        page = part("text/html", "<p>words</p>")
        related = f"Content-Type: multipart/related; boundary=abc\n\n--abc\n{page}\n--abc\n{picture}\n--abc--"
        document = read(multipart("alternative", related))
        assert body(document) == "words"
        assert document.notes == ("Attachments that were not read: 1 (without a name, image/png).",)

    def test_attachments_are_noted_by_name_and_type(self):
        attached = "Content-Disposition: attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.pdf\n"
        document = read(
            multipart(
                "mixed",
                part("text/plain", "See attached."),
                part("application/pdf", "AAAA", attached),
                part("text/plain", "not read", 'Content-Disposition: attachment; filename="a.txt"\n'),
                part("text/plain", "Signature."),
            )
        )
        assert body(document) == "See attached.\n\nSignature."
        assert document.notes == ("Attachments that were not read: 2 (Größe.pdf, application/pdf; a.txt, text/plain).",)

    def test_forwarded_messages_are_deeper_sections(self):
        inner = f"From: carl@example.com\nSubject: Question\n{part('text/html', '<p>What?</p>')}"
        document = read(multipart("mixed", part("text/plain", "See below."), part("message/rfc822", inner)))
        assert [section.headings for section in document.sections] == [("Offer",), ("Offer", "Question")]
        assert document.sections[1].text == "Question\n\nFrom: carl@example.com\n\nWhat?"

    @pytest.mark.parametrize("kind", ["mixed", "alternative"])
    def test_multipart_without_its_boundary_is_text(self, kind):
        message = f"{HEADERS}Content-Type: multipart/{kind}; boundary=none\n\nthe words\n"
        assert "the words" in body(read(message))

    def test_encrypted_message_is_refused(self):
        message = f"{HEADERS}Content-Type: application/pkcs7-mime; name=smime.p7m\n\nAAAA\n"
        with pytest.raises(DocumentRefused) as refused:
            read(message)
        assert refused.value.reason == "encrypted"

    def test_deeply_nested_messages_are_refused(self):
        message = "".join("Content-Type: message/rfc822\n\n" for _ in range(40)) + "Subject: x\n\ntext"
        with pytest.raises(DocumentRefused) as refused:
            read(message)
        assert refused.value.reason == "too_complex"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
    def test_message_in_another_encoding_is_read(self, encoding):
        assert read(f"{HEADERS}\nGröße\n".encode(encoding)).title == "Offer"

    def test_message_is_detected_without_suffix(self):
        assert read(f"{HEADERS}\ntext", "message").media_type == "message/rfc822"
        assert read(f"{HEADERS}\ntext", "a.msg").media_type == "message/rfc822"
        assert read(f"{HEADERS}\ntext", "a.txt").media_type == "text/plain"
        assert read("From: the start of a story\n\nTo: be continued", "story").media_type == "text/plain"

    def test_web_archive_is_read(self):
        archive = multipart("related", part("text/html", "<h1>Page</h1><p>words</p>"), part("image/gif", "AAAA"))
        assert read(archive, "a.mhtml").sections[-1].text == "Page\n\nwords"


def attachment(**texts: str) -> dict[str, Any]:
    return {
        "__properties_version1.0": bytes(8),
        **{f"__substg1.0_{name[1:]}001F": text.encode("utf-16-le") for name, text in texts.items()},
    }


class TestOutlookMessage:
    def test_message_is_read(self):
        content = make_msg(
            {
                "0037": "Offer",
                "1000": "Hello\r\nBob.\0",
                "0C1A": "Ann",
                "5D01": "ann@example.com",
                "0E04": "Bob",
                "0E03": "Carl",
            },
            numbers={0x0039: 134_000_000_000_000_000},
            attachments=(attachment(p3707="Größe.pdf", p370E="application/pdf"),),
        )
        document = read(content, "a.msg")
        assert (document.title, document.media_type) == ("Offer", "application/vnd.ms-outlook")
        assert list(document.sections) == [
            Section(
                "Offer\n\nFrom: Ann <ann@example.com>\nTo: Bob\nCc: Carl\nDate: 2025-08-18T14:13:20+00:00\n\n"
                "Hello\nBob.",
                ("Offer",),
            )
        ]
        assert document.notes == ("Attachments that were not read: 1 (Größe.pdf, application/pdf).",)

    def test_texts_of_a_code_page_are_decoded(self):
        content = make_msg(
            binaries={"0037001E": "Привет".encode("cp1251"), "1000001E": b"text"}, numbers={0x3FFD: 1251}
        )
        assert read(content, "a.msg").title == "Привет"

    def test_html_is_read_without_plain_text(self):
        content = make_msg(binaries={"10130102": "<h2>Hi</h2><p>Größe</p>".encode("cp1252")}, numbers={0x3FDE: 1252})
        assert read(content, "a.msg").sections == (Section("Hi\n\nGröße", ("Hi",)),)

    @pytest.mark.parametrize(
        "stored",
        [
            # The example of [MS-OXRTFCP] 4.1.1, and the same text without compression.
            bytes.fromhex(
                "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
            ),
            b"\x32\0\0\0\x2b\0\0\0MELA\0\0\0\0{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n\0",
        ],
    )
    def test_rich_text_is_read_without_other_texts(self, stored):
        assert read(make_msg(binaries={"10090102": stored}), "a.msg").sections[0].text == "hello world"

    def test_messages_in_messages_are_deeper_sections(self):
        inner = message_storage({"0037": "Question", "1000": "What?"}, is_embedded=True)
        content = make_msg(
            {"0037": "Offer", "1000": "See below."}, attachments=({**attachment(), "__substg1.0_3701000D": inner},)
        )
        assert [(section.headings, section.text) for section in read(content, "a.msg").sections] == [
            (("Offer",), "Offer\n\nSee below."),
            (("Offer", "Question"), "Question\n\nWhat?"),
        ]

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            ({"WordDocument": b"x"}, "Word's format from before 2007"),
            ({"Workbook": b"x"}, "Save it as xlsx"),
            ({"PowerPoint Document": b"x"}, "Save it as pptx"),
        ],
    )
    def test_old_office_files_are_refused_with_the_remedy(self, names, words):
        with pytest.raises(DocumentRefused, match=words) as refused:
            read(make_compound_file(names), "a.doc")
        assert refused.value.reason == "unsupported"

    def test_damaged_messages_are_refused_or_read(self):
        content = make_msg({"0037": "Offer", "1000": "text"})
        for end in range(512, len(content), 512):
            with pytest.raises(DocumentRefused) as refused:
                read(content[:end], "a.msg")
            assert refused.value.reason in ("corrupt", "empty")
