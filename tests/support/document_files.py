"""Small files of each kind, made by hand, for tests of what reads them."""

import io
import zipfile

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    f'Type="{_TYPES}/officeDocument" Target="{{part}}"/></Relationships>'
)


def make_pdf(*pages: str, title: str | None = None, extra: bytes = b"") -> bytes:
    """A PDF with a line of text on each page; an empty string makes a page without text."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (5 + 2 * index) for index in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) >>" % (title or "").encode("latin-1"),
    ]
    for index, text in enumerate(pages):
        drawn = b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % text.encode("cp1252") if text else b""
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (6 + 2 * index),
            make_stream(drawn + extra),
        ]
    return join_pdf(objects)


def make_stream(content: bytes, attributes: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), attributes, content)


def join_pdf(objects: list[bytes], trailer: bytes = b"/Info 4 0 R") -> bytes:
    """Objects numbered from 1, the first of them the catalog."""
    content = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    content += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    content += b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(content)


def make_docx(body: str, *, part: str = "word/document.xml", **parts: str) -> bytes:
    """A docx file around the XML of its body; ``styles``, ``numbering``, ``header1`` and so on are further parts."""
    related = "".join(
        f'<Relationship Id="{name}" Type="{_TYPES}/{name.rstrip("0123456789")}" Target="{name}.xml"/>'
        for name in parts
        if name != "core"
    )
    files = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": _RELATIONS.format(part=part),
        part: f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        "word/_rels/document.xml.rels": f"<Relationships>{related}</Relationships>",
    } | {"docProps/core.xml" if name == "core" else f"word/{name}.xml": content for name, content in parts.items()}
    return make_zip(files)


def make_zip(files: dict[str, str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return target.getvalue()


def paragraph(text: str, style: str = "", properties: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f'<w:p><w:pPr>{named}{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def styles(*declared: str) -> str:
    return f'<w:styles xmlns:w="{WORD}">{"".join(declared)}</w:styles>'


def style(identity: str, name: str, inner: str = "") -> str:
    return f'<w:style w:type="paragraph" w:styleId="{identity}"><w:name w:val="{name}"/>{inner}</w:style>'
