"""What a collection's vectors are: the facts that have to agree between who writes and who searches."""

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
_TEXT_SEARCH = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection's name, and what its vectors are.

    Attributes:
        name: 3 to 63 lower-case letters, digits, hyphens and dots.
        model_id: The model that the vectors come from.
        dimensions: Length of a vector.
        revision: The model's revision, where it is pinned.
        distance: How far two vectors are apart.
        context: What kind of texts these are (``code``, ``docs``, ``business``); None where each record says it itself.
        prompt: Text that was put before each text when it was embedded.
        chunker: How documents were cut, as a name that changes when the cutting does.
        text_search: Postgres' text search configuration for hybrid search, ``simple`` for every language; None for no
            full text index.
        sparse_dimensions: Length of the sparse vectors, 250,002 for BGE-M3; None for none.
    """

    name: str
    model_id: str
    dimensions: int
    revision: str | None = None
    distance: Distance = "cosine"
    context: str | None = None
    prompt: str = ""
    chunker: str | None = None
    text_search: str | None = "simple"
    sparse_dimensions: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no store can hold.

        Raises:
            ConfigurationError: A name, a length or a distance that there is not.
        """
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} cannot be a collection's name: 3 to 63 lower-case letters, digits, hyphens and dots, "
                "with a letter or a digit at both ends."
            )
        if self.dimensions < 1 or (self.sparse_dimensions is not None and self.sparse_dimensions < 1):
            raise ConfigurationError(f"The collection {self.name} needs vectors of at least one dimension.")
        if self.distance not in ("cosine", "euclidean"):
            raise ConfigurationError(f"There is no distance {self.distance!r}; there are cosine and euclidean.")
        if self.text_search is not None and not _TEXT_SEARCH.fullmatch(self.text_search):
            raise ConfigurationError(f"{self.text_search!r} is not the name of a text search configuration.")

    @classmethod
    def for_model(
        cls, name: str, model: "ModelInfo", *, context: str | None = None, prompt: str = "", chunker: str | None = None
    ) -> Self:
        """The collection of a model's vectors; ``embedder.info`` is the model."""
        return cls(
            name, model.model_id, model.dimensions,
            revision=model.revision, context=context, prompt=prompt, chunker=chunker,
        )  # fmt: skip

    def differences(self, other: "CollectionInfo") -> tuple[str, ...]:
        """Names of the attributes that are not the same, the collections' names aside."""
        names = (field.name for field in fields(self) if field.name != "name")
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))

    def require(self, wanted: "CollectionInfo") -> None:
        """See that this collection is the one that is wanted.

        Raises:
            CollectionMismatch: It is not; the message names both sides of each difference.
        """
        differences = self.differences(wanted)
        if differences:
            listed = "; ".join(
                f"{name.replace('_', ' ')}: it has {getattr(self, name)!r}, asked for was {getattr(wanted, name)!r}"
                for name in differences
            )
            raise CollectionMismatch(
                f"The collection {self.name} holds other vectors than these. {listed}. Open it as what it is, or embed "
                "its texts anew with a replacement and switch to that."
            )
