"""Code blocks of README.md and docs/, with the comment above each that says how it is tested."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["REPOSITORY", "CodeBlock", "code_blocks", "pages"]

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<comment>[^>]*) -->\n *)?```(?P<language>\w*)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block.

    Attributes:
        page: Path of the page in the repository.
        line: Line number of the block's first line.
        comment: The comment above it, such as ``test: local``; empty without one.
        language: The language after the fence.
        code: The content, without the fence's indentation.
    """

    page: str
    line: int
    comment: str
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def pages() -> dict[str, str]:
    """The text of README.md and of each page in docs/, by path."""
    files = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    return {file.relative_to(REPOSITORY).as_posix(): file.read_text(encoding="utf-8") for file in files}


def code_blocks(comment: str | None = None, *, page: str | None = None) -> list[CodeBlock]:
    """The blocks in the order of their pages.

    Args:
        comment: Only those with this comment.
        page: Only those of this page.
    """
    blocks = [
        CodeBlock(
            page=name,
            line=text.count("\n", 0, match.start("code")),
            comment=match["comment"] or "",
            language=match["language"],
            code=re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE),
        )
        for name, text in pages().items()
        for match in _BLOCK.finditer(text)
    ]
    return [
        block
        for block in blocks
        if (comment is None or block.comment == comment) and (page is None or block.page == page)
    ]
