"""Reading the configuration of a cross-encoder's folder."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_json, read_object, read_optional_object
from embedstack.models.model_info import ModelKind
from embedstack_server.model.architectures import EncoderConfig, read_config
from embedstack_server.model.architectures.config_file import ConfigFile
from embedstack_server.model.classification_head import ClassificationHead
from embedstack_server.model.model_folder import (
    UNKNOWN_MODEL_ID,
    find_weights,
    read_max_tokens,
    read_prompts,
    reject_added_lowercasing,
    reject_unsupported_options,
)
from embedstack_server.model.model_kind import model_kind

__all__ = ["SCORE_ACTIVATIONS", "CrossEncoderFolder"]

_logger = logging.getLogger(__name__)

#: Activations of a score, by the names of classes in ``torch.nn``.
SCORE_ACTIVATIONS = ("Identity", "Sigmoid", "Tanh")
_DEFAULT_ACTIVATION = "Sigmoid"
# Tokenizer classes that return token types, and the architectures whose own class is one of them.
_TYPED_TOKENIZERS = ("BertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
_TYPED_ARCHITECTURES = ("bert", "electra")


@dataclass(frozen=True, slots=True)
class CrossEncoderFolder:
    """The folder of a cross-encoder with one label, parsed and validated.

    Attributes:
        kind: What the model computes.
        path: The folder.
        model_id: The model's name, for responses and logs.
        config: The encoder's architecture.
        head: The layers after the encoder.
        weights: File of the weights.
        max_tokens: Tokens read of a query and a text together, including special tokens.
        activation: Activation that makes a score of a logit, one of :data:`SCORE_ACTIVATIONS`.
        reads_token_types: Whether tokens of the query and of the text have different types.
        prompts: Texts to prepend to a query, by prompt name.
        default_prompt_name: Prompt of requests that name none.
    """

    kind: ClassVar[ModelKind] = "reranker"

    path: Path
    model_id: str
    config: EncoderConfig
    head: ClassificationHead
    weights: Path
    max_tokens: int
    activation: str
    reads_token_types: bool
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None

    @property
    def tokenizer(self) -> Path:
        """File of the tokenizer's definition."""
        return self.path / "tokenizer.json"

    @classmethod
    def read(cls, path: Path, model_id: str | None = None) -> "CrossEncoderFolder":
        """Read and validate a folder.

        Raises:
            ConfigurationError: A file is missing or unreadable, or the model is not supported or no cross-encoder.
        """
        for name in ("config.json", "tokenizer.json"):
            if not (path / name).is_file():
                raise ConfigurationError(f"{path} is not a cross-encoder's folder: it has no {name}.")
        if model_kind(path) != "reranker":
            raise ConfigurationError(
                f"{path} is an embedding model, which does not score pairs. Choose a cross-encoder, whose config.json "
                "names a class ForSequenceClassification."
            )
        _reject_other_modules(path)
        content = read_object(path / "config.json")
        config = read_config(path / "config.json", content)
        sentence = read_optional_object(path / "sentence_bert_config.json")
        reject_added_lowercasing(path, sentence)
        reject_unsupported_options(path, sentence, "sequence-classification", "logits")
        prompts, default_prompt_name = read_prompts(path)
        return cls(
            path=path,
            model_id=model_id or str(content.get("_name_or_path") or UNKNOWN_MODEL_ID),
            config=config,
            head=ClassificationHead.read(ConfigFile(path / "config.json", content)),
            weights=find_weights(path),
            max_tokens=read_max_tokens(path, sentence, config),
            activation=_activation(path, content),
            reads_token_types=config.token_types > 0 and _returns_token_types(path, content),
            prompts=prompts,
            default_prompt_name=default_prompt_name,
        )


def _reject_other_modules(path: Path) -> None:
    """Reject a ``modules.json`` with more than a Transformer."""
    file = path / "modules.json"
    if not file.is_file():
        return
    modules = read_json(file)
    kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    if kinds != ["Transformer"]:
        raise ConfigurationError(
            f"{path}: cross-encoders of the modules {', '.join(kinds)} are not supported, only those with a "
            "classification head. Serve this model with sentence-transformers."
        )


def _activation(path: Path, config: dict[str, Any]) -> str:
    """The activation, from the place where each version of sentence-transformers saves it.

    Raises:
        ConfigurationError: The activation is not supported.
    """
    declared = (
        read_optional_object(path / "config_sentence_transformers.json").get("activation_fn")
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
    )
    if declared is None:
        return _DEFAULT_ACTIVATION
    module, _, name = str(declared).rpartition(".")
    if not f"{module}.".startswith("torch."):
        # As in sentence-transformers, which would have to run the folder's code.
        _logger.warning("%s: the activation %s is not part of torch; using %s", path, declared, _DEFAULT_ACTIVATION)
        return _DEFAULT_ACTIVATION
    if name not in SCORE_ACTIVATIONS:
        raise ConfigurationError(
            f"{path}: the activation {declared} of scores is not supported. Supported are "
            f"{', '.join(SCORE_ACTIVATIONS)}."
        )
    return name


def _returns_token_types(path: Path, config: dict[str, Any]) -> bool:
    """Whether transformers' tokenizer passes token types to the model; if not, every token has type 0."""
    tokenizer = read_optional_object(path / "tokenizer_config.json")
    if (names := tokenizer.get("model_input_names")) is not None:
        return "token_type_ids" in names
    if declared := tokenizer.get("tokenizer_class") or config.get("tokenizer_class"):
        return str(declared).removesuffix("Fast") in _TYPED_TOKENIZERS
    return config["model_type"] in _TYPED_ARCHITECTURES
