"""What every encoder's configuration has in common."""

from dataclasses import dataclass

__all__ = ["EncoderConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """The configuration that an encoder's graph is built from; each family of architectures has a subclass.

    Attributes:
        architecture: ``model_type`` in ``config.json``.
        word_embeddings: Name of the tensor with a vector per token id. In a file, its prefix is the prefix of all of
            the encoder's tensors.
        hidden_size: Length of a token's vector.
        layers: Number of layers.
        max_positions: Maximum number of tokens.
        vocabulary_size: Number of token ids; 0 if ``config.json`` does not declare it.
        token_types: Number of token types whose vectors are part of the embeddings; 0 if the model has none.
    """

    architecture: str
    word_embeddings: str
    hidden_size: int
    layers: int
    max_positions: int
    vocabulary_size: int
    token_types: int = 0

    @property
    def attention_bytes(self) -> int:
        """Memory that attention takes for each pair of a text's tokens, in bytes.

        Zero for an architecture whose attention needs no table of token pairs. The values of the others are peaks of
        the process's memory, measured at 4,000 tokens.
        """
        return 0

    @property
    def matryoshka_layer_norm(self) -> bool:
        """Whether the architecture's models layer-normalize a vector before it is truncated."""
        return False
