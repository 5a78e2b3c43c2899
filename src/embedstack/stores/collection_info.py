"""Properties of a collection, which must be the same for writing and searching."""

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, Self

from embedstack.errors import CollectionMismatch, ConfigurationError

if TYPE_CHECKING:
    from embedstack.models.model_info import ModelInfo

__all__ = ["CollectionInfo", "Distance"]

Distance = Literal["cosine", "euclidean"]

# The names that S3 Vectors allows for an index, so that a collection can move from one store to another.
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LANGUAGE = re.compile(r"[a-z]{2}")


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection's name and the properties of its vectors.

    Attributes:
        name: 3 to 63 lower-case letters, digits, hyphens and dots.
        model_id: The model that computes the vectors.
        dimensions: Length of a vector.
        revision: The model's revision; None if not pinned.
        distance: The distance between vectors.
        context: Kind of the texts (``code``, ``docs``, ``business``); None if each record has its own.
        prompt: Text that is prepended to each text when it is embedded: the model's prompt for documents, and a prefix.
        chunker: Name of the chunking, which changes when documents are cut differently.
        language: Language of the texts for keyword search, as an ISO 639-1 code such as ``en``; it selects stop words
            and stemming. None for several languages: words are compared as they are.
        sparse_dimensions: Length of the sparse vectors, 250,002 for BGE-M3; None without sparse vectors.
        query_prompt: Text that is prepended to each query; None if it was not recorded, and is not compared.
    """

    name: str
    model_id: str
    dimensions: int
    revision: str | None = None
    distance: Distance = "cosine"
    context: str | None = None
    prompt: str = ""
    chunker: str | None = None
    language: str | None = None
    sparse_dimensions: int | None = None
    query_prompt: str | None = None

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            ConfigurationError: A name, dimension, distance or language is invalid.
        """
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"Invalid collection name {self.name!r}. Use 3 to 63 lower-case letters, digits, hyphens and dots, "
                "with a letter or a digit at both ends."
            )
        if self.dimensions < 1 or (self.sparse_dimensions is not None and self.sparse_dimensions < 1):
            raise ConfigurationError(f"The collection {self.name} needs vectors of at least one dimension.")
        if self.distance not in ("cosine", "euclidean"):
            raise ConfigurationError(f"Unknown distance {self.distance!r}. Supported: cosine, euclidean.")
        if self.language is not None and not _LANGUAGE.fullmatch(self.language):
            raise ConfigurationError(
                f"Invalid language {self.language!r}. Use an ISO 639-1 code such as en or de, or none."
            )

    @classmethod
    def for_model(
        cls,
        name: str,
        model: "ModelInfo",
        *,
        context: str | None = None,
        prompt: str | None = None,
        query_prompt: str | None = None,
        chunker: str | None = None,
        language: str | None = None,
    ) -> Self:
        """A collection for a model's vectors.

        Args:
            name: The collection's name.
            model: The model, ``embedder.info``.
            context: See the attribute.
            prompt: See the attribute; defaults to the model's prompt for documents.
            query_prompt: See the attribute; defaults to the model's prompt for queries.
            chunker: See the attribute.
            language: See the attribute.

        Raises:
            ConfigurationError: The length of the model's vectors is unknown.
        """
        return cls(
            name, model.model_id, model.require_dimensions(),
            revision=model.revision, context=context, chunker=chunker, language=language,
            prompt=model.prompts.get("document", "") if prompt is None else prompt,
            query_prompt=model.prompts.get("query", "") if query_prompt is None else query_prompt,
        )  # fmt: skip

    def differences(self, other: "CollectionInfo") -> tuple[str, ...]:
        """Names of the attributes that differ, other than ``name``."""
        ignored = {"name"} if None not in (self.query_prompt, other.query_prompt) else {"name", "query_prompt"}
        names = (field.name for field in fields(self) if field.name not in ignored)
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))

    def require(self, expected: "CollectionInfo") -> None:
        """Check that this collection has the expected properties.

        Raises:
            CollectionMismatch: It has not. The message names both values of each difference.
        """
        differences = self.differences(expected)
        if differences:
            listed = "; ".join(
                f"{name.replace('_', ' ')}: stored {getattr(self, name)!r}, requested {getattr(expected, name)!r}"
                for name in differences
            )
            raise CollectionMismatch(
                f"The collection {self.name} has other properties than requested. {listed}. Open it with its stored "
                "properties, or re-embed its texts into a replacement and switch to that."
            )
