"""Golden vectors: the reference implementation's vectors for a fixed set of varied texts.

``embedstack golden`` computes those of a model, which ``embedstack validate`` compares with an endpoint's.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from numpy.typing import NDArray

__all__ = ["Golden", "golden_file", "golden_texts"]

_BUILT_IN = files(__name__)


def golden_texts() -> list[str]:
    """The texts: many languages, scripts, code, single characters, and some longer than small models read."""
    texts: list[str] = json.loads((_BUILT_IN / "texts.json").read_text(encoding="utf-8"))
    return texts


def golden_file(model_id: str, models_dir: Path) -> Path:
    """The file that ``embedstack golden`` writes for a model, in the folder with models."""
    return models_dir / "golden" / _file_name(model_id)


@dataclass(frozen=True)
class Golden:
    """A model's vectors of :func:`golden_texts`.

    Attributes:
        vectors: Float32 (texts, dimensions), of unit length.
        prompt: Text that was put before each text.
        reference: The implementation that computed them.
    """

    vectors: "NDArray[np.float32]"
    prompt: str
    reference: str

    @classmethod
    def find(cls, model_id: str, models_dir: Path | None = None) -> "Golden | None":
        """A model's golden vectors; None if there are none.

        Args:
            model_id: Hugging Face Hub id.
            models_dir: Folder with models, for vectors that ``embedstack golden`` wrote. They take precedence over the
                built-in ones.

        Raises:
            ConfigurationError: The file is damaged, or is for other texts.
        """
        own = golden_file(model_id, models_dir) if models_dir else None
        file = own if own and own.is_file() else _BUILT_IN / _file_name(model_id)
        return cls._read(file) if file.is_file() else None

    @classmethod
    def _read(cls, file: "Path | Traversable") -> "Golden":
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
                golden = cls(content["vectors"], str(content["prompt"]), str(content["reference"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ConfigurationError(
                f"{file} is not a file of golden vectors: {error}. Create it with `embedstack golden`."
            ) from error
        if golden.vectors.shape[0] != len(golden_texts()):
            raise ConfigurationError(
                f"{file} has {golden.vectors.shape[0]} vectors for {len(golden_texts())} texts: it was created by "
                "another version. Create it again with `embedstack golden`."
            )
        return golden

    def write(self, file: Path) -> None:
        """Write a file that :meth:`find` reads."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            np.savez(stream, vectors=self.vectors, prompt=self.prompt, reference=self.reference)


def _file_name(model_id: str) -> str:
    return model_id.replace("/", "--") + ".npz"
