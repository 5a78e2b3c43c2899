"""docx: computed numbers of lists and clauses, and what else Word shows but does not store as text."""

import pytest

from embedstack.documents.readers.reading import read_bytes
from tests.support.document_files import WORD, make_docx, paragraph, style, styles

OPTION = '<w:listEntry w:val="{}"/>'


def level(position: int, number_format: str, text: str, inner: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{position}"><w:start w:val="1"/><w:numFmt w:val="{number_format}"/>{inner}'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


def numbering(*elements: str) -> str:
    return f'<w:numbering xmlns:w="{WORD}">{"".join(elements)}</w:numbering>'


def declared(identity: int, *levels: str) -> str:
    """A list and the numbering that uses it, with the same id."""
    return f'<w:abstractNum w:abstractNumId="{identity}">{"".join(levels)}</w:abstractNum>{number(identity, identity)}'


def number(identity: int, used: int, inner: str = "") -> str:
    return f'<w:num w:numId="{identity}"><w:abstractNumId w:val="{used}"/>{inner}</w:num>'


def item(text: str, position: int = 0, identity: int = 1) -> str:
    return paragraph(text, properties=f'<w:numPr><w:ilvl w:val="{position}"/><w:numId w:val="{identity}"/></w:numPr>')


def lines(content: bytes) -> list[str]:
    text = "\n\n".join(section.text for section in read_bytes(content, "a.docx").sections)
    return text.split("\n\n")


CLAUSES = declared(
    1, level(0, "decimal", "%1."), level(1, "lowerLetter", "(%2)"), level(2, "lowerRoman", "%1.%2.%3"),
)  # fmt: skip


def test_clauses_are_numbered_by_level():
    positions = (0, 1, 1, 2, 2, 0, 1, 2)
    body = "".join(item(name, position) for name, position in zip("abcdefgh", positions, strict=True))
    assert lines(make_docx(body, numbering=numbering(CLAUSES))) == [
        "1. a", "(a) b", "(b) c", "1.b.i d", "1.b.ii e", "2. f", "(a) g", "2.a.i h",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number_format", "expected"),
    [
        ("decimal", "28"), ("decimalZero", "28"), ("lowerLetter", "bb"), ("upperLetter", "BB"),
        ("lowerRoman", "xxviii"), ("upperRoman", "XXVIII"), ("ordinal", "28"), ("none", ""), ("bullet", "-"),
    ],
)  # fmt: skip
def test_number_formats(number_format, expected):
    body = "".join(item("x") for _ in range(28))
    content = make_docx(body, numbering=numbering(declared(1, level(0, number_format, "%1"))))
    assert lines(content)[-1] == f"{expected} x".strip()


def test_numbering_restarts_by_override_and_continues_otherwise():
    restarted = number(2, 1, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>')
    body = item("a") + item("b") + item("c", identity=2) + item("d", identity=2) + item("e", identity=3)
    content = make_docx(body, numbering=numbering(CLAUSES, restarted, number(3, 1)))
    assert lines(content) == ["1. a", "2. b", "5. c", "6. d", "7. e"]


def test_level_without_restart_continues():
    levels = declared(1, level(0, "decimal", "%1"), level(1, "decimal", "%2)", '<w:lvlRestart w:val="0"/>'))
    body = "".join(item(name, position) for name, position in zip("abcde", (0, 1, 0, 1, 1), strict=True))
    assert lines(make_docx(body, numbering=numbering(levels))) == ["1 a", "1) b", "2 c", "2) d", "3) e"]


def test_legal_level_has_decimals_only():
    levels = declared(1, level(0, "upperRoman", "Article %1"), level(1, "decimal", "%1.%2", "<w:isLgl/>"))
    body = item("a") + item("b", 1)
    assert lines(make_docx(body, numbering=numbering(levels))) == ["Article I a", "1.1 b"]


def test_styles_number_headings():
    levels = declared(
        1, level(0, "decimal", "%1", '<w:pStyle w:val="H1"/>'), level(1, "decimal", "%1.%2", '<w:pStyle w:val="H2"/>')
    )
    named = '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>'
    declared_styles = styles(
        style("H1", "heading 1", named), style("H2", "heading 2", named), style("Sub", "Sub", '<w:basedOn w:val="H2"/>')
    )
    unnumbered = paragraph("Preface", "H1", '<w:numPr><w:numId w:val="0"/></w:numPr>')
    body = unnumbered + "".join(paragraph(*pair) for pair in [("A", "H1"), ("B", "H2"), ("C", "Sub"), ("D", "H1")])
    document = read_bytes(make_docx(body, styles=declared_styles, numbering=numbering(levels)), "a.docx")
    assert [section.headings for section in document.sections] == [
        ("Preface",), ("1 A", "1.1 B"), ("1 A", "1.2 C"), ("2 D",),
    ]  # fmt: skip


def test_numbering_style_is_followed():
    linked = '<w:abstractNum w:abstractNumId="2"><w:numStyleLink w:val="S"/></w:abstractNum>' + number(2, 2)
    target = CLAUSES.replace('abstractNumId="1">', 'abstractNumId="1"><w:styleLink w:val="S"/>', 1)
    assert lines(make_docx(item("a", identity=2), numbering=numbering(target, linked))) == ["1. a"]


def test_former_properties_of_tracked_changes_are_ignored():
    former = '<w:pPrChange><w:pPr><w:pStyle w:val="H1"/><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:pPrChange>'
    body = paragraph("text", properties=former) + item("a")
    content = make_docx(body, styles=styles(style("H1", "heading 1")), numbering=numbering(CLAUSES))
    assert lines(content) == ["text", "1. a"]
    assert read_bytes(content, "a.docx").sections[0].headings == ()


def test_inserted_text_is_read_and_deleted_text_is_not():
    def run(text: str, element: str = "t") -> str:
        return f"<w:r><w:{element}>{text}</w:{element}></w:r>"

    body = f"<w:p>{run('a')}<w:ins>{run('b')}</w:ins><w:del>{run('c', 'delText')}</w:del>"
    body += f"<w:moveFrom>{run('d')}</w:moveFrom><w:moveTo>{run('e')}</w:moveTo></w:p>"
    assert lines(make_docx(body)) == ["abe"]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ('<w:sym w:font="Wingdings" w:char="F0FE"/>', "\u2611"),
        ('<w:sym w:font="Symbol" w:char="F06D"/><w:t>m</w:t>', "\u03bcm"),
        ('<w:sym w:font="Unknown" w:char="zz"/><w:t>x</w:t>', "x"),
        ("<w:noBreakHyphen/><w:t>x</w:t><w:softHyphen/><w:t>y</w:t>", "-xy"),
        ("<w:ruby><w:rt><w:t>kan</w:t></w:rt><w:rubyBase><w:t>K</w:t></w:rubyBase></w:ruby>", "K"),
        ('<w:drawing><wp:docPr name="Picture 1" descr="The  logo"/></w:drawing>', "The logo"),
        ("<w:fldChar><w:ffData><w:checkBox><w:checked/></w:checkBox></w:ffData></w:fldChar>", "\u2612"),
        ('<w:fldChar><w:ffData><w:checkBox><w:default w:val="0"/></w:checkBox></w:ffData></w:fldChar>', "\u2610"),
        (
            f'<w:ffData><w:ddList><w:result w:val="1"/>{OPTION.format("A")}{OPTION.format("B")}</w:ddList></w:ffData>',
            "B",
        ),
        ("<w:sdt><w:sdtContent><w:t>chosen</w:t></w:sdtContent></w:sdt>", "chosen"),
    ],
)
def test_content_of_runs_that_is_not_text(run, expected):
    assert lines(make_docx(f'<w:p xmlns:wp="x"><w:r>{run}</w:r></w:p>')) == [expected]


def test_headers_and_footers_are_read_once_and_comments_noted():
    def margin(kind: str, text: str) -> str:
        return f'<w:{kind} xmlns:w="{WORD}">{paragraph(text)}</w:{kind}>'

    content = make_docx(
        paragraph("body"),
        header1=margin("hdr", "ACME Ltd."),
        header2=margin("hdr", "ACME Ltd."),
        footer1=margin("ftr", "Confidential"),
        comments=f'<w:comments xmlns:w="{WORD}"><w:comment>{paragraph("draft?")}</w:comment></w:comments>',
    )
    document = read_bytes(content, "a.docx")
    assert [section.text for section in document.sections] == ["body", "ACME Ltd.\n\nConfidential"]
    assert document.notes == ("1 comment was not read.",)
