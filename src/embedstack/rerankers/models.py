"""Facts of reranking models."""

from embedstack.models.model_info import ModelInfo

__all__ = ["reranker_info"]


def reranker_info(model_id: str, revision: str | None = None) -> ModelInfo:
    """The facts of a reranker that a request depends on; its token limit is left to the server.

    Args:
        model_id: Hugging Face Hub id, or Bedrock's id.
        revision: The Hub's commit, if it is pinned.
    """
    return ModelInfo(model_id, dimensions=1, max_tokens=1 << 20, pooling=None, normalized=False, revision=revision)
