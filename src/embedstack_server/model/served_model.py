"""The description of a model that the encoder, protocols and server need, independent of the engine."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from embedstack.models.model_info import ModelKind
    from embedstack_server.model.token_heads import TokenHeads

__all__ = ["ServedModel"]


class ServedModel(Protocol):
    """The description of a model."""

    @property
    def kind(self) -> "ModelKind":
        """What the model computes."""

    @property
    def model_id(self) -> str:
        """The model's name, for responses and logs."""

    @property
    def dimensions(self) -> int:
        """Length of a text's vector."""

    @property
    def max_tokens(self) -> int:
        """Tokens read of one text, including special tokens."""

    @property
    def pooling(self) -> str:
        """How token vectors are combined into one vector."""

    @property
    def pools_prompt(self) -> bool:
        """Whether the tokens of a prompt are pooled, too."""

    @property
    def normalize(self) -> bool:
        """Whether the model ends with a Normalize module."""

    @property
    def prompts(self) -> "Mapping[str, str]":
        """Texts to prepend to an input, by prompt name."""

    @property
    def default_prompt_name(self) -> str | None:
        """Name of the prompt for requests that name no prompt; None if the model has no default."""

    @property
    def matryoshka_dimensions(self) -> tuple[int, ...]:
        """Lengths to which a vector may be truncated; empty if the model was not trained for it."""

    @property
    def matryoshka_layer_norm(self) -> bool:
        """Whether a vector is layer-normalized before it is truncated."""

    @property
    def heads(self) -> "TokenHeads | None":
        """BGE-M3's sparse and ColBERT layers, if the model has them."""

    @property
    def tokenizer(self) -> "Path":
        """File of the tokenizer's definition."""
