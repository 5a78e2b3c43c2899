"""A tensor as a weights file stores it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["StoredTensor"]


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor whose numbers may be in a memory-mapped file.

    Attributes:
        kind: Type of its numbers, by safetensors' name.
        raw: The numbers. bfloat16, for which numpy has no type, is stored as uint16 bits.
    """

    #: The supported types and the corresponding numpy types.
    numpy_types: ClassVar[dict[str, np.dtype[Any]]] = {
        "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"),
        "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I8": np.dtype("i1"),
    }  # fmt: skip

    kind: str
    raw: "NDArray[Any]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return self.raw.shape

    def float32(self) -> "NDArray[np.float32]":
        """The numbers as contiguous float32, without a copy if they are stored as such."""
        if self.kind == "BF16":
            # bfloat16 is the upper half of a float32.
            return (self.raw.astype(np.uint32, order="C") << 16).view(np.float32)
        return np.asarray(self.raw, np.float32, order="C")

    def rounded(self, number: float) -> float:
        """A number in the precision of the tensor's numbers, rounded to the nearest."""
        if self.kind == "BF16":
            bits = int(np.float32(number).view(np.uint32))
            even = (bits >> 16) & 1
            return float(np.uint32((bits + 0x7FFF + even) & 0xFFFF0000).view(np.float32))
        return float(self.raw.dtype.type(number))
