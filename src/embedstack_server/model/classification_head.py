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
    """A dense layer with an activation and sometimes a layer norm, and a linear layer with one output per label.

    Attributes:
        pooling: How token vectors are combined before the dense layer.
        dense: Name of the dense layer's tensors.
        dense_bias: Whether the dense layer has a bias.
        in_encoder: Whether the dense layer is a part of the encoder, whose tensors may have a prefix in the file.
        activation: Activation after the dense layer.
        norm: Name of the layer norm's tensors; None without one.
        norm_eps: Added to the layer norm's variance.
        norm_bias: Whether the layer norm has a bias.
        output: Name of the last layer's tensors.
    """

    pooling: Literal["cls", "mean"] = "cls"
    dense: str = "classifier.dense"
    dense_bias: bool = True
    in_encoder: bool = False
    activation: str = "tanh"
    norm: str | None = None
    norm_eps: float = 1e-5
    norm_bias: bool = True
    output: str = "classifier.out_proj"

    @classmethod
    def read(cls, file: ConfigFile) -> "ClassificationHead":
        """The head of the architecture in ``config.json``.

        Raises:
            UnsupportedArchitecture: The architecture's head is not supported.
            ConfigurationError: The model has not exactly one label.
        """
        name = str(file.content["model_type"])
        head = _modernbert(file) if name == "modernbert" else _HEADS.get(name)
        if head is None:
            raise UnsupportedArchitecture(
                f"{file.path}: the classification head of the architecture {name!r} is not supported. Supported are "
                f"those of {', '.join(sorted([*_HEADS, 'modernbert']))}. Deploy the model with Text "
                "Embeddings Inference."
            )
        if (labels := _labels(file)) != 1:
            raise ConfigurationError(
                f"{file.path}: the model is a classifier with {labels} labels. A reranker has one label, whose score "
                "is the relevance. Choose a model with one label."
            )
        return head


_BERT = ClassificationHead(dense="pooler.dense", in_encoder=True, output="classifier")
_ROBERTA = ClassificationHead()
_HEADS = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": ClassificationHead(dense="pre_classifier", activation="relu", output="classifier"),
    "electra": ClassificationHead(activation="gelu"),
    "gte": _BERT,
    "mpnet": _ROBERTA,
    "new": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}


def _modernbert(file: ConfigFile) -> ClassificationHead:
    pooling = file.get("classifier_pooling", "cls")
    if pooling not in ("cls", "mean"):
        raise ConfigurationError(f"{file.path}: classifier_pooling is {pooling!r}; it must be cls or mean.")
    return ClassificationHead(
        pooling=pooling,
        dense="head.dense",
        dense_bias=file.flag("classifier_bias", default=False),
        activation=file.activation("classifier_activation"),
        norm="head.norm",
        norm_eps=file.epsilon("norm_eps"),
        norm_bias=file.flag("norm_bias", default=False),
        output="classifier",
    )


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
