"""A model's tensors by name, from safetensors or torch files, whole or sharded."""

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
# Types of tensors that are no weights. Weights of 8 bits are used as they are, without a scale.
_INTEGERS = ("I64", "I32")
# TensorFlow's names for a layer norm's scale and shift, which converted weights may still have.
_TENSORFLOW_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


def weights_file(folder: Path, *stems: str) -> Path | None:
    """Find a folder's weights file; safetensors is preferred to torch, and whole to sharded.

    Args:
        folder: Folder to search.
        stems: File names without suffix; transformers writes ``model`` and ``pytorch_model``.
    """
    for suffix in (_SAFETENSORS, ".safetensors.index.json", ".bin", ".pt", ".bin.index.json"):
        for stem in stems:
            path = folder / f"{stem}{suffix}"
            if path.is_file():
                return path
    return None


class Weights:
    """Memory-mapped tensors by name: opening the file takes no memory, reading a tensor does.

    Attributes:
        path: The file, or the index of sharded files.
    """

    def __init__(self, path: Path, tensors: dict[str, StoredTensor], anchor: str = "") -> None:
        self.path = path
        self._tensors = tensors
        owners = [name.removesuffix(anchor) for name in tensors if anchor and name.endswith(anchor)]
        self._prefix = min(owners, key=len, default="")

    @classmethod
    def open(cls, path: Path, anchor: str = "") -> "Weights":
        """Open a ``.safetensors``, ``.bin`` or ``.pt`` file, or the ``.index.json`` of sharded files.

        Args:
            path: The file.
            anchor: Name of a tensor that the model has. Its prefix in the file is the prefix of all names.

        Raises:
            ConfigurationError: The file is unreadable, damaged or unsafe.
        """
        if path.suffix != ".json":
            return cls(path, _read(path), anchor)
        tensors: dict[str, StoredTensor] = {}
        for shard in _shards(path):
            tensors |= _read(shard)
        return cls(path, tensors, anchor)

    def has(self, name: str) -> bool:
        """Whether a tensor of this name exists."""
        return self._prefix + name in self._tensors

    def get(self, name: str, *shape: int) -> "NDArray[np.float32]":
        """A tensor as float32, without a copy if the file stores float32.

        Args:
            name: Name of the tensor, without the file's prefix of all names (``bert.``).
            shape: Expected shape; 0 matches any size.

        Raises:
            ConfigurationError: The tensor does not exist, has another shape or type, or contains NaN or infinity.
        """
        tensor = self._of_shape(name, shape)
        if tensor.kind in _INTEGERS:
            raise ConfigurationError(
                f"{self.path}: {name} contains integers instead of weights. Download the file again."
            )
        numbers = tensor.float32()
        # A sum is finite only if every number is.
        if not math.isfinite(numbers.sum()):
            raise ConfigurationError(
                f"{self.path}: {name} contains NaN or infinity. The file is damaged. Download it again."
            )
        return numbers

    def integers(self, name: str, *shape: int) -> "NDArray[np.int64]":
        """A tensor of integers; the arguments are those of :meth:`get`.

        Raises:
            ConfigurationError: The tensor does not exist, or has another shape or type.
        """
        tensor = self._of_shape(name, shape)
        if tensor.kind not in _INTEGERS:
            raise ConfigurationError(f"{self.path}: {name} does not contain integers. Download the file again.")
        return tensor.raw.astype(np.int64)

    def _of_shape(self, name: str, shape: tuple[int, ...]) -> StoredTensor:
        tensor = self._find(name)
        if len(tensor.shape) != len(shape) or any(
            expected not in (0, actual) for expected, actual in zip(shape, tensor.shape, strict=True)
        ):
            expected_shape = " x ".join(str(size or "any") for size in shape)
            actual_shape = " x ".join(map(str, tensor.shape))
            raise ConfigurationError(
                f"{self.path}: {name} has shape {actual_shape}, but the model's configuration requires "
                f"{expected_shape}. Weights and configuration belong to different models. Download both again."
            )
        return tensor

    def rounded(self, name: str, number: float) -> float:
        """A number rounded to the precision in which a tensor is stored.

        Raises:
            ConfigurationError: The tensor does not exist.
        """
        return self._find(name).rounded(number)

    def _find(self, name: str) -> StoredTensor:
        for new, former in _TENSORFLOW_NAMES.items():
            if name.endswith(new) and not self.has(name):
                former_name = name.removesuffix(new) + former
                if self.has(former_name):
                    name = former_name
        try:
            return self._tensors[self._prefix + name]
        except KeyError:
            raise ConfigurationError(
                f"{self.path} has no tensor {name}. The file is incomplete, or belongs to another architecture than "
                "config.json. Download both again."
            ) from None


def _read(path: Path) -> dict[str, StoredTensor]:
    return _read_safetensors(path) if path.suffix == _SAFETENSORS else read_torch_file(path)


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Read tensors as views of the mapped file.

    The library only checks the file: it would copy every tensor, and does not support bfloat16 for numpy. The mapping
    is private and writable because OpenVINO requires this of shared memory; nothing writes to it.
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
            f"{path} is not a readable safetensors file: {error}. It is damaged or incomplete. Download it again."
        ) from error
    tensors = {}
    for name, entry in header.items():
        # Tensors of other types, such as counters, are not an encoder's weights.
        if name == "__metadata__" or entry["dtype"] not in StoredTensor.numpy_types:
            continue
        start, end = entry["data_offsets"]
        numbers = np.frombuffer(data[start:end], StoredTensor.numpy_types[entry["dtype"]])
        tensors[name] = StoredTensor(entry["dtype"], numbers.reshape(entry["shape"]))
    return tensors


def _shards(index: Path) -> list[Path]:
    """The files that a sharded model's index names, in the index's folder."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{index} is not a readable index of weights: {error!r}. Download it again."
        ) from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (index.parent / name).is_file():
            raise ConfigurationError(f"{index} names the file {name!r}, which is not in the same folder. Download it.")
    return [index.parent / name for name in names]
