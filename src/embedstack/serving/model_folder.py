"""Reading a sentence-transformers model folder: what it computes, as its own files say."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedstack.errors import ConfigurationError
from embedstack.models import Pooling

_POOLING_MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
}
_REPORTS_NO_NAME = "unknown"


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The numbers of a BERT encoder that its graph is built from (``config.json``)."""

    hidden_size: int
    layers: int
    heads: int
    max_positions: int
    layer_norm_eps: float


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A sentence-transformers folder, read and checked.

    Attributes:
        path: The folder.
        model_id: The model's name, for answers and logs.
        config: The encoder's architecture.
        max_tokens: Tokens read of one text, special tokens counted.
        pooling: How token vectors become one vector.
        normalize: Whether the model ends in a Normalize module.
        prompts: Text put before an input, by prompt name.
        matryoshka_dimensions: Lengths to which a vector may be cut; empty where the model was not trained for it.
    """

    path: Path
    model_id: str
    config: BertConfig
    max_tokens: int
    pooling: Pooling
    normalize: bool
    prompts: dict[str, str] = field(default_factory=dict)
    matryoshka_dimensions: tuple[int, ...] = ()

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.config.hidden_size

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.path / "model.safetensors"

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
        for name in ("config.json", "modules.json", "model.safetensors", "tokenizer.json"):
            if not (path / name).is_file():
                raise ConfigurationError(
                    f"{path} is not a sentence-transformers folder that can be served: it has no {name}."
                )
        config = _read_json(path / "config.json")
        modules = _read_modules(path)
        bert = _read_bert_config(path / "config.json", config)
        sentence = _read_optional_json(path / "sentence_bert_config.json")
        prompts = _read_optional_json(path / "config_sentence_transformers.json")
        return cls(
            path=path,
            model_id=model_id or str(config.get("_name_or_path") or _REPORTS_NO_NAME),
            config=bert,
            max_tokens=min(int(sentence.get("max_seq_length") or bert.max_positions), bert.max_positions),
            pooling=modules.pooling,
            normalize=modules.normalize,
            prompts={name: text for name, text in (prompts.get("prompts") or {}).items() if text},
            matryoshka_dimensions=tuple(config.get("matryoshka_dimensions") or ()),
        )


@dataclass(frozen=True, slots=True)
class _Modules:
    pooling: Pooling
    normalize: bool


def _read_modules(path: Path) -> _Modules:
    pooling: Pooling | None = None
    normalize = False
    for module in _read_json(path / "modules.json"):
        kind = str(module["type"]).rpartition(".")[2]
        match kind:
            case "Transformer":
                pass
            case "Pooling":
                pooling = _read_pooling(path / module["path"] / "config.json")
            case "Normalize":
                normalize = True
            case _:
                raise ConfigurationError(
                    f"{path}: the module {kind} is not served; only Transformer, Pooling, Normalize."
                )
    if pooling is None:
        raise ConfigurationError(f"{path}: modules.json names no Pooling module, so a text would have no one vector.")
    return _Modules(pooling, normalize)


def _read_pooling(path: Path) -> Pooling:
    config = _read_json(path)
    if mode := config.get("pooling_mode"):
        chosen = [mode] if isinstance(mode, str) else list(mode)
    else:
        chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    names: dict[str, Pooling] = {**_POOLING_MODES, "mean": "mean", "cls": "cls", "max": "max"}
    if len(chosen) != 1 or chosen[0] not in names:
        raise ConfigurationError(f"{path}: pooling {chosen or 'none'} is not served; exactly one of mean, cls, max is.")
    return names[chosen[0]]


def _read_bert_config(path: Path, config: dict[str, Any]) -> BertConfig:
    if config.get("model_type") != "bert":
        raise ConfigurationError(f"{path}: the architecture {config.get('model_type')!r} is not served; 'bert' is.")
    if config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        raise ConfigurationError(f"{path}: only the gelu activation and absolute positions are served.")
    try:
        return BertConfig(
            hidden_size=int(config["hidden_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            max_positions=int(config["max_position_embeddings"]),
            layer_norm_eps=float(config["layer_norm_eps"]),
        )
    except KeyError as error:
        raise ConfigurationError(f"{path} does not say {error.args[0]}.") from None


def _read_optional_json(path: Path) -> dict[str, Any]:
    return dict(_read_json(path)) if path.is_file() else {}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}") from error
