"""Finds the parts of an Office file by their relationships (ECMA-376 part 2, clause 9)."""

import posixpath
import zipfile
from dataclasses import dataclass
from urllib.parse import unquote

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.package import parse_part, title_in

__all__ = ["Relationship", "core_title", "main_part", "relationships"]

_CORE = "docProps/core.xml"


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship to a part of the package.

    Attributes:
        kind: The last element of its type, such as ``worksheet``.
        target: The name of an existing part.
    """

    kind: str
    target: str


def relationships(package: zipfile.ZipFile, part: str, allowance: Allowance) -> dict[str, Relationship]:
    """The relationships of a part to existing parts, by id. ``part`` is "" for the package."""
    folder, name = posixpath.split(part)
    source = posixpath.join(folder, "_rels", f"{name}.rels")
    names = set(package.namelist())
    related: dict[str, Relationship] = {}

    def start(element: str, attributes: dict[str, str]) -> None:
        if element != "Relationship" or attributes.get("TargetMode") == "External":
            return
        target = unquote(attributes.get("Target", ""))
        # Targets are relative to the part's folder, or absolute. Names are not paths of files.
        resolved = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
        name = next((name for name in (resolved, target.lstrip("/")) if name in names), None)
        if name:
            kind = attributes.get("Type", "").rpartition("/")[2]
            related[attributes.get("Id", "")] = Relationship(kind, name)

    if source in names:
        parse_part(package, source, allowance, start=start)
    return related


def main_part(package: zipfile.ZipFile, default: str, allowance: Allowance) -> str:
    """The part with the document.

    Args:
        package: The file.
        default: The part's usual name. The main part lies in the same top-level folder.
        allowance: Refuses the document.

    Raises:
        DocumentRefused: There is no such part ("corrupt").
    """
    folder = default.partition("/")[0] + "/"
    targets = [
        relationship.target
        for relationship in relationships(package, "", allowance).values()
        if relationship.kind == "officeDocument" and relationship.target.startswith(folder)
    ]
    part = targets[0] if targets else default
    if part not in package.namelist():
        allowance.refuse("corrupt", "lacks its main part; it may be truncated. Upload it again.")
    return part


def core_title(package: zipfile.ZipFile, allowance: Allowance) -> str | None:
    """The title of the document's properties."""
    return title_in(package, _CORE, allowance)
