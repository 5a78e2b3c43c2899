"""What is put before a chunk's text when it is embedded, so that it says what it is about."""

import string

from embedstack.documents.document import Section
from embedstack.errors import ConfigurationError

__all__ = ["ContextPrefix"]

_NAMES = ("source", "headings", "page")


class ContextPrefix:
    """A template such as ``"{source} > {headings}: "``.

    It stands before the text in what is embedded and not in what is stored, as a prompt does. ``source`` is the
    document's key or path, ``headings`` are those that the chunk stands under with ``>`` between them, and ``page`` is
    its page; what a chunk does not have is empty.

    Attributes:
        template: The template; empty for no prefix.
    """

    def __init__(self, template: str = "") -> None:
        """Read it.

        Raises:
            ConfigurationError: It is no template, or has another name in it.
        """
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ConfigurationError(f"EMBEDSTACK_DOCUMENT_CONTEXT is no template: {error}.") from None
        for _, name, specification, conversion in parts:
            if name is not None and (name not in _NAMES or specification or conversion):
                raise ConfigurationError(
                    f"EMBEDSTACK_DOCUMENT_CONTEXT has {{{name}}}; there are "
                    f"{', '.join(f'{{{known}}}' for known in _NAMES)}, without a format."
                )
        self.template = template

    def render(self, source: str, section: Section) -> str:
        """The prefix of a section's chunks."""
        return self.fill(source, section.headings, section.page)

    def fill(self, source: str, headings: tuple[str, ...], page: int | None) -> str:
        """The prefix of what is at that place."""
        return self.template.format(
            source=source, headings=" > ".join(headings), page="" if page is None else str(page)
        )
