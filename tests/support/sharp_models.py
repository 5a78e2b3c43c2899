"""Models with sharp weights in their folders, and their distance from the reference implementation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import Array, compute, run
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel

__all__ = ["change_config", "change_weights", "exchange_tensors", "largest_error", "rows_alone_error", "write_model"]


def write_model(path: Path, name: str, **changes: object) -> ModelFolder:
    """Write a reference model's folder, with changes of its ``config.json``."""
    return change_config(ReferenceModel.load(name).write(path), **changes)


def change_config(path: Path, **changes: object) -> ModelFolder:
    """Change members of ``config.json``; the value ... removes one."""
    config = {**json.loads((path / "config.json").read_text()), **changes}
    kept = {name: value for name, value in config.items() if value is not ...}
    (path / "config.json").write_text(json.dumps(kept))
    return ModelFolder.read(path)


def change_weights(model: ModelFolder, change: Callable[[dict[str, Array]], dict[str, Array]]) -> None:
    """Replace the tensors."""
    save_file(change(load_file(model.weights)), model.weights)


def exchange_tensors(model: ModelFolder, first: str, second: str) -> None:
    """Exchange each tensor whose name contains ``first`` with the one that has ``second`` instead."""
    weights = load_file(model.weights)
    for name in [name for name in weights if first in name]:
        other = name.replace(first, second)
        weights[name], weights[other] = weights[other], weights[name]
    save_file(weights, model.weights)


def largest_error(model: ModelFolder, name: str) -> float:
    """Largest error of any token's hidden state of the longest text."""
    _, hidden = compute(model, SHARP_TEXTS[:1])
    return float(np.abs(hidden[0] - ReferenceModel.load(name).outputs["hidden"]).max())


def rows_alone_error(model: ModelFolder, ids: list[list[int]]) -> float:
    """Largest difference of a text's hidden states or vector between a batch of all texts and the text alone."""
    pooled, hidden = run(model, ids)
    errors: list[Any] = []
    for row, text in enumerate(ids):
        alone, states = run(model, [text])
        errors += [np.abs(hidden[row] - states[0]).max(), np.abs(pooled[row] - alone[0]).max()]
    return float(np.max(errors))
