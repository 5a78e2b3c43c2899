"""Reads the facts of a model from its folder: the files of transformers and sentence-transformers."""

from pathlib import Path
from typing import Any

from embedstack.errors import ConfigurationError
from embedstack.models.json_files import read_json, read_optional_object
from embedstack.models.model_info import Pooling

__all__ = ["POOLING_MODES", "pooling_modes", "read_model_facts"]

#: Pooling modes in the two spellings of sentence-transformers: a mode, and a flag for each mode.
POOLING_MODES: dict[str, Pooling] = {
    "cls": "cls",
    "lasttoken": "last_token",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last_token",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
}
# Modules that do not change the length of a vector.
_SAME_LENGTH = {"Transformer", "Pooling", "Normalize", "Dropout", "LayerNorm"}
# Names of sentence-transformers' prompts by our kinds of text, in the order in which encode_query and encode_document
# look for them.
_PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}
# Tokenizers without a limit have a length of 10^30.
_LARGEST_LIMIT = 10_000_000


def pooling_modes(options: dict[str, Any]) -> list[str]:
    """The modes that the configuration of a Pooling module chooses, by their names in :data:`POOLING_MODES`."""
    if mode := options.get("pooling_mode"):
        return [mode] if isinstance(mode, str) else list(mode)
    return [name for name, value in options.items() if name.startswith("pooling_mode_") and value]


def read_model_facts(folder: Path) -> dict[str, Any]:
    """Read what a model's folder says.

    Args:
        folder: Folder with ``config.json``.

    Returns:
        Attributes of :class:`~embedstack.models.ModelInfo` by name, without those that the folder does not contain.

    Raises:
        ConfigurationError: A file is not a JSON object.
    """
    config = read_optional_object(folder / "config.json")
    facts: dict[str, Any] = {
        "architecture": config.get("model_type"),
        "kind": "reranker" if _is_reranker(folder, config) else None,
        "max_tokens": _max_tokens(folder, config),
        "matryoshka_dimensions": tuple(config.get("matryoshka_dimensions") or ()) or None,
    }
    if (folder / "modules.json").is_file():
        facts |= _module_facts(folder, config)
    prompts = _prompts(folder)
    if any(prompts.values()):
        # Current versions write an empty prompt for each kind of a model that was saved without prompts.
        facts |= {"prompts": prompts, "uses_prompts": True}
    return {name: value for name, value in facts.items() if value is not None}


def _module_facts(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list):
        raise ConfigurationError(f"{folder / 'modules.json'} is not a list of modules. Download it again.")
    names = [str(_member(module, "type")).rpartition(".")[2] for module in modules]
    dimensions, pooling = _hidden_size(config), None
    for name, module in zip(names, modules, strict=True):
        options = read_optional_object(folder / str(_member(module, "path") or "") / "config.json")
        if name == "Pooling":
            pooling, dimensions = _pooling(options), dimensions if _pooling(options) else None
        elif name == "Dense":
            dimensions = options.get("out_features")
        elif name not in _SAME_LENGTH:
            dimensions = None
    shortened = read_optional_object(folder / "config_sentence_transformers.json").get("truncate_dim")
    return {
        "dimensions": shortened or dimensions,
        "pooling": pooling,
        "normalized": "Normalize" in names,
    }


def _pooling(options: dict[str, Any]) -> Pooling | None:
    """The pooling mode; None if there are several, whose vectors are concatenated, or an unknown one."""
    modes = pooling_modes(options)
    return POOLING_MODES.get(modes[0]) if len(modes) == 1 else None


def _is_reranker(folder: Path, config: dict[str, Any]) -> bool:
    if (folder / "modules.json").is_file():
        sentence = read_optional_object(folder / "config_sentence_transformers.json")
        transformer = read_optional_object(folder / "sentence_bert_config.json")
        is_classifier = transformer.get("transformer_task") == "sequence-classification"
        return sentence.get("model_type") == "CrossEncoder" or is_classifier
    return str(next(iter(config.get("architectures") or []), "")).endswith("ForSequenceClassification")


def _hidden_size(config: dict[str, Any]) -> int | None:
    for section in (config, config.get("text_config") or {}):
        for name in ("hidden_size", "dim", "d_model", "n_embd"):
            if isinstance(section.get(name), int):
                return int(section[name])
    return None


def _max_tokens(folder: Path, config: dict[str, Any]) -> int | None:
    sentence = read_optional_object(folder / "sentence_bert_config.json").get("max_seq_length")
    tokenizer = read_optional_object(folder / "tokenizer_config.json").get("model_max_length")
    # As sentence-transformers does: positions are a limit of models that state no other.
    limits = (sentence or config.get("max_position_embeddings"), tokenizer)
    usable = [int(limit) for limit in limits if isinstance(limit, int | float) and 0 < limit <= _LARGEST_LIMIT]
    return min(usable, default=None)


def _prompts(folder: Path) -> dict[str, str]:
    """The prompt of each kind of text, as sentence-transformers chooses it.

    A kind without a prompt of its own has the default prompt, if the model has one.
    """
    path = folder / "config_sentence_transformers.json"
    config = read_optional_object(path)
    named = config.get("prompts") or {}
    if not isinstance(named, dict) or not all(isinstance(text, str | None) for text in named.values()):
        raise ConfigurationError(f"{path}: prompts must be an object of strings. Download it again.")
    prompts = {}
    for kind, names in _PROMPT_NAMES.items():
        name = next((name for name in (*names, config.get("default_prompt_name")) if name in named), None)
        if name is not None:
            prompts[kind] = named[name] or ""
    return prompts


def _member(module: Any, name: str) -> Any:
    return module.get(name) if isinstance(module, dict) else None
