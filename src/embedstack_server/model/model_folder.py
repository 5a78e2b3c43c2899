"""Reading the configuration of a sentence-transformers model folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_object, read_optional_object
from embedstack.models.model_info import ModelKind, Pooling
from embedstack_server.model.architectures import EncoderConfig, read_config
from embedstack_server.model.model_kind import model_kind
from embedstack_server.model.sentence_modules import SentenceModules
from embedstack_server.model.token_heads import TokenHeads
from embedstack_server.model.weights import weights_file

__all__ = [
    "UNKNOWN_MODEL_ID", "ModelFolder", "find_weights", "read_max_tokens", "read_prompts", "reject_added_lowercasing",
    "reject_unsupported_options",
]  # fmt: skip

#: Name of a model that nothing names.
UNKNOWN_MODEL_ID = "unknown"
# Options of sentence_bert_config.json by their names before and since sentence-transformers 5.2, and their members that
# do not change the result.
_HARMLESS = {"add_pooling_layer", "attn_implementation", "dtype", "torch_dtype", "trust_remote_code"}
_OPTIONS = (
    "model_args", "model_kwargs", "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs",
    "processing_kwargs",
)  # fmt: skip
# transformers' names of options in tokenizer_config.json, and the corresponding names in a BertNormalizer.
_BERT_NORMALIZER = {
    "do_lower_case": "lowercase", "strip_accents": "strip_accents", "tokenize_chinese_chars": "handle_chinese_chars",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A sentence-transformers folder, parsed and validated.

    Attributes:
        kind: What the model computes.
        path: The folder.
        model_id: The model's name, for responses and logs.
        config: The encoder's architecture.
        modules: Modules after the encoder.
        weights: File of the encoder's weights.
        max_tokens: Tokens read of one text, including special tokens.
        prompts: Texts to prepend to an input, by prompt name.
        default_prompt_name: Prompt of requests that name none.
        matryoshka_dimensions: Lengths to which a vector may be truncated; empty if the model was not trained for it.
        heads: BGE-M3's sparse and ColBERT layers, if the model has them.
    """

    kind: ClassVar[ModelKind] = "embedding"

    path: Path
    model_id: str
    config: EncoderConfig
    modules: SentenceModules
    weights: Path
    max_tokens: int
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
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
        """How token vectors are combined into one vector."""
        return self.modules.pooling

    @property
    def pools_prompt(self) -> bool:
        """Whether the tokens of a prompt are pooled, too."""
        return self.modules.pools_prompt

    @property
    def normalize(self) -> bool:
        """Whether the model ends with a Normalize module."""
        return self.modules.normalize

    @property
    def matryoshka_layer_norm(self) -> bool:
        """Whether a vector is layer-normalized before it is truncated."""
        return self.config.matryoshka_layer_norm

    @property
    def tokenizer(self) -> Path:
        """File of the tokenizer's definition."""
        return self.path / "tokenizer.json"

    @classmethod
    def read(cls, path: Path, model_id: str | None = None) -> "ModelFolder":
        """Read and validate a folder.

        Raises:
            ConfigurationError: A file is missing or unreadable, or the model is not supported.
        """
        if model_kind(path) == "reranker":
            raise ConfigurationError(
                f"{path} is a cross-encoder, which scores pairs of a query and a text and computes no embeddings. Use "
                "it as a reranker, or choose an embedding model."
            )
        for name in ("config.json", "modules.json", "tokenizer.json"):
            if not (path / name).is_file():
                raise ConfigurationError(f"{path} is not a sentence-transformers folder: it has no {name}.")
        config = read_object(path / "config.json")
        encoder = read_config(path / "config.json", config)
        sentence = read_optional_object(path / "sentence_bert_config.json")
        reject_added_lowercasing(path, sentence)
        reject_unsupported_options(path, sentence, "feature-extraction", "last_hidden_state")
        modules = SentenceModules.read(path, encoder.hidden_size)
        prompts, default_prompt_name = read_prompts(path)
        return cls(
            path=path,
            model_id=model_id or str(config.get("_name_or_path") or UNKNOWN_MODEL_ID),
            config=encoder,
            modules=modules,
            weights=find_weights(path),
            max_tokens=read_max_tokens(path, sentence, encoder),
            prompts=prompts,
            default_prompt_name=default_prompt_name,
            matryoshka_dimensions=tuple(config.get("matryoshka_dimensions") or ()),
            heads=TokenHeads.read(path, encoder.hidden_size),
        )


def find_weights(path: Path) -> Path:
    """The file of the encoder's weights.

    Raises:
        ConfigurationError: The folder has none.
    """
    file = weights_file(path, "model", "pytorch_model")
    if file is None:
        raise ConfigurationError(
            f"{path}: it has no model.safetensors and no pytorch_model.bin, whole or sharded. Download one of them."
        )
    return file


def read_max_tokens(path: Path, sentence: dict[str, Any], encoder: EncoderConfig) -> int:
    """Tokens that the model reads of one text, including special tokens.

    Raises:
        ConfigurationError: A limit is not a number of tokens.
    """
    limits = (
        sentence.get("max_seq_length"),
        read_optional_object(path / "tokenizer_config.json").get("model_max_length"),
    )
    # The first limit that is set applies, as in sentence-transformers. No model reads more tokens than its positions.
    limit = next((value for value in limits if value), encoder.max_positions)
    if not isinstance(limit, int | float) or limit < 1:
        raise ConfigurationError(
            f"{path}: max_seq_length in sentence_bert_config.json, or model_max_length in tokenizer_config.json, is "
            f"{limit!r}; it must be a number of tokens."
        )
    return int(min(limit, encoder.max_positions))


def read_prompts(path: Path) -> tuple[dict[str, str], str | None]:
    """The prompts by name, and the name of the default prompt.

    Raises:
        ConfigurationError: The prompts are not strings, or the default prompt does not exist.
    """
    file = path / "config_sentence_transformers.json"
    config = read_optional_object(file)
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise ConfigurationError(f"{file}: prompts must be an object of strings. Download it again.")
    if default is not None and default not in prompts:
        raise ConfigurationError(
            f"{file}: default_prompt_name is {default!r}; its prompts: {', '.join(prompts) or 'none'}. Correct the "
            "name, or remove it."
        )
    return {name: text or "" for name, text in prompts.items()}, default


def reject_unsupported_options(path: Path, sentence: dict[str, Any], task: str, output: str) -> None:
    """Reject options with which sentence-transformers would compute something else.

    Args:
        path: The model's folder.
        sentence: The content of ``sentence_bert_config.json``.
        task: The supported ``transformer_task``.
        output: The model's output that is supported.

    Raises:
        ConfigurationError: An option is not supported.
    """
    config = read_optional_object(path / "config_sentence_transformers.json")
    if config.get("truncate_dim") is not None:
        raise ConfigurationError(
            f"{path}: truncate_dim in config_sentence_transformers.json cuts vectors to {config['truncate_dim']} "
            "numbers, which is not supported. Remove it, and send `dimensions` with each request."
        )
    for name in _OPTIONS:
        if unsupported := sorted(set(sentence.get(name) or ()) - _HARMLESS):
            raise ConfigurationError(
                f"{path}: {name} in sentence_bert_config.json sets {', '.join(unsupported)}, which is not supported. "
                "Save the model with these options in its own configuration."
            )
    text = (sentence.get("modality_config") or {}).get("text") or {}
    used = (sentence.get("transformer_task", task), text.get("method_output_name", output))
    if used != (task, output):
        raise ConfigurationError(
            f"{path}: sentence_bert_config.json uses {used[1]} of the task {used[0]}; only {output} of {task} is "
            "supported."
        )
    _reject_tokenizer_overrides(path)


def _reject_tokenizer_overrides(path: Path) -> None:
    """Reject a tokenizer_config.json that overrides tokenizer.json in transformers; it is ignored here."""
    config = read_optional_object(path / "tokenizer_config.json")
    if config.get("truncation_side", "right") != "right":
        raise ConfigurationError(
            f"{path}: truncation_side in tokenizer_config.json is not 'right'; truncating on the left by default is "
            "not supported. Set it to 'right'."
        )
    match read_object(path / "tokenizer.json").get("normalizer"):
        case {"type": "BertNormalizer", **normalizer}:
            for theirs, ours in _BERT_NORMALIZER.items():
                if theirs in config and ours in normalizer and config[theirs] != normalizer[ours]:
                    raise ConfigurationError(
                        f"{path}: {theirs} is {config[theirs]} in tokenizer_config.json, and {ours} is "
                        f"{normalizer[ours]} in tokenizer.json. Save the tokenizer again, so that they agree."
                    )


def reject_added_lowercasing(path: Path, sentence: dict[str, Any]) -> None:
    """Reject do_lower_case if only sentence-transformers, and not the tokenizer, would lowercase texts.

    Raises:
        ConfigurationError: It is set, and the tokenizer does not lowercase.
    """
    if sentence.get("do_lower_case") and not _lowercases(read_object(path / "tokenizer.json").get("normalizer")):
        raise ConfigurationError(
            f"{path}: sentence_bert_config.json sets do_lower_case, but tokenizer.json does not lowercase. Save the "
            "tokenizer with a Lowercase normalizer."
        )


def _lowercases(normalizer: Any) -> bool:
    match normalizer:
        case {"type": "Lowercase"} | {"type": "BertNormalizer", "lowercase": True}:
            return True
        case {"type": "Sequence", "normalizers": list(parts)}:
            return any(map(_lowercases, parts))
        case _:
            return False
