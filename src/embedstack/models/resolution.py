"""Resolves a model's facts: settings, the model's folder, the catalogue; what remains unknown is left to the server."""

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError
from embedstack.models.catalogue import find_model, suggest_model
from embedstack.models.local_files import find_model_folder
from embedstack.models.model_folder import read_model_facts
from embedstack.models.model_info import ModelInfo

if TYPE_CHECKING:
    from embedstack.models.model_info import ModelKind
    from embedstack.settings.settings import Settings

__all__ = ["resolve_model", "warn_of_license"]

_logger = logging.getLogger(__name__)

# Hub ids, Bedrock's ids and names of custom models: no spaces, no control characters.
_MODEL_ID = re.compile(r"[!-~]{1,200}")
_warned: set[str] = set()


def resolve_model(settings: "Settings", *, kind: "ModelKind | None" = "embedding") -> ModelInfo:
    """The facts of a model, each from the first source that has it: settings, the model's folder, the catalogue.

    Unknown facts are None: the length of a vector is learned from the first response, and the server checks the rest.

    Args:
        settings: EMBEDDING_MODEL, and what other settings say of it. For another model, pass
            ``settings.with_model(…)``.
        kind: Expected kind of the model; None for any.

    Raises:
        ConfigurationError: The id is malformed or a misspelling of one in the catalogue, the model is of another kind,
            or it was not trained for EMBEDDING_DIMENSIONS.
    """
    name = settings.embedding_model
    info = _recorded_facts(name, settings)
    if kind not in (None, info.kind):
        raise ConfigurationError(
            f"{name} is {_kind_name(info.kind)}, not {_kind_name(kind)}. Set EMBEDDING_MODEL to an embedding model and "
            "RERANKER_MODEL to a reranker."
        )
    return _configured(info, settings)


def warn_of_license(info: ModelInfo) -> None:
    """Log a warning, once in a process, if the model's license forbids commercial use."""
    if info.non_commercial and info.model_id not in _warned:
        _warned.add(info.model_id)
        _logger.warning(
            "The license of %s (%s) forbids commercial use. Check that your use complies, or choose another model.",
            info.model_id,
            info.license,
        )


def _recorded_facts(model_id: str, settings: "Settings") -> ModelInfo:
    """What the model's folder and the catalogue contain."""
    if not _MODEL_ID.fullmatch(model_id):
        raise ConfigurationError(
            f"Invalid model id {model_id[:200]!r}. Use the Hub's id, such as intfloat/multilingual-e5-small, without "
            "spaces."
        )
    info = find_model(model_id)
    if info is None:
        _reject_misspelling(model_id)
        info = ModelInfo(model_id, normalized=None)
    revision = settings.embedding_model_revision if model_id == settings.embedding_model else None
    folder = find_model_folder(model_id, settings.embedstack_models_dir, revision)
    facts: dict[str, Any] = read_model_facts(folder) if folder else {}
    info = replace(info, **{**facts, "prompts": {**info.prompts, **facts.get("prompts", {})}})
    # The folder may contain a smaller model of the same name, which was not trained for the catalogue's lengths.
    lengths = tuple(length for length in info.matryoshka_dimensions if length < (info.dimensions or 0))
    return replace(info, matryoshka_dimensions=lengths)


def _reject_misspelling(model_id: str) -> None:
    name, _, revision = model_id.partition("@")
    suggested = suggest_model(model_id)
    if revision:
        raise ConfigurationError(
            f"The model id {model_id!r} contains a revision. Set EMBEDDING_MODEL to {suggested or name} and "
            f"EMBEDDING_MODEL_REVISION to {revision}."
        )
    if suggested:
        raise ConfigurationError(f"Unknown model {model_id!r}. Did you mean {suggested}?")


def _configured(info: ModelInfo, settings: "Settings") -> ModelInfo:
    """The facts with those that settings contain."""
    prompts = settings.embedding_prompts
    info = replace(
        info,
        revision=settings.embedding_model_revision,
        max_tokens=settings.embedding_max_tokens or info.max_tokens,
        prompts={**info.prompts, **prompts},
    )
    dimensions = settings.embedding_dimensions
    if dimensions is None:
        return info
    # Without a known length, the setting is what responses are checked against: vectors are not shortened to it, which
    # the model may not have been trained for.
    return info.shortened(dimensions) if info.dimensions else replace(info, dimensions=dimensions)


def _kind_name(kind: "ModelKind") -> str:
    return "a reranker" if kind == "reranker" else "an embedding model"
