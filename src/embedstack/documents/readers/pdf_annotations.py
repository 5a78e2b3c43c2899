"""Reads what is typed onto a PDF page: the values of form fields, and free text."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pypdfium2 import PdfDocument, PdfPage, raw

from embedstack.documents.readers.pdf_strings import read_string

__all__ = ["Annotations", "read_annotations"]

_MAX_ANNOTATIONS = 10_000
_MAX_OPTIONS = 1_000
# Bit 14 of a text field's flags (ISO 32000-1, table 228).
_PASSWORD_FLAG = 1 << 13
_CHOICES = (raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX)
_BUTTONS = (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON)
_OFF = "Off"
# The value of a check box without a meaning of its own.
_CHECKED = frozenset({"", "On", "Yes", "1"})


class Annotations(NamedTuple):
    """What is added to a page.

    Attributes:
        lines: Filled form fields as ``name: value`` lines, and free text, in the file's order.
        files: Number of attached files.
    """

    lines: list[str]
    files: int


def read_annotations(document: PdfDocument, page: PdfPage) -> Annotations:
    """Read a page's annotations.

    A field's name is its tooltip, or the last part of its technical name. Empty fields, buttons, signatures and
    passwords are omitted.
    """
    lines: dict[str, None] = {}
    files = 0
    for index in range(min(raw.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            lines.update(dict.fromkeys(_lines(document, annotation)))
            files += raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_FILEATTACHMENT
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
    return Annotations(list(lines), files)


def _lines(document: PdfDocument, annotation: Any) -> Iterator[str]:
    subtype = raw.FPDFAnnot_GetSubtype(annotation)
    if subtype == raw.FPDF_ANNOT_FREETEXT:
        text = read_string(lambda buffer, size: raw.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, size))
        if text.strip():
            yield text.strip()
    elif subtype == raw.FPDF_ANNOT_WIDGET and document.formenv:
        value = _value(document.formenv, annotation)
        if value:
            name = _name(document.formenv, annotation)
            yield f"{name}: {value}" if name else value


def _value(forms: Any, annotation: Any) -> str:
    kind = raw.FPDFAnnot_GetFormFieldType(forms, annotation)
    if kind in _BUTTONS:
        if not raw.FPDFAnnot_IsChecked(forms, annotation):
            return ""
        value = read_string(lambda *out: raw.FPDFAnnot_GetFormFieldExportValue(forms, annotation, *out)).strip()
        return "yes" if value in _CHECKED else value.replace(_OFF, "")
    if kind in _CHOICES:
        selected = [
            read_string(lambda *out, option=option: raw.FPDFAnnot_GetOptionLabel(forms, annotation, option, *out))
            for option in range(min(raw.FPDFAnnot_GetOptionCount(forms, annotation), _MAX_OPTIONS))
            if raw.FPDFAnnot_IsOptionSelected(forms, annotation, option)
        ]
        if selected:
            return ", ".join(selected)
    elif kind != raw.FPDF_FORMFIELD_TEXTFIELD:
        return ""
    if raw.FPDFAnnot_GetFormFieldFlags(forms, annotation) & _PASSWORD_FLAG:
        return ""
    return read_string(lambda *out: raw.FPDFAnnot_GetFormFieldValue(forms, annotation, *out)).strip()


def _name(forms: Any, annotation: Any) -> str:
    tooltip = read_string(lambda *out: raw.FPDFAnnot_GetFormFieldAlternateName(forms, annotation, *out))
    if tooltip.strip():
        return " ".join(tooltip.split())
    name = read_string(lambda *out: raw.FPDFAnnot_GetFormFieldName(forms, annotation, *out))
    return name.rpartition(".")[2].partition("[")[0].strip()
