"""What is put before a chunk's text when it is embedded, so that it says what it is about."""

import hashlib
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

    @property
    def digest(self) -> str:
        """What tells it from another one."""
        return hashlib.sha256(self.template.encode()).hexdigest()

    def render(self, source: str, section: Section) -> str:
        """The prefix of a section's chunks."""
        page = "" if section.page is None else str(section.page)
        return self.template.format(source=source, headings=" > ".join(section.headings), page=page)
