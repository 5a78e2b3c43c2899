"""Reading a sentence-transformers model folder: what it computes, as its own files say."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedstack.errors import ConfigurationError
from embedstack.models.model_info import Pooling
from embedstack_server.model.architectures import EncoderConfig
from embedstack_server.model.json_files import read_object, read_optional_object
from embedstack_server.model.sentence_modules import SentenceModules
from embedstack_server.model.token_heads import TokenHeads
from embedstack_server.model.weights import weights_file

__all__ = ["ModelFolder"]

_REPORTS_NO_NAME = "unknown"
_HIDDEN = "last_hidden_state"
# Options of sentence_bert_config.json by their names before and since sentence-transformers 5.2, and what may stand in
# them: how torch computes, not what.
_HARMLESS = {"add_pooling_layer", "attn_implementation", "dtype", "torch_dtype", "trust_remote_code"}
_OPTIONS = (
    "model_args", "model_kwargs", "config_args", "config_kwargs", "tokenizer_args", "processor_kwargs",
    "processing_kwargs",
)  # fmt: skip
# transformers' names of options in tokenizer_config.json, and the normalizer's.
_BERT_NORMALIZER = {
    "do_lower_case": "lowercase", "strip_accents": "strip_accents", "tokenize_chinese_chars": "handle_chinese_chars",
}  # fmt: skip


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
        default_prompt_name: The prompt where a request names none.
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
        _refuse_unread_options(path, sentence)
        modules = SentenceModules.read(path, encoder.hidden_size)
        prompts, default_prompt_name = _prompts(path)
        return cls(
            path=path,
            model_id=model_id or str(config.get("_name_or_path") or _REPORTS_NO_NAME),
            config=encoder,
            modules=modules,
            weights=_weights(path),
            max_tokens=_max_tokens(path, sentence, encoder),
            prompts=prompts,
            default_prompt_name=default_prompt_name,
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


def _prompts(path: Path) -> tuple[dict[str, str], str | None]:
    """The prompts by name, and the name of the one where none is named."""
    file = path / "config_sentence_transformers.json"
    config = read_optional_object(file)
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise ConfigurationError(f"{file}: prompts must be an object of texts. Fetch it again.")
    if default is not None and default not in prompts:
        raise ConfigurationError(
            f"{file}: default_prompt_name is {default!r}; its prompts: {', '.join(prompts) or 'none'}. Correct the "
            "name, or remove it."
        )
    return {name: text or "" for name, text in prompts.items()}, default


def _refuse_unread_options(path: Path, sentence: dict[str, Any]) -> None:
    """Refuse what sentence-transformers would compute otherwise for."""
    config = read_optional_object(path / "config_sentence_transformers.json")
    if config.get("truncate_dim") is not None:
        raise ConfigurationError(
            f"{path}: truncate_dim in config_sentence_transformers.json cuts vectors to {config['truncate_dim']} "
            "numbers, which is not served. Remove it, and send `dimensions` with each request."
        )
    for name in _OPTIONS:
        if unread := sorted(set(sentence.get(name) or ()) - _HARMLESS):
            raise ConfigurationError(
                f"{path}: {name} in sentence_bert_config.json sets {', '.join(unread)}, which is not served. Save the "
                "model with these options in its own configuration."
            )
    text = (sentence.get("modality_config") or {}).get("text") or {}
    states = (sentence.get("transformer_task", "feature-extraction"), text.get("method_output_name", _HIDDEN))
    if states != ("feature-extraction", _HIDDEN):
        raise ConfigurationError(
            f"{path}: sentence_bert_config.json takes {states[1]} of the task {states[0]}; only {_HIDDEN} of "
            "feature-extraction is served."
        )
    _refuse_other_tokenizer(path)


def _refuse_other_tokenizer(path: Path) -> None:
    """Transformers lets tokenizer_config.json overrule tokenizer.json; ours takes the tokenizer as it is."""
    config = read_optional_object(path / "tokenizer_config.json")
    if config.get("truncation_side", "right") != "right":
        raise ConfigurationError(
            f"{path}: truncation_side in tokenizer_config.json is not right; cutting texts on the left is not served. "
            "Set it to right."
        )
    match read_object(path / "tokenizer.json").get("normalizer"):
        case {"type": "BertNormalizer", **normalizer}:
            for theirs, ours in _BERT_NORMALIZER.items():
                if theirs in config and ours in normalizer and config[theirs] != normalizer[ours]:
                    raise ConfigurationError(
                        f"{path}: {theirs} is {config[theirs]} in tokenizer_config.json, and {ours} is "
                        f"{normalizer[ours]} in tokenizer.json. Save the tokenizer again, so that they agree."
                    )


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
