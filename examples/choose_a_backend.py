"""The same code for every backend: EMBEDDING_BACKEND chooses."""

from embedstack import load_embedder

with load_embedder() as embedder:
    vector = embedder.embed_query("Hello world")
    vectors = embedder.embed_documents(["text1", "text2", "text1"])
    stats = embedder.stats()

print(f"Dimension: {len(vector)}")
print(f"{stats.requests} requests, {stats.cache_hits} from the cache, {stats.latency_p50_ms:.0f} ms each")
