"""Folders of models with sharp attention, and changes to them that their references must reject."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import Array, compute
from tests.support.reference_models import SHARP_TEXTS, ReferenceModel


def write_family(path: Path, name: str) -> ModelFolder:
    """Write a reference model's folder."""
    return ModelFolder.read(ReferenceModel.load(name).write(path))


def change_config(path: Path, **changes: object) -> ModelFolder:
    """Change settings in config.json."""
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    return ModelFolder.read(path)


def change_weights(model: ModelFolder, change: Callable[[dict[str, Array]], dict[str, Array]]) -> None:
    """Replace the tensors."""
    save_file(change(load_file(model.weights)), model.weights)


def largest_error(model: ModelFolder, name: str) -> float:
    """The largest difference to a reference's hidden state of the longest text."""
    _, hidden = compute(model, SHARP_TEXTS[:1])
    return float(np.abs(hidden[0] - ReferenceModel.load(name).outputs["hidden"]).max())
