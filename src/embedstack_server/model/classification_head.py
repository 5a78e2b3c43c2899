"""The layers of transformers' ``…ForSequenceClassification`` models after the encoder."""

from dataclasses import dataclass
from typing import Literal

from embedstack.errors import ConfigurationError
from embedstack_server.model.architectures.config_file import ConfigFile, UnsupportedArchitecture

__all__ = ["ClassificationHead"]

# transformers' default for a configuration with neither id2label nor num_labels.
_DEFAULT_LABELS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationHead:
    """A dense layer with an activation, and a linear layer with one output per label.

    Attributes:
        pooling: How token vectors are combined before the dense layer.
        dense: Name of the dense layer's tensors.
        in_encoder: Whether the dense layer is a part of the encoder, whose tensors may have a prefix in the file.
        activation: Activation after the dense layer.
        output: Name of the last layer's tensors.
    """

    pooling: Literal["cls", "mean"] = "cls"
    dense: str = "classifier.dense"
    in_encoder: bool = False
    activation: str = "tanh"
    output: str = "classifier.out_proj"

    @classmethod
    def read(cls, file: ConfigFile) -> "ClassificationHead":
        """The head of the architecture in ``config.json``.

        Raises:
            UnsupportedArchitecture: The architecture's head is not supported.
            ConfigurationError: The model has not exactly one label.
        """
        name = str(file.content["model_type"])
        head = _HEADS.get(name)
        if head is None:
            raise UnsupportedArchitecture(
                f"{file.path}: the classification head of the architecture {name!r} is not supported. Supported are "
                f"those of {', '.join(sorted(_HEADS))}."
            )
        if (labels := _labels(file)) != 1:
            raise ConfigurationError(
                f"{file.path}: the model is a classifier with {labels} labels. A reranker has one label, whose score "
                "is the relevance. Choose a model with one label."
            )
        return head


_ROBERTA = ClassificationHead()
_HEADS = {
    "bert": ClassificationHead(dense="pooler.dense", in_encoder=True, output="classifier"),
    "camembert": _ROBERTA,
    "distilbert": ClassificationHead(dense="pre_classifier", activation="relu", output="classifier"),
    "electra": ClassificationHead(activation="gelu"),
    "mpnet": _ROBERTA,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}


def _labels(file: ConfigFile) -> int:
    """The number of labels.

    Raises:
        ConfigurationError: The file declares two different numbers.
    """
    names, number = file.content.get("id2label"), file.content.get("num_labels")
    if names is not None and not isinstance(names, dict):
        raise ConfigurationError(f"{file.path}: id2label must be an object. Download the file again.")
    if names is not None and number is not None and number != len(names):
        raise ConfigurationError(
            f"{file.path}: num_labels is {number!r}, but id2label has {len(names)} labels. Correct the wrong one."
        )
    if names is not None:
        return len(names)
    return file.positive("num_labels") if number is not None else _DEFAULT_LABELS
