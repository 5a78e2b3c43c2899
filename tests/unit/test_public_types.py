"""What a type checker says of the public API; mypy reads this file with the rest of the tests."""

import asyncio
from typing import TYPE_CHECKING, Any, assert_type

from embedstack import load_embedder
from embedstack.embedders import Collected, Embedder, FakeEmbedder, Stats

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    import numpy as np
    from numpy.typing import NDArray

    from embedstack.errors import EmbedStackError

    Vectors = NDArray[np.float32]


def test_sync_calls() -> None:
    embedder = assert_type(load_embedder(embedding_backend="fake"), Embedder)
    vectors: Vectors = embedder.embed(["x"])
    assert_type(embedder.embed(["x"], on_error="collect"), Collected)
    assert_type(embedder.stats(), Stats)
    raising: Generator[Vectors, Any, Any] = embedder.embed_stream(["x"])
    collecting: Generator[Vectors | EmbedStackError, Any, Any] = embedder.embed_stream(["x"], on_error="collect")
    assert vectors.shape == (1, 8)
    assert len([*raising, *collecting]) == 2
    embedder.close()


def test_async_calls() -> None:
    async def calls(embedder: Embedder) -> None:
        vector: Vectors = await embedder.aembed_query("x")
        assert_type(await embedder.aembed(["x"], on_error="collect"), Collected)
        stream: AsyncGenerator[Vectors, Any] = embedder.aembed_stream(["x"])
        assert vector.shape == (8,)
        assert len([item async for item in stream]) == 1

    with FakeEmbedder() as embedder:
        asyncio.run(calls(embedder))
