"""Text of drawings in Office files: shapes, charts and SmartArt (ECMA-376 part 1, clauses 20 and 21)."""

import zipfile

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.package import parse_part

__all__ = ["drawing_text"]

# Fallback renderings of content that also exists in a newer form.
_OMITTED = "Fallback"


def drawing_text(package: zipfile.ZipFile, part: str, allowance: Allowance) -> list[str]:
    """The paragraphs of a drawing, and the names of a chart's categories and series, each once."""
    texts: dict[str, None] = {}
    parts: list[str] = []
    element_now = ""
    fallbacks = 0
    is_cached = False

    def start(element: str, _: dict[str, str]) -> None:
        nonlocal element_now, fallbacks, is_cached
        element_now = element
        fallbacks += element == _OMITTED
        is_cached = is_cached or element == "strCache"
        if element == "br":
            parts.append(" ")

    def data(text: str) -> None:
        if not fallbacks and (element_now == "t" or (is_cached and element_now == "v")):
            parts.append(text)

    def end(element: str) -> None:
        nonlocal element_now, fallbacks, is_cached
        element_now = ""
        fallbacks -= element == _OMITTED
        is_cached = is_cached and element != "strCache"
        if element in ("p", "pt"):
            text = "".join(parts).strip()
            parts.clear()
            if text:
                texts[text] = None

    parse_part(package, part, allowance, start=start, end=end, data=data)
    return list(texts)
