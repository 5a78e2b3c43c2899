"""Golden vectors that a test needs to exist."""

from typing import TYPE_CHECKING

from embedstack.models.golden import Golden

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def stored_golden(model_id: str, models_dir: "Path | None" = None) -> Golden:
    golden = Golden.find(model_id, models_dir)
    assert golden
    return golden


def minilm_golden() -> "NDArray[np.float32]":
    return stored_golden("sentence-transformers/all-MiniLM-L6-v2").vectors
