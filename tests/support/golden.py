"""The golden vectors of all-MiniLM-L6-v2."""

from typing import TYPE_CHECKING

from embedstack.models.golden import Golden

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def minilm_golden() -> "NDArray[np.float32]":
    golden = Golden.find("sentence-transformers/all-MiniLM-L6-v2")
    assert golden
    return golden.vectors
