"""What the encoder, the protocols and the server need to know of a model, whatever computes it."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from embedstack_server.model.token_heads import TokenHeads

__all__ = ["ServedModel"]


class ServedModel(Protocol):
    """A model's description of itself."""

    @property
    def model_id(self) -> str:
        """The model's name, for answers and logs."""

    @property
    def dimensions(self) -> int:
        """Length of a text's vector."""

    @property
    def max_tokens(self) -> int:
        """Tokens read of one text, special tokens counted."""

    @property
    def pooling(self) -> str:
        """How token vectors become one vector."""

    @property
    def normalize(self) -> bool:
        """Whether the model ends in a Normalize module."""

    @property
    def prompts(self) -> "Mapping[str, str]":
        """Text put before an input, by prompt name."""

    @property
    def default_prompt_name(self) -> str | None:
        """Name of the prompt for requests that name no prompt; None if the model has no default."""

    @property
    def matryoshka_dimensions(self) -> tuple[int, ...]:
        """Lengths to which a vector may be cut; empty where the model was not trained for it."""

    @property
    def heads(self) -> "TokenHeads | None":
        """BGE-M3's sparse and ColBERT layers, where the model has them."""

    @property
    def tokenizer(self) -> "Path":
        """The tokenizer's definition."""
