"""A tensor as a weights file stores it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["StoredTensor"]


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor whose numbers may still lie in a memory-mapped file.

    Attributes:
        kind: The type of its numbers, by safetensors' name for it.
        raw: The numbers; bfloat16, which numpy has no type for, as its bits in uint16.
    """

    #: The types that are read, and what numpy calls them.
    numpy_types: ClassVar[dict[str, np.dtype[Any]]] = {
        "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"), "I64": np.dtype("<i8"),
    }  # fmt: skip

    kind: str
    raw: "NDArray[Any]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return self.raw.shape

    def float32(self) -> "NDArray[np.float32]":
        """The numbers as contiguous float32; without a copy where they are stored so."""
        if self.kind == "BF16":
            # bfloat16 is float32 without its lower 16 bits.
            return (self.raw.astype(np.uint32, order="C") << 16).view(np.float32)
        return np.asarray(self.raw, np.float32, order="C")
