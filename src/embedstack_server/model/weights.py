"""A model's tensors by name, whatever file they lie in."""

import json
import math
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from embedstack.errors import ConfigurationError
from embedstack_server.model.stored_tensor import StoredTensor
from embedstack_server.model.torch_file import read_torch_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Weights", "weights_file"]

_SAFETENSORS = ".safetensors"
# Every encoder has it, and whatever stands before it in a file stands before all of the encoder's tensors.
_WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
# TensorFlow's names for a layer norm's scale and shift, which weights that came from there still have.
_FORMER_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


def weights_file(folder: Path, *stems: str) -> Path | None:
    """The folder's weights file by one of these names, safetensors before torch and whole before sharded.

    Args:
        folder: Where to look.
        stems: File names without their ending; ``model`` and ``pytorch_model`` are what transformers writes.
    """
    for suffix in (_SAFETENSORS, ".safetensors.index.json", ".bin", ".pt", ".bin.index.json"):
        for stem in stems:
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                return path
    return None


class Weights:
    """Tensors by name, memory-mapped: reading one costs memory, opening the file does not.

    Attributes:
        path: The file, or the index of a sharded one.
    """

    def __init__(self, path: Path, tensors: dict[str, StoredTensor]) -> None:
        self.path = path
        self._tensors = tensors
        owners = [name.removesuffix(_WORD_EMBEDDINGS) for name in tensors if name.endswith(_WORD_EMBEDDINGS)]
        self._prefix = min(owners, key=len, default="")

    @classmethod
    def open(cls, path: Path) -> "Weights":
        """Open a ``.safetensors``, ``.bin`` or ``.pt`` file, or the ``.index.json`` of a sharded one.

        Raises:
            ConfigurationError: The file is unreadable, damaged or dangerous.
        """
        if path.suffix != ".json":
            return cls(path, _read(path))
        tensors: dict[str, StoredTensor] = {}
        for shard in _shards(path):
            tensors |= _read(shard)
        return cls(path, tensors)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return self._prefix + name in self._tensors

    def get(self, name: str, *shape: int) -> "NDArray[np.float32]":
        """A tensor as float32; read-only and without a copy where the file stores float32.

        Args:
            name: The tensor's name, without what the file may put before all names (``bert.``).
            shape: What its shape must be; 0 stands for any size.

        Raises:
            ConfigurationError: There is no such tensor, its shape or type is another, or a number in it is not finite.
        """
        tensor = self._find(name)
        if len(tensor.shape) != len(shape) or any(
            want not in (0, have) for want, have in zip(shape, tensor.shape, strict=True)
        ):
            wanted = " x ".join(str(size or "any") for size in shape)
            found = " x ".join(map(str, tensor.shape))
            raise ConfigurationError(
                f"{self.path}: {name} has shape {found}, the model's configuration wants {wanted}. "
                "Weights and configuration are of different models; fetch both again."
            )
        if tensor.kind == "I64":
            raise ConfigurationError(f"{self.path}: {name} holds integers where weights are wanted.")
        numbers = tensor.float32()
        # A sum is finite only if every number is.
        if not math.isfinite(numbers.sum()):
            raise ConfigurationError(f"{self.path}: {name} holds NaN or infinity. The file is damaged; fetch it again.")
        return numbers

    def _find(self, name: str) -> StoredTensor:
        for new, former in _FORMER_NAMES.items():
            if name.endswith(new) and not self.has(name):
                former_name = name.removesuffix(new) + former
                if self.has(former_name):
                    name = former_name
        try:
            return self._tensors[self._prefix + name]
        except KeyError:
            raise ConfigurationError(
                f"{self.path} has no tensor {name}. The file is not complete, or of another architecture than "
                "config.json says; fetch both again."
            ) from None


def _read(path: Path) -> dict[str, StoredTensor]:
    return _read_safetensors(path) if path.suffix == _SAFETENSORS else read_torch_file(path)


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Views of the mapped file.

    The library checks the file, but would copy every tensor, and gives numpy no bfloat16. The mapping is private and so
    may be written, which OpenVINO asks of memory that it shares; nothing writes it.
    """
    try:
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            header_length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(header_length))
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[8 + header_length :]
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is not a readable safetensors file: {error}. It is damaged or cut short; fetch it again."
        ) from error
    tensors = {}
    for name, entry in header.items():
        # Tensors of other types are no weights of an encoder: quantised ones, counters.
        if name == "__metadata__" or entry["dtype"] not in StoredTensor.numpy_types:
            continue
        start, end = entry["data_offsets"]
        numbers = np.frombuffer(data[start:end], StoredTensor.numpy_types[entry["dtype"]])
        tensors[name] = StoredTensor(entry["dtype"], numbers.reshape(entry["shape"]))
    return tensors


def _shards(index: Path) -> list[Path]:
    """The files that a sharded model's index names; they lie beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"{index} is not a readable index of weights: {error!r}. Fetch it again.") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (index.parent / name).is_file():
            raise ConfigurationError(f"{index} names the file {name!r}, which is not beside it. Fetch it.")
    return [index.parent / name for name in names]
