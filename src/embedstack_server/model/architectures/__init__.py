"""The supported encoder architectures: their configurations, and which of them a model has."""

from typing import TYPE_CHECKING, Any

from embedstack_server.model.architectures import bert, gemma3, gte, modernbert, nomic_bert, qwen3, t5
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture
from embedstack_server.model.architectures.encoder_config import EncoderConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["SUPPORTED", "EncoderConfig", "UnsupportedArchitecture", "read_config"]

_READERS: "dict[str, Callable[[ConfigFile], EncoderConfig]]" = {
    **dict.fromkeys(bert.MODEL_TYPES, bert.BertConfig.read),
    **dict.fromkeys(gemma3.MODEL_TYPES, gemma3.Gemma3Config.read),
    **dict.fromkeys(gte.MODEL_TYPES, gte.GteConfig.read),
    **dict.fromkeys(modernbert.MODEL_TYPES, modernbert.ModernBertConfig.read),
    **dict.fromkeys(nomic_bert.MODEL_TYPES, nomic_bert.NomicBertConfig.read),
    **dict.fromkeys(qwen3.MODEL_TYPES, qwen3.Qwen3Config.read),
    **dict.fromkeys(t5.MODEL_TYPES, t5.T5Config.read),
}
# Architectures that resemble supported ones, with the difference.
_REFUSED = {
    "embedding_gemma2": "EmbeddingGemma 2 (embedding_gemma2), which is another architecture than EmbeddingGemma,",
    "jina_embeddings_v3": "Jina Embeddings v3, whose vectors depend on a LoRA adapter that is chosen for each task,",
}
#: Values of ``model_type`` that the built-in engine supports.
SUPPORTED = tuple(sorted(_READERS))

_CODE_IS_NOT_RUN = " The code in the model's repository (auto_map) is never run."
_ALTERNATIVES = (
    " Deploy the model with Text Embeddings Inference, or run it with sentence-transformers: pip install "
    "'embedstack[torch]'."
)


def read_config(path: "Path", content: dict[str, Any]) -> EncoderConfig:
    """Read the content of ``config.json``.

    Args:
        path: The file, for error messages.
        content: The file's content.

    Raises:
        UnsupportedArchitecture: The architecture, or its variant, is not supported.
        ConfigurationError: A setting is missing or invalid.
    """
    try:
        return _reader(path, content)(ConfigFile(path, content))
    except UnsupportedArchitecture as error:
        code = _CODE_IS_NOT_RUN if content.get("auto_map") else ""
        raise UnsupportedArchitecture(f"{error}{code}{_ALTERNATIVES}") from None


def _reader(path: "Path", content: dict[str, Any]) -> "Callable[[ConfigFile], EncoderConfig]":
    # Jina v3's own configuration calls itself XLM-RoBERTa.
    name = "jina_embeddings_v3" if "lora_adaptations" in content else str(content.get("model_type"))
    if name in _REFUSED:
        raise UnsupportedArchitecture(f"{path}: {_REFUSED[name]} is not supported.")
    try:
        return _READERS[name]
    except KeyError:
        raise UnsupportedArchitecture(
            f"{path}: the architecture {name!r} is not supported. Supported are {', '.join(SUPPORTED)}."
        ) from None
