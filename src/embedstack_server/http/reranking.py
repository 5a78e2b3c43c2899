"""Rerank responses: scores of a cross-encoder, or late interaction with a model that has a ColBERT output."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedstack.errors import InputError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.requests import RequestError
from embedstack_server.model.token_heads import colbert_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack_server.compute.cross_encoder import CrossEncoder
    from embedstack_server.compute.encoder import Vectors
    from embedstack_server.http.requests import RerankRequest
    from embedstack_server.model.token_heads import TokenHeads

__all__ = ["rerank"]


class _Scored(NamedTuple):
    """Scores of all texts.

    Attributes:
        keys: Numbers to sort by, descending. Scores can saturate to equal numbers where these still differ.
        scores: The scores.
        tokens: Tokens that the model read.
    """

    keys: "NDArray[np.float32]"
    scores: "NDArray[np.float32]"
    tokens: int


async def rerank(model: "Encoder | CrossEncoder", request: "RerankRequest", most_tokens: int) -> Any:
    """The response's document, in the request's form.

    Args:
        model: The model.
        request: The request.
        most_tokens: Maximum total number of tokens of the texts.

    Raises:
        RequestError: The model cannot rerank, or the query is rejected.
        EmbedStackError: A text is rejected, or the model failed.
    """
    if request.max_tokens_per_doc is not None and request.max_tokens_per_doc < model.model.max_tokens:
        raise RequestError(
            422,
            "unsupported_option",
            f"`max_tokens_per_doc` is {request.max_tokens_per_doc}, but the model reads {model.model.max_tokens} "
            "tokens. Remove it, or shorten the documents.",
        )
    if isinstance(model, Encoder):
        scored = await _late_interaction(model, request, most_tokens)
    else:
        scored = await _cross_encode(model, request, most_tokens)
    # A stable sort keeps the order of texts with equal scores.
    order = np.argsort(-scored.keys, kind="stable")[: request.top_n].tolist()
    if request.form == "tei":
        return _results(scored, order, "score", "text", request.documents)
    return {
        "model": model.model.model_id,
        "results": _results(scored, order, "relevance_score", "document", request.documents),
        "usage": {"total_tokens": scored.tokens},
    }


def _results(
    scored: _Scored, order: list[int], score: str, document: str, documents: tuple[Any, ...] | None
) -> list[dict[str, Any]]:
    """The results; ``score`` and ``document`` are the names of their members."""
    results: list[dict[str, Any]] = [{"index": index, score: scored.scores[index]} for index in order]
    if documents is not None:
        for result in results:
            result[document] = documents[result["index"]]
    return results


async def _cross_encode(model: "CrossEncoder", request: "RerankRequest", most_tokens: int) -> _Scored:
    scores = await model.ascore(
        request.query,
        request.texts,
        truncate=request.truncate,
        direction=request.direction,
        most_tokens=most_tokens,
    )
    return _Scored(scores.logits[:, 0], scores.values(raw=request.raw_scores), scores.tokens)


async def _late_interaction(encoder: Encoder, request: "RerankRequest", most_tokens: int) -> _Scored:
    """Scores by ColBERT's MaxSim, which has no activation function."""
    heads = encoder.model.heads
    if heads is None:
        raise RequestError(
            422,
            "unsupported_kind",
            f"{encoder.model.model_id} is an embedding model without a ColBERT output, and cannot rerank. Compare its "
            "vectors instead, or deploy a reranker.",
        )
    query, query_tokens = await _colbert_query(encoder, request, heads)
    tokenized = await encoder.atokenize(
        request.texts, truncate=request.truncate, direction=request.direction, prompt="", most_tokens=most_tokens
    )
    encoded = await encoder.acompute(
        [text.ids for text in tokenized], lambda _, hidden: colbert_score(query, heads.colbert(hidden))
    )
    scores = np.array(encoded.derived, np.float32)
    return _Scored(scores, scores, query_tokens + encoded.tokens)


async def _colbert_query(encoder: Encoder, request: "RerankRequest", heads: "TokenHeads") -> "tuple[Vectors, int]":
    """The vectors of the query's tokens, and their number."""
    try:
        encoded = await encoder.aencode(
            [request.query],
            truncate=request.truncate,
            direction=request.direction,
            prompt="",
            hidden_hook=lambda _, hidden: heads.colbert(hidden),
        )
    except InputError as error:
        rejected = RequestError.from_error(error)
        raise RequestError(rejected.status, rejected.error_type, f"`query`: {rejected.message}") from error
    return encoded.derived[0], encoded.tokens
