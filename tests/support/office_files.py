"""Small Office, OpenDocument and EPUB files, made by hand, for tests of what reads them."""

from tests.support.document_files import make_zip

_RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = (
    '<Types><Override PartName="/{part}" ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/>'
    "</Types>"
)


def relations(*targets: tuple[str, str, str]) -> str:
    """A part with relationships: id, the last part of the type, and the target."""
    return "<Relationships>{}</Relationships>".format(
        "".join(
            f'<Relationship Id="{identity}" Type="{_RELATIONSHIPS}/{kind}" Target="{target}"/>'
            for identity, kind, target in targets
        )
    )


def make_xlsx(
    *sheets: str,
    names: tuple[str, ...] = (),
    hidden: tuple[int, ...] = (),
    strings: tuple[str, ...] = (),
    formats: tuple[str, ...] = (),
    workbook: str = "",
    **parts: str,
) -> bytes:
    """A workbook.

    Args:
        sheets: The XML of each sheet: rows, and what follows them.
        names: Their names.
        hidden: Indexes of hidden sheets.
        strings: XML of shared strings.
        formats: Number formats of the cell styles 1, 2, and so on.
        workbook: XML of the workbook before its sheets.
        parts: Further parts, with "__" for "/" and "_dot_" for "." in their names.
    """
    states = ("visible", "hidden")
    defaults = [f"Sheet{index + 1}" for index in range(len(sheets))]
    listed = "".join(
        f'<sheet name="{(names or defaults)[index]}" sheetId="{index + 1}" r:id="s{index + 1}"'
        f' state="{states[index in hidden]}"/>'
        for index in range(len(sheets))
    )
    numbers = "".join(f'<numFmt numFmtId="{164 + index}" formatCode="{code}"/>' for index, code in enumerate(formats))
    styles = "".join(f'<xf numFmtId="{164 + index}"/>' for index in range(len(formats)))
    files = {
        "[Content_Types].xml": _TYPES.format(part="xl/workbook.xml", kind="spreadsheetml.sheet"),
        "_rels/.rels": relations(("r1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns:x="x" xmlns:r="{_RELATIONSHIPS}">{workbook}<sheets>{listed}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            *((f"s{index + 1}", "worksheet", f"worksheets/sheet{index + 1}.xml") for index in range(len(sheets))),
            ("strings", "sharedStrings", "/xl/sharedStrings.xml"),
            ("styles", "styles", "styles.xml"),
        ),
        "xl/sharedStrings.xml": f"<sst>{''.join(f'<si>{string}</si>' for string in strings)}</sst>",
        "xl/styles.xml": f"<styleSheet><numFmts>{numbers}</numFmts><cellXfs>"
        f'<xf numFmtId="0"/>{styles}</cellXfs></styleSheet>',
    }
    for index, sheet in enumerate(sheets):
        data, _, rest = sheet.partition("<!--end-->")
        files[f"xl/worksheets/sheet{index + 1}.xml"] = f"<worksheet><sheetData>{data}</sheetData>{rest}</worksheet>"
    return make_zip(files | {name.replace("__", "/").replace("_dot_", "."): part for name, part in parts.items()})


def row(number: int, *values: str | float) -> str:
    """A row of a sheet: texts as inline strings, and numbers."""
    cells = "".join(
        f'<c t="inlineStr"><is><t>{value}</t></is></c>' if isinstance(value, str) else f"<c><v>{value}</v></c>"
        for value in values
    )
    return f'<row r="{number}">{cells}</row>'


def make_pptx(*slides: str, related: dict[int, tuple[tuple[str, str, str], ...]] | None = None, **parts: str) -> bytes:
    """A presentation.

    Args:
        slides: The XML of each slide's shapes. Their order in the presentation is that of the arguments, and the
            reverse of their names.
        related: Further relationships of slides, by index: id, the last part of the type, and the target.
        parts: Further parts, with "__" for "/" in their names, below ppt/, without .xml.
    """
    count = len(slides)
    numbers = range(count, 0, -1)
    identities = "".join(f'<p:sldId r:id="s{number}" id="{255 + number}"/>' for number in numbers)
    files = {
        "[Content_Types].xml": _TYPES.format(part="ppt/presentation.xml", kind="presentationml.presentation"),
        "_rels/.rels": relations(("r1", "officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="p" xmlns:r="r"><p:sldIdLst>{identities}</p:sldIdLst>'
        "</p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *((f"s{number}", "slide", f"slides/slide{number}.xml") for number in numbers)
        ),
    }
    for index, (number, slide) in enumerate(zip(numbers, slides, strict=True)):
        files[f"ppt/slides/slide{number}.xml"] = (
            slide if slide.startswith("<p:sld") else f'<p:sld xmlns:p="p" xmlns:a="a" xmlns:mc="m">{slide}</p:sld>'
        )
        files[f"ppt/slides/_rels/slide{number}.xml.rels"] = relations(*(related or {}).get(index, ()))
    return make_zip(files | {f"ppt/{name.replace('__', '/')}.xml": part for name, part in parts.items()})


def shape(*paragraphs: str, placeholder: str = "") -> str:
    """A shape with paragraphs of one run each."""
    role = f'<p:nvPr><p:ph type="{placeholder}"/></p:nvPr>' if placeholder else ""
    texts = "".join(f"<a:p><a:r><a:t>{paragraph}</a:t></a:r></a:p>" for paragraph in paragraphs)
    return f"<p:sp>{role}<p:txBody>{texts}</p:txBody></p:sp>"


def make_open_document(body: str, kind: str = "text", **parts: str) -> bytes:
    """An OpenDocument file: ``kind`` is text, spreadsheet or presentation; ``meta`` and ``manifest`` are parts."""
    names = {"meta": "meta.xml", "manifest": "META-INF/manifest.xml"}
    files = {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f'<office:document-content xmlns:office="o" xmlns:text="t" xmlns:table="b" xmlns:draw="d" '
        f'xmlns:presentation="p" xmlns:svg="s"><office:body>{body}</office:body></office:document-content>',
    }
    return make_zip(files | {names[name]: part for name, part in parts.items()})


def make_epub(pages: dict[str, str], *, spine: tuple[str, ...] = (), title: str = "A book", **parts: str) -> bytes:
    """A book.

    Args:
        pages: XHTML bodies by name.
        spine: Names in reading order; the order of the pages by default.
        title: Its title.
        parts: ``nav`` (the body of EPUB 3's table of contents), ``ncx`` (that of EPUB 2), and ``encryption``.
    """
    items = "".join(
        f'<item id="{name}" href="{name}%20page.xhtml" media-type="application/xhtml+xml"/>' for name in pages
    )
    items += '<item id="toc" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>' * ("nav" in parts)
    items += '<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>' * ("ncx" in parts)
    references = "".join(f'<itemref idref="{name}"/>' for name in spine or pages)
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfile full-path="OEBPS/book.opf"/></container>',
        "OEBPS/book.opf": f'<package xmlns:dc="dc"><metadata><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{references}</spine></package>",
    }
    files |= {f"OEBPS/{name} page.xhtml": f"<html><body>{body}</body></html>" for name, body in pages.items()}
    names = {"nav": "OEBPS/nav.xhtml", "ncx": "OEBPS/toc.ncx", "encryption": "META-INF/encryption.xml"}
    return make_zip(files | {names[name]: part for name, part in parts.items()})
