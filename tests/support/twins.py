"""Calls an embedder or a reranker by its sync or by its async method, so that one test proves both."""

import asyncio


class Sync:
    """The sync methods."""

    name = "sync"

    def embed(self, embedder, *args, **options):
        return embedder.embed(*args, **options)

    def embed_query(self, embedder, *args, **options):
        return embedder.embed_query(*args, **options)

    def embed_documents(self, embedder, *args, **options):
        return embedder.embed_documents(*args, **options)

    def embed_stream(self, embedder, *args, **options):
        return list(embedder.embed_stream(*args, **options))

    def rerank(self, reranker, *args, **options):
        return reranker.rerank(*args, **options)

    def score(self, reranker, *args, **options):
        return reranker.score(*args, **options)


class Async:
    """Their async twins."""

    name = "async"

    def embed(self, embedder, *args, **options):
        return asyncio.run(embedder.aembed(*args, **options))

    def embed_query(self, embedder, *args, **options):
        return asyncio.run(embedder.aembed_query(*args, **options))

    def embed_documents(self, embedder, *args, **options):
        return asyncio.run(embedder.aembed_documents(*args, **options))

    def embed_stream(self, embedder, *args, **options):
        async def collect():
            return [item async for item in embedder.aembed_stream(*args, **options)]

        return asyncio.run(collect())

    def rerank(self, reranker, *args, **options):
        return asyncio.run(reranker.arerank(*args, **options))

    def score(self, reranker, *args, **options):
        return asyncio.run(reranker.ascore(*args, **options))


TWINS: list[Sync | Async] = [Sync(), Async()]
