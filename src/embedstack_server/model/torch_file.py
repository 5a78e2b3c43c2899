"""Reading torch's ``.bin`` and ``.pt`` files without torch and without executing their pickle's callables.

``torch.save`` writes a zip archive: ``data.pkl`` describes the tensors, and one uncompressed member per storage
contains their bytes (https://docs.pytorch.org/docs/stable/notes/serialization.html). The description is a pickle, which
may call any function. This reader allows only the functions that rebuild tensors, and replaces them with its own.
"""

import io
import math
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.errors import ConfigurationError
from embedstack_server.model.stored_tensor import StoredTensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_torch_file"]

# The tensor types of StoredTensor by torch's storage classes.
_STORAGES = {"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "LongStorage": "I64"}
# A description takes about 130 bytes per tensor; a much larger one does not describe weights.
_LARGEST_DESCRIPTION_BYTES = 64 * 2**20
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_HEADER_MAGIC = b"PK\x03\x04"
_REMEDY = "Convert the weights to safetensors with a trusted program, or use the model's safetensors file."


def read_torch_file(path: "Path") -> dict[str, StoredTensor]:
    """Read the tensors of a saved state dictionary, by name.

    The file is memory-mapped, so a tensor takes memory only when it is read.

    Raises:
        ConfigurationError: The file is not such an archive, is damaged, contains other objects than tensors, or its
            pickle calls a function that is not allowed, which is not executed.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
            members = _members(path, archive)
            _check_byte_order(path, archive, members)
            document = _Unpickler(path, data, members, _description(path, archive, members)).load()
    except ConfigurationError:
        raise
    except Exception as error:  # a damaged archive or pickle may raise nearly any exception
        raise ConfigurationError(
            f"{path} is not a readable torch file: {error!r}. It is damaged, or older than torch 1.6. Download it "
            f"again. {_REMEDY}"
        ) from error
    if not isinstance(document, dict) or not all(
        isinstance(name, str) and isinstance(tensor, StoredTensor) for name, tensor in document.items()
    ):
        raise ConfigurationError(f"{path} is not a state dictionary of tensors. {_REMEDY}")
    return dict(document)


def _members(path: "Path", archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise ConfigurationError(f"{path} has duplicate members, which torch never writes. {_REMEDY}")
    return members


def _check_byte_order(path: "Path", archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
    order = members.get("byteorder")
    if order is not None and (order.file_size != len(b"little") or archive.read(order) != b"little"):
        raise ConfigurationError(f"{path} was not written on a little-endian machine. {_REMEDY}")


def _description(path: "Path", archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> bytes:
    if "data.pkl" not in members:
        raise ConfigurationError(f"{path} is a zip archive that torch did not save: it has no data.pkl. {_REMEDY}")
    if members["data.pkl"].file_size > _LARGEST_DESCRIPTION_BYTES:
        raise ConfigurationError(f"{path}: data.pkl is too large to describe a model's tensors. {_REMEDY}")
    return archive.read(members["data.pkl"])


class _Unpickler(pickle.Unpickler):
    """Rebuilds tensors as views of the mapped file; rejects every other callable before it is imported."""

    def __init__(self, path: "Path", data: memoryview, members: dict[str, zipfile.ZipInfo], description: bytes) -> None:
        super().__init__(io.BytesIO(description))
        self._path = path
        self._data = data
        self._members = members

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild_tensor,
        }
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        try:
            return allowed[module, name]
        except KeyError:
            raise ConfigurationError(
                f"{self._path} would run {module}.{name} when it is loaded, which weights do not need. Nothing was "
                f"run. {_REMEDY}"
            ) from None

    def persistent_load(self, pid: Any) -> tuple[str, "NDArray[np.uint8]"]:
        """Resolve ``("storage", type, member, device, elements)`` to the tensor type and the bytes of a storage."""
        _, kind, key, _, _ = pid
        info = self._members[f"data/{key}"]
        if info.compress_type != zipfile.ZIP_STORED:
            raise ConfigurationError(f"{self._path}: {info.filename} is compressed, which torch never does. {_REMEDY}")
        magic, name_length, extra_length = _LOCAL_HEADER.unpack_from(self._data, info.header_offset)
        start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
        if magic != _LOCAL_HEADER_MAGIC or start + info.file_size > len(self._data):
            raise ConfigurationError(f"{self._path}: {info.filename} lies outside the file. Download it again.")
        return kind, np.frombuffer(self._data, np.uint8, info.file_size, start)

    def _rebuild_tensor(
        self,
        storage: tuple[str, "NDArray[np.uint8]"],
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: object,
    ) -> StoredTensor:
        kind, content = storage
        elements = content.view(StoredTensor.numpy_types[kind])
        if len(shape) != len(strides) or min(offset, *shape, *strides, 0) < 0:
            raise ConfigurationError(
                f"{self._path}: a tensor of shape {shape} has invalid strides {strides}. Download it again."
            )
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and last >= len(elements):
            raise ConfigurationError(
                f"{self._path}: a tensor of shape {shape} needs {last + 1} numbers, its storage has {len(elements)}. "
                "The file is incomplete or damaged. Download it again."
            )
        steps = [stride * elements.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(elements[offset:], shape, steps)
        return StoredTensor(kind, view)
