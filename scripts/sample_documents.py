"""Creates some 200 documents for trying out a pipeline: the standard library's docstrings, in seven formats.

usage: .venv/bin/python scripts/sample_documents.py FOLDER [--count 200]
"""

import csv
import html
import importlib
import inspect
import io
import json
import pkgutil
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

__all__ = ["FORMATS", "Article", "articles", "write_samples"]

_MIN_CHARACTERS = 400
# Importing these modules has side effects or blocks.
_NOT_IMPORTED = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}
_LINES_PER_PAGE = 54
_LINE = 92


@dataclass(frozen=True, slots=True)
class Article:
    """A module's documentation.

    Attributes:
        title: The module's name.
        introduction: Its docstring.
        sections: Name and docstring of its public classes and functions.
    """

    title: str
    introduction: str
    sections: tuple[tuple[str, str], ...]


def articles() -> Iterator[Article]:
    """Articles of the standard library's modules, in the order of their names."""
    for name in sorted(_module_names()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(name)
        except (ImportError, OSError, AttributeError):
            continue  # not on this platform
        members = (
            (member_name, inspect.getdoc(member) or "")
            for member_name, member in sorted(vars(module).items())
            if not member_name.startswith("_") and getattr(member, "__module__", None) == name
        )
        article = Article(
            name, inspect.getdoc(module) or "", tuple((title, text) for title, text in members if len(text) > 80)
        )
        if len(article.introduction) + sum(len(text) for _, text in article.sections) >= _MIN_CHARACTERS:
            yield article


def _module_names() -> set[str]:
    names = {name for name in sys.stdlib_module_names if not name.startswith("_") and name not in _NOT_IMPORTED}
    for package in ("asyncio", "concurrent", "email", "http", "importlib", "json", "logging", "xml", "urllib"):
        search_path = importlib.import_module(package).__path__
        names |= {f"{package}.{module.name}" for module in pkgutil.iter_modules(search_path) if module.name[0] != "_"}
    return {name for name in names if not name.endswith("__main__")}


def _as_text(article: Article) -> bytes:
    parts = [article.title, article.introduction, *(f"{name}\n{text}" for name, text in article.sections)]
    return "\n\n".join(parts).encode()


def _as_markdown(article: Article) -> bytes:
    parts = [f"# {article.title}", article.introduction, *(f"## {name}\n\n{text}" for name, text in article.sections)]
    return "\n\n".join(parts).encode()


def _as_html(article: Article) -> bytes:
    sections = "".join(f"<h2>{html.escape(name)}</h2><p>{html.escape(text)}</p>" for name, text in article.sections)
    return (
        f"<!doctype html><html><head><meta charset='utf-8'><title>{article.title}</title></head><body>"
        f"<h1>{article.title}</h1><p>{html.escape(article.introduction)}</p>{sections}</body></html>"
    ).encode()


def _as_json_lines(article: Article) -> bytes:
    rows = [{"title": article.title, "text": article.introduction}]
    rows += [{"title": f"{article.title}.{name}", "text": text} for name, text in article.sections]
    return "".join(json.dumps(row) + "\n" for row in rows if row["text"]).encode()


def _as_csv(article: Article) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["name", "documentation"])
    writer.writerows([(article.title, article.introduction), *article.sections])
    return file.getvalue().encode()


def _as_docx(article: Article) -> bytes:
    """A minimal Word document of headings and paragraphs."""

    def paragraph(text: str, style: str | None = None) -> str:
        properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{html.escape(text)}</w:t></w:r></w:p>'

    body = paragraph(article.title, "Heading1") + paragraph(article.introduction)
    body += "".join(paragraph(name, "Heading2") + paragraph(text) for name, text in article.sections)
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return file.getvalue()


def _as_pdf(article: Article) -> bytes:
    """Pages of one of the fonts that every reader has."""
    lines = [
        line[start : start + _LINE] or " "
        for line in _as_text(article).decode().splitlines()
        for start in range(0, max(len(line), 1), _LINE)
    ]
    pages = [lines[start : start + _LINES_PER_PAGE] for start in range(0, len(lines), _LINES_PER_PAGE)]
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ]
    for index, page in enumerate(pages):
        shown = b"".join(b"(" + _escaped(line) + b") Tj T*\n" for line in page)
        content = b"BT /F1 10 Tf 14 TL 40 790 Td\n" + shown + b"ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * index} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return _pdf_file(objects)


def _escaped(line: str) -> bytes:
    raw = line.encode("cp1252", "replace")
    return raw.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")


def _pdf_file(objects: list[bytes]) -> bytes:
    file = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(file))
    return file + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


#: How an article is written, by suffix.
FORMATS: dict[str, Callable[[Article], bytes]] = {
    ".txt": _as_text,
    ".md": _as_markdown,
    ".html": _as_html,
    ".jsonl": _as_json_lines,
    ".csv": _as_csv,
    ".docx": _as_docx,
    ".pdf": _as_pdf,
}


def write_samples(folder: Path, count: int = 200) -> list[Path]:
    """Write documents, cycling through the formats. The result is the same for every call on one Python version.

    Args:
        folder: Target folder; created if necessary.
        count: Maximum number of documents.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, article in enumerate(articles()):
        if index == count:
            break
        suffix = list(FORMATS)[index % len(FORMATS)]
        file = folder / f"{article.title}{suffix}"
        file.write_bytes(FORMATS[suffix](article))
        files.append(file)
    return files


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", default=200, show_default=True, help="Maximum number of documents.")
def main(folder: Path, count: int) -> None:
    """Write sample documents into FOLDER."""
    files = write_samples(folder, count)
    click.echo(f"{len(files)} documents, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, in {folder}")


if __name__ == "__main__":
    main()
