"""What a type checker says of the public API; mypy reads this file with the rest of the tests."""

import asyncio
from typing import TYPE_CHECKING, Any, assert_type

from embedstack import Reranker, load_embedder, load_reranker
from embedstack.cache.kms import KmsKey
from embedstack.embedders import Embedder, EmbedResult, FakeEmbedder, Stats
from embedstack.generation import Generator, Reply
from embedstack.rerankers import Ranking
from embedstack.settings.settings import Settings, change_settings, load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator as Generating

    import numpy as np
    from numpy.typing import NDArray

    from embedstack.cache.encryption_keys import CacheKey
    from embedstack.errors import EmbedStackError

    Vectors = NDArray[np.float32]


def test_sync_calls() -> None:
    embedder = assert_type(load_embedder(embedding_backend="fake"), Embedder)
    vectors: Vectors = embedder.embed(["x"])
    assert_type(embedder.embed(["x"], on_error="collect"), EmbedResult)
    assert_type(embedder.stats(), Stats)
    raising: Generating[Vectors, Any, Any] = embedder.embed_stream(["x"])
    collecting: Generating[Vectors | EmbedStackError, Any, Any] = embedder.embed_stream(["x"], on_error="collect")
    assert vectors.shape == (1, 8)
    assert len([*raising, *collecting]) == 2
    embedder.close()


def test_reranker_calls() -> None:
    with assert_type(load_reranker(reranker_backend="fake"), Reranker) as reranker:
        [ranking] = assert_type(reranker.rerank("x", ["x"], top_n=1), list[Ranking])
        scores: NDArray[np.float32] = reranker.score("x", ["x"])
        assert_type(reranker.stats(), Stats)
    assert (assert_type(ranking.index, int), assert_type(ranking.score, float)) == (0, 1.0)
    assert scores.shape == (1,)


def test_async_calls() -> None:
    async def calls(embedder: Embedder) -> None:
        vector: Vectors = await embedder.aembed_query("x")
        assert_type(await embedder.aembed(["x"], on_error="collect"), EmbedResult)
        stream: AsyncGenerator[Vectors, Any] = embedder.aembed_stream(["x"])
        assert vector.shape == (8,)
        assert len([item async for item in stream]) == 1

    with FakeEmbedder() as embedder:
        asyncio.run(calls(embedder))


def test_settings_and_generation() -> None:
    settings = assert_type(load_settings(embedding_backend="fake", aws_region="us-east-1"), Settings)
    changed = assert_type(change_settings(settings, bedrock_model_id="m"), Settings)
    generator = Generator(settings=changed, api_format="claude")
    replying: Callable[[str], Reply] = generator.generate
    streaming: Callable[[str], Generating[str, Any, Any]] = generator.stream
    astreaming: Callable[[str], AsyncGenerator[str, Any]] = generator.astream
    key: CacheKey = KmsKey("alias/k", settings)
    assert all(map(callable, (replying, streaming, astreaming, key.unlock)))
