"""Context prefixes, which are prepended to chunks when they are embedded."""

import string

from embedstack.documents.document import Section
from embedstack.errors import ConfigurationError

__all__ = ["ContextPrefix"]

_NAMES = ("source", "headings", "page")


class ContextPrefix:
    """A template such as ``"{source} > {headings}: "``.

    The prefix is embedded with the text but not stored, like a prompt. ``source`` is the document's key or path,
    ``headings`` are the headings above the chunk, joined by ``>``, and ``page`` is its page. Missing values are empty.

    Attributes:
        template: The template; empty for no prefix.
    """

    def __init__(self, template: str = "") -> None:
        """Parse a template.

        Raises:
            ConfigurationError: The template is invalid or contains an unknown name.
        """
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ConfigurationError(f"EMBEDSTACK_DOCUMENT_CONTEXT is not a valid template: {error}.") from None
        for _, name, specification, conversion in parts:
            if name is not None and (name not in _NAMES or specification or conversion):
                raise ConfigurationError(
                    f"EMBEDSTACK_DOCUMENT_CONTEXT contains {{{name}}}. Supported, without a format: "
                    f"{', '.join(f'{{{supported}}}' for supported in _NAMES)}."
                )
        self.template = template

    def render(self, source: str, section: Section) -> str:
        """The prefix for the chunks of a section."""
        return self.fill(source, section.headings, section.page)

    def fill(self, source: str, headings: tuple[str, ...], page: int | None) -> str:
        """The prefix for a source, headings and page."""
        return self.template.format(
            source=source, headings=" > ".join(headings), page="" if page is None else str(page)
        )
