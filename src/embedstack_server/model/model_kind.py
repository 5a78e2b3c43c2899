"""What a model folder computes: vectors of texts, or scores of pairs."""

from typing import TYPE_CHECKING

from embedstack.models.json_files import read_optional_object

if TYPE_CHECKING:
    from pathlib import Path

    from embedstack.models.model_info import ModelKind

__all__ = ["model_kind"]


def model_kind(path: "Path") -> "ModelKind":
    """The kind of the model in a folder.

    A folder with sentence-transformers' ``modules.json`` is a reranker if its configuration says so. Without it, the
    model's class in ``config.json`` decides, as for cross-encoders saved before sentence-transformers 5.

    Raises:
        ConfigurationError: A file is unreadable.
    """
    if (path / "modules.json").is_file():
        is_reranker = (
            read_optional_object(path / "config_sentence_transformers.json").get("model_type") == "CrossEncoder"
            or read_optional_object(path / "sentence_bert_config.json").get("transformer_task")
            == "sequence-classification"
        )
    else:
        architectures = read_optional_object(path / "config.json").get("architectures") or [""]
        is_reranker = str(architectures[0]).endswith("ForSequenceClassification")
    return "reranker" if is_reranker else "embedding"
