"""Languages that Postgres analyzes: stop words and stemming."""

from embedstack.errors import ConfigurationError

__all__ = ["text_search_configuration"]

#: Text search configurations of Postgres by ISO 639-1 code (PostgreSQL documentation, "Snowball Dictionary"). Chinese,
#: Japanese and Korean have no stemmer in Postgres.
_CONFIGURATIONS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian",
    "id": "indonesian", "it": "italian", "ja": "simple", "ko": "simple", "lt": "lithuanian", "ne": "nepali",
    "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish", "zh": "simple",
}  # fmt: skip


def text_search_configuration(language: str | None) -> str:
    """The text search configuration of a collection's language; ``simple`` for None.

    Raises:
        ConfigurationError: Postgres does not support the language.
    """
    if language is None:
        return "simple"
    if language not in _CONFIGURATIONS:
        raise ConfigurationError(
            f"Postgres has no text analysis for the language {language!r}. Supported: {', '.join(_CONFIGURATIONS)}. "
            "Use none for others."
        )
    return _CONFIGURATIONS[language]
