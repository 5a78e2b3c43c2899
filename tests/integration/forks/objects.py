"""Every public object, how to build it, and how to use it: what the same call gives in every process."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from https_endpoint import DIMENSIONS

from embedstack import load_embedder
from embedstack.cache.cached_embedder import CachedEmbedder, MemoryCache, SqliteCache
from embedstack.cache.kms import KmsKey
from embedstack.documents.load import load_ingestion
from embedstack.embedders import (
    BedrockEmbedder,
    FakeEmbedder,
    Limits,
    LocalEmbedder,
    OllamaEmbedder,
    SageMakerEmbedder,
)
from embedstack.embedders.sagemaker.async_embedder import AsyncEmbedder, AsyncEndpoint
from embedstack.generation import Generator
from embedstack.integrations.langchain import EmbedStackEmbeddings
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import BedrockReranker, FakeReranker, load_reranker
from embedstack.resilience import (
    CircuitBreakerEmbedder,
    DeadlineEmbedder,
    FallbackEmbedder,
    RateLimit,
    RateLimitedEmbedder,
    RetryingEmbedder,
)
from embedstack.settings.settings import load_settings
from embedstack.stores import CollectionInfo, Record
from embedstack.stores.pgvector import PgVectorStore
from embedstack.stores.s3vectors import S3VectorsStore
from tests.support.tiny_bert import HIDDEN, POSITIONS

MODEL = ModelInfo("stand-in", DIMENSIONS, 512, "mean")
TINY = ModelInfo("tiny", HIDDEN, POSITIONS, "mean")
ONE_TEXT = Limits(max_items=1, concurrency=4)
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
WORDS = ("the", "cat", "sat", "on", "mat", "dog", "ran", "far")


def embed(embedder: Any, number: int) -> Any:
    """A text alone, then several requests in one call."""
    texts = [f"{WORDS[number % 8]} {WORDS[place]}" for place in range(8)]
    return np.concatenate([embedder.embed_query(texts[0])[None], embedder.embed(texts)])


def embed_some(embedder: Any, number: int) -> Any:
    return embedder.embed([f"text {number} {place}" for place in range(3)])


def rerank(reranker: Any, number: int) -> Any:
    """Several requests in one call."""
    return np.asarray(reranker.rerank(WORDS[number % 8], [f"{number} {word}" for word in WORDS]))


def use_cache(cache: Any, number: int) -> Any:
    key = number.to_bytes(32, "big")
    cache.put({key: np.full(8, number, np.float32)})
    return cache.get([key])[key]


def use_store(store: Any, number: int) -> Any:
    collection = store.open(CollectionInfo.for_model("forks", MODEL))
    return use_collection(collection, number)


def use_collection(collection: Any, number: int) -> Any:
    vector = np.eye(DIMENSIONS, dtype=np.float32)[number % DIMENSIONS]
    collection.upsert([Record(f"record {number}", f"text {number}", vector)])
    return collection.get([f"record {number}"])[f"record {number}"].vector


def ingest(ingestion: Any, number: int) -> Any:
    content = io.BytesIO(f"The cat number {number} sat on the mat.".encode())
    ingestion.ingest(f"document {number}.txt", content)
    return len(list(ingestion.collection.scan())) > 0


def generate(generator: Any, number: int) -> Any:
    return generator.generate(f"text {number}").text


def embed_documents(adapter: Any, number: int) -> Any:
    return np.asarray(adapter.embed_documents([f"text {number} {place}" for place in range(5)]))


async def aembed(embedder: Any, number: int) -> Any:
    texts = [f"{WORDS[number % 8]} {WORDS[place]}" for place in range(8)]
    return np.concatenate([(await embedder.aembed_query(texts[0]))[None], await embedder.aembed(texts)])


async def aembed_some(embedder: Any, number: int) -> Any:
    return await embedder.aembed([f"text {number} {place}" for place in range(3)])


async def arerank(reranker: Any, number: int) -> Any:
    return np.asarray(await reranker.arerank(WORDS[number % 8], [f"{number} {word}" for word in WORDS]))


async def ause_store(store: Any, number: int) -> Any:
    return await ause_collection(await store.aopen(CollectionInfo.for_model("forks", MODEL)), number)


async def ause_collection(collection: Any, number: int) -> Any:
    vector = np.eye(DIMENSIONS, dtype=np.float32)[number % DIMENSIONS]
    await collection.aupsert([Record(f"record {number}", f"text {number}", vector)])
    return (await collection.aget([f"record {number}"]))[f"record {number}"].vector


async def aingest(ingestion: Any, number: int) -> Any:
    content = io.BytesIO(f"The cat number {number} sat on the mat.".encode())
    await ingestion.aingest(f"document {number}.txt", content)
    return len([record async for record in ingestion.collection.ascan()]) > 0


async def agenerate(generator: Any, number: int) -> Any:
    return (await generator.agenerate(f"text {number}")).text


async def aembed_documents(adapter: Any, number: int) -> Any:
    return np.asarray(await adapter.aembed_documents([f"text {number} {place}" for place in range(5)]))


#: The async twins of these uses. Caches have none.
ASYNC_USES: dict[Any, Any] = {
    embed: aembed, embed_some: aembed_some, rerank: arerank, use_store: ause_store, use_collection: ause_collection,
    ingest: aingest, generate: agenerate, embed_documents: aembed_documents,
}  # fmt: skip


def settings() -> Any:
    """Settings for the server of https_endpoint."""
    return load_settings(
        aws_endpoint_url=os.environ["TEST_HTTPS"], aws_region="us-east-1", sagemaker_endpoint="any",
        ollama_host=os.environ["TEST_HTTP"],
    )  # fmt: skip


def folder() -> Path:
    return Path(os.environ["TEST_FOLDER"])


def sagemaker() -> SageMakerEmbedder:
    return SageMakerEmbedder(MODEL, settings=settings(), limits=ONE_TEXT)


def fake() -> FakeEmbedder:
    return FakeEmbedder(limits=ONE_TEXT)


def chain() -> Any:
    """All wrappers, as from configuration, around an endpoint whose vectors have 384 components."""
    return load_embedder(
        settings(), embedding_backend="sagemaker", sagemaker_endpoint="with-384", sagemaker_batch_size=2,
        embedding_fallbacks="sagemaker", embedding_requests_per_second=1e6, embedding_deadline_seconds=60.0,
        embedstack_cache_file=folder() / "chain.db",
    )  # fmt: skip


def reranker_chain() -> Any:
    """All wrappers of a reranker, as from configuration, around an endpoint."""
    return load_reranker(
        settings(), reranker_endpoint="any", reranker_model="a/b", reranker_fallbacks="sagemaker",
        sagemaker_batch_size=2, embedding_requests_per_second=1e6, embedding_deadline_seconds=60.0,
        embedstack_cache_file=folder() / "reranker.db",
    )  # fmt: skip


@dataclass(frozen=True)
class Object:
    """How to build it and use it.

    Attributes:
        build: Builds it.
        use: Gives the same for the same number in every process.
        needs: What has to run: ``aws`` or ``postgres``.
        refuses: Part of the message with which it refuses to be pickled; None where it can be.
    """

    build: Callable[[], Any]
    use: Callable[[Any, int], Any] = field(default=embed)
    needs: str = ""
    refuses: str | None = None


OBJECTS = {
    "sagemaker": Object(sagemaker),
    "sagemaker, session": Object(
        lambda: SageMakerEmbedder(
            MODEL, settings=settings(), limits=ONE_TEXT, session=boto3.Session("test", "test", region_name="us-east-1")
        ),
        refuses="load_embedder(settings, session=session)",
    ),
    "bedrock": Object(
        lambda: BedrockEmbedder(
            "amazon.titan-embed-text-v2:0", dimensions=256, settings=settings(), concurrency=4
        )
    ),
    "ollama": Object(lambda: OllamaEmbedder(MODEL, settings=settings(), limits=ONE_TEXT)),
    "local": Object(
        lambda: LocalEmbedder(TINY, folder=folder() / "model", settings=load_settings(embedding_local_batch_size=2))
    ),
    "fake": Object(fake),
    "retry": Object(lambda: RetryingEmbedder(sagemaker())),
    "breaker": Object(lambda: CircuitBreakerEmbedder(fake())),
    "deadline": Object(lambda: DeadlineEmbedder(fake(), 60)),
    "fallback": Object(lambda: FallbackEmbedder(sagemaker(), sagemaker())),
    "rate limit": Object(lambda: RateLimitedEmbedder(fake(), RateLimit(1e6, 1e6, 1e6))),
    "cached": Object(lambda: CachedEmbedder(fake(), MemoryCache(), SqliteCache(folder() / "vectors.db"))),
    "chain": Object(chain),
    "bedrock reranker": Object(lambda: BedrockReranker("cohere.rerank-v3-5:0", settings=settings()), rerank),
    "fake reranker": Object(lambda: FakeReranker(limits=ONE_TEXT), rerank),
    "reranker chain": Object(reranker_chain, rerank),
    "memory cache": Object(MemoryCache, use_cache),
    "file cache": Object(lambda: SqliteCache(folder() / "file.db"), use_cache),
    "encrypted cache": Object(
        lambda: SqliteCache(folder() / "key.db", key=KEY), use_cache, refuses="EMBEDSTACK_CACHE_KEY"
    ),
    "kms cache": Object(
        lambda: SqliteCache(folder() / "kms.db", key=KmsKey(os.environ["TEST_KMS_KEY"], load_settings())),
        use_cache,
        needs="aws",
    ),
    "generator": Object(
        lambda: Generator("us.meta.llama3-3-70b-instruct-v1:0", settings=settings()),
        generate,
    ),
    "async endpoint": Object(
        lambda: AsyncEmbedder(MODEL, AsyncEndpoint("any", settings(), wait_seconds=30), truncate=False), embed_some
    ),
    "s3vectors": Object(lambda: S3VectorsStore(os.environ["TEST_BUCKET"]), use_store, needs="aws"),
    "pgvector": Object(lambda: PgVectorStore(os.environ["TEST_DATABASE"]), use_store, needs="postgres"),
    "collection": Object(
        lambda: PgVectorStore(os.environ["TEST_DATABASE"]).open(CollectionInfo.for_model("opened", MODEL)),
        use_collection,
        needs="postgres",
    ),
    "ingestion": Object(
        lambda: load_ingestion(
            embedding_backend="fake", vector_store="postgres", database_url=os.environ["TEST_DATABASE"],
            embedstack_tokenizer=folder() / "model" / "tokenizer.json",
        ),
        ingest,
        needs="postgres",
    ),
    "langchain": Object(
        lambda: EmbedStackEmbeddings(sagemaker()),
        embed_documents,
    ),
}  # fmt: skip
