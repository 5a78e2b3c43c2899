"""Reading a sentence-transformers model folder: what it computes, as its own files say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedstack.errors import ConfigurationError
from embedstack.models import Pooling
from embedstack.serving.architectures import EncoderConfig
from embedstack.serving.json_files import read_object, read_optional_object
from embedstack.serving.sentence_modules import SentenceModules
from embedstack.serving.token_heads import TokenHeads
from embedstack.serving.weights import weights_file

__all__ = ["ModelFolder"]

_REPORTS_NO_NAME = "unknown"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A sentence-transformers folder, read and checked.

    Attributes:
        path: The folder.
        model_id: The model's name, for answers and logs.
        config: The encoder's architecture.
        modules: What comes after the encoder.
        weights: The encoder's weights.
        max_tokens: Tokens read of one text, special tokens counted.
        prompts: Text put before an input, by prompt name.
        matryoshka_dimensions: Lengths to which a vector may be cut; empty where the model was not trained for it.
        heads: BGE-M3's sparse and ColBERT layers, where the model has them.
    """

    path: Path
    model_id: str
    config: EncoderConfig
    modules: SentenceModules
    weights: Path
    max_tokens: int
    prompts: dict[str, str] = field(default_factory=dict)
    matryoshka_dimensions: tuple[int, ...] = ()
    heads: TokenHeads | None = None

    @property
    def hidden_size(self) -> int:
        """Length of a token's vector."""
        return self.config.hidden_size

    @property
    def dimensions(self) -> int:
        """Length of a text's vector, after the last Dense module."""
        return self.modules.dense[-1].out_features if self.modules.dense else self.hidden_size

    @property
    def pooling(self) -> Pooling:
        """How token vectors become one vector."""
        return self.modules.pooling

    @property
    def normalize(self) -> bool:
        """Whether the model ends in a Normalize module."""
        return self.modules.normalize

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's definition."""
        return self.path / "tokenizer.json"

    @classmethod
    def read(cls, path: Path, model_id: str | None = None) -> "ModelFolder":
        """Read the folder's own description.

        Raises:
            ConfigurationError: A file is missing or unreadable, or the model is of a kind that is not served.
        """
        for name in ("config.json", "modules.json", "tokenizer.json"):
            if not (path / name).is_file():
                raise ConfigurationError(
                    f"{path} is not a sentence-transformers folder that can be served: it has no {name}."
                )
        config = read_object(path / "config.json")
        encoder = EncoderConfig.read(path / "config.json", config)
        sentence = read_optional_object(path / "sentence_bert_config.json")
        _refuse_added_lower_casing(path, sentence)
        modules = SentenceModules.read(path, encoder.hidden_size)
        prompts = read_optional_object(path / "config_sentence_transformers.json").get("prompts") or {}
        return cls(
            path=path,
            model_id=model_id or str(config.get("_name_or_path") or _REPORTS_NO_NAME),
            config=encoder,
            modules=modules,
            weights=_weights(path),
            max_tokens=_max_tokens(path, sentence, encoder),
            prompts={name: text for name, text in prompts.items() if text},
            matryoshka_dimensions=tuple(config.get("matryoshka_dimensions") or ()),
            heads=TokenHeads.read(path, encoder.hidden_size),
        )


def _weights(path: Path) -> Path:
    file = weights_file(path, "model", "pytorch_model")
    if file is None:
        raise ConfigurationError(
            f"{path}: it has no model.safetensors and no pytorch_model.bin, whole or sharded. Fetch one of them."
        )
    return file


def _max_tokens(path: Path, sentence: dict[str, Any], encoder: EncoderConfig) -> int:
    limits = (
        sentence.get("max_seq_length"),
        read_optional_object(path / "tokenizer_config.json").get("model_max_length"),
    )
    # The first that is given holds, as in sentence-transformers; no model reads more tokens than it has positions.
    wanted = next((limit for limit in limits if limit), encoder.max_positions)
    if not isinstance(wanted, int | float) or wanted < 1:
        raise ConfigurationError(
            f"{path}: max_seq_length in sentence_bert_config.json, or model_max_length in tokenizer_config.json, is "
            f"{wanted!r}; it must be a number of tokens."
        )
    return int(min(wanted, encoder.max_positions))


def _refuse_added_lower_casing(path: Path, sentence: dict[str, Any]) -> None:
    """sentence-transformers lowers texts before a tokenizer that does not; ours takes the tokenizer as it is."""
    if sentence.get("do_lower_case") and not _lowers_case(read_object(path / "tokenizer.json").get("normalizer")):
        raise ConfigurationError(
            f"{path}: sentence_bert_config.json asks for lower-casing, which tokenizer.json does not do. Save the "
            "tokenizer with a Lowercase normalizer first."
        )


def _lowers_case(normalizer: Any) -> bool:
    match normalizer:
        case {"type": "Lowercase"} | {"type": "BertNormalizer", "lowercase": True}:
            return True
        case {"type": "Sequence", "normalizers": list(parts)}:
            return any(map(_lowers_case, parts))
        case _:
            return False
