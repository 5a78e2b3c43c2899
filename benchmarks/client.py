"""Overhead of the client, with an endpoint of fixed service time, compared with plain boto3 and LangChain.

    python benchmarks/client.py            # everything, about a minute
    python benchmarks/client.py --stream 1000000
    .venv-adapters/bin/python benchmarks/client.py    # with LangChain; make test-compat installs it there

The endpoint is an HTTP server in a child process. It responds to InvokeEndpoint after 50 ms, with at most 8 concurrent
requests, and returns arrays on request, as the model server does.
"""

import argparse
import asyncio
import functools
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any

import boto3
import numpy as np

from embedstack.cache.cached_embedder import Cache, CachedEmbedder, MemoryCache, SqliteCache
from embedstack.embedders import FakeEmbedder, Limits, SageMakerEmbedder
from embedstack.embedders.sagemaker.responses import read_vectors
from embedstack.models.catalogue import known_model
from embedstack.resilience import CircuitBreakerEmbedder, RetryingEmbedder
from embedstack.settings.settings import load_settings

MODEL = known_model("sentence-transformers/all-MiniLM-L6-v2")
DIMENSIONS = MODEL.require_dimensions()
SERVICE_SECONDS = 0.05
SLOTS = 8
ITEMS = 32
TEXTS = ["a text of ordinary length"] * ITEMS


def serve(ports: "Queue[int]") -> None:
    """Respond to InvokeEndpoint with copies of a unit vector, in ``SLOTS`` slots of ``SERVICE_SECONDS``."""

    async def main() -> None:
        slots = asyncio.Semaphore(SLOTS)
        row = json.dumps([1.0] + [0.0] * (DIMENSIONS - 1)).encode()

        @functools.cache
        def as_array(rows: int) -> bytes:
            return npy(np.eye(1, DIMENSIONS, dtype=np.float32).repeat(rows, axis=0))

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
                if b"100-continue" in fields.get(b"expect", b""):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request = json.loads(await reader.readexactly(int(fields[b"content-length"])))
                async with slots:
                    await asyncio.sleep(SERVICE_SECONDS)
                kind, body = b"application/json", b"[" + b",".join([row] * len(request["inputs"])) + b"]"
                if fields.get(b"accept") == b"application/x-npy":
                    kind, body = b"application/x-npy", as_array(len(request["inputs"]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def endpoint() -> Iterator[str]:
    """Run the endpoint during the block; its URL."""
    ports: Queue[int] = Queue()
    process = Process(target=serve, args=(ports,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=30)}"
    finally:
        process.terminate()
        process.join()


def npy(array: Any) -> bytes:
    """An array as the model server sends it."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def report(what: str, figure: str, target: str) -> None:
    """Print one line."""
    print(f"{what:<58} {figure:>16}   {target}")


def median_seconds(operation: Callable[[], Any], rounds: int) -> float:
    """The median duration of an operation."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        operation()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def saturate(url: str, requests: int = 240, connections: int = 3 * SLOTS) -> float:
    """The endpoint's maximum throughput, in texts per second."""
    body = json.dumps({"inputs": TEXTS[:ITEMS]}).encode()
    head = b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: e\r\nContent-Length: %d\r\n\r\n" % len(body)
    left = iter(range(requests))

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in left:
            writer.write(head + body)
            response = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(response.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
        writer.close()

    async def main() -> None:
        await asyncio.gather(*(send() for _ in range(connections)))

    started = time.perf_counter()
    asyncio.run(main())
    return requests * ITEMS / (time.perf_counter() - started)


def measure_throughput(url: str) -> None:
    """Throughput, as a share of the endpoint's maximum and of the ideal without any overhead."""
    ideal = SLOTS * ITEMS / SERVICE_SECONDS
    rounds: dict[str, list[float]] = {}
    for _ in range(3):  # interleaved, since other programs use the machine too
        capacity = saturate(url)
        for name, rate in (
            ("the endpoint at its maximum", capacity),
            ("embed() by default, arrays", rate_of(sagemaker(url))),
            ("embed() by default, JSON", rate_of(sagemaker(url, arrays=False))),
            ("embed(), as many concurrent requests as slots", rate_of(sagemaker(url, SLOTS))),
            ("plain boto3, one request at a time", bare_rate(url)),
            ("LangChain SagemakerEndpointEmbeddings", langchain_rate(url)),
        ):
            if rate is not None:
                rounds.setdefault(name, []).append(rate / capacity)
                rounds.setdefault(f"{name}, of the ideal", []).append(rate / ideal)
    for name in [name for name in rounds if not name.endswith("ideal")]:
        target = ">= 95 %" if "default" in name else ""
        of_ideal = statistics.median(rounds[f"{name}, of the ideal"])
        report(
            f"{name}: of the capacity (of the ideal)", f"{statistics.median(rounds[name]):.1%} ({of_ideal:.1%})", target
        )


def rate_of(embedder: SageMakerEmbedder, batches: int = 240) -> float:
    """Texts per second with this library."""
    with embedder:
        embedder.embed(TEXTS[: ITEMS * SLOTS])  # opens the connections
        started = time.perf_counter()
        embedder.embed(TEXTS * batches)
        return len(TEXTS) * batches / (time.perf_counter() - started)


def bare_rate(url: str, requests: int = 20) -> float:
    """Texts per second with boto3 alone."""
    client = runtime(url)
    invoke(client, TEXTS)
    started = time.perf_counter()
    for _ in range(requests):
        invoke(client, TEXTS)
    return requests * ITEMS / (time.perf_counter() - started)


def langchain_rate(url: str, requests: int = 20) -> float | None:
    """Texts per second with LangChain's class; None if it is not installed."""
    try:
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*langchain-community.*")
        from langchain_community.embeddings.sagemaker_endpoint import (  # noqa: PLC0415
            EmbeddingsContentHandler,
            SagemakerEndpointEmbeddings,
        )
    except ImportError:
        return None

    class Handler(EmbeddingsContentHandler):  # type: ignore[misc]  # not installed in the environment of mypy
        content_type = accepts = "application/json"

        def transform_input(self, prompts: list[str], model_kwargs: dict[str, Any]) -> bytes:
            return json.dumps({"inputs": prompts, **model_kwargs}).encode()

        def transform_output(self, output: Any) -> Any:
            return json.loads(output.read())

    theirs = SagemakerEndpointEmbeddings(endpoint_name="e", client=runtime(url), content_handler=Handler())
    theirs.embed_documents(TEXTS, chunk_size=ITEMS)
    started = time.perf_counter()
    theirs.embed_documents(TEXTS * requests, chunk_size=ITEMS)
    return requests * ITEMS / (time.perf_counter() - started)


def measure_overhead(url: str) -> None:
    """Latency of a single text with the full client, and with plain boto3."""
    client, embedder = runtime(url), CircuitBreakerEmbedder(RetryingEmbedder(sagemaker(url)))
    for warm_up in (lambda: invoke(client, ["x"]), lambda: embedder.embed(["x"])):
        median_seconds(warm_up, 5)
    bare = median_seconds(lambda: invoke(client, ["x"]), 60)
    ours = median_seconds(lambda: embedder.embed(["x"]), 60)
    report("one text: embed() with retry and breaker / invoke_endpoint", f"{ours / bare:.3f} x", "<= 1.15 x")
    with tempfile.TemporaryDirectory() as folder:
        caches: dict[str, Cache] = {"memory": MemoryCache(), "a file": SqliteCache(Path(folder) / "cache.db")}
        for name, cache in caches.items():
            cached = CachedEmbedder(sagemaker(url), cache)
            cached.embed(["x"])
            hit = median_seconds(lambda cached=cached: cached.embed(["x"]), 500)  # type: ignore[misc]
            report(
                f"a call / a hit of the cache in {name}", f"{bare / hit:.0f} x", ">= 100 x" if name == "memory" else ""
            )
            cached.close()


def measure_decoding() -> None:
    """Time to read a response with 32 vectors, as JSON and as an array."""
    rows = np.random.default_rng(0).normal(size=(ITEMS, DIMENSIONS)).astype(np.float32)
    as_json = json.dumps(rows.tolist()).encode()
    seconds = {
        kind: median_seconds(lambda body=body: read_vectors(body, ITEMS, pooling=None, normalized=True), 200)  # type: ignore[misc]
        for kind, body in (("application/json", as_json), ("application/x-npy", npy(rows)))
    }
    ratio = seconds["application/json"] / seconds["application/x-npy"]
    report("reading JSON / reading an array", f"{ratio:.0f} x", ">= 3 x")


def measure_stream(texts: int) -> None:
    """Peak memory after a tenth of a stream, and after all of it."""
    embedder = FakeEmbedder(limits=Limits(max_items=64, concurrency=4))
    early = 0
    for count, _ in enumerate(embedder.embed_stream(f"text {number}" for number in range(texts))):
        if count == texts // 10:
            early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if count % 10_000 == 0:
            embedder.requests.clear()  # requests that the fake records
    late = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report(f"peak memory after {texts:,} streamed texts / after a tenth", f"{late / early:.2f} x", "flat")


def measure_import() -> None:
    """Import time of the library in a new interpreter."""
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"

    def seconds(module: str) -> float:
        runs = [subprocess.run([sys.executable, "-c", code.format(module)], capture_output=True, check=True, text=True)
                for _ in range(5)]  # fmt: skip
        return min(float(run.stdout) for run in runs)

    base = seconds("boto3")
    report("import embedstack / import boto3", f"{seconds('embedstack') / base:.2f} x", "<= 1.3 x")
    report("import embedstack.factory / import boto3", f"{seconds('embedstack.factory') / base:.2f} x", "")


def sagemaker(url: str, concurrency: int | None = None, *, arrays: bool = True) -> SageMakerEmbedder:
    """A client of the benchmark's endpoint, with default settings except these arguments."""
    settings = load_settings(aws_endpoint_url=url, aws_region="us-east-1")
    limits = Limits(ITEMS, concurrency=concurrency or settings.embedding_concurrency)
    embedder = SageMakerEmbedder(MODEL, endpoint="e", settings=settings, limits=limits)
    if not arrays:
        embedder._format.disable_arrays()  # noqa: SLF001 - as with an endpoint without arrays
    return embedder


def runtime(url: str) -> Any:
    """A plain boto3 client of the benchmark's endpoint."""
    return boto3.client("sagemaker-runtime", endpoint_url=url, region_name="us-east-1")


def invoke(client: Any, texts: list[str]) -> Any:
    """The code of an application without this library."""
    response = client.invoke_endpoint(
        EndpointName="e", ContentType="application/json", Body=json.dumps({"inputs": texts})
    )
    return json.loads(response["Body"].read())


def main() -> None:
    """Run every measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", type=int, default=100_000, help="texts to stream (default: %(default)s)")
    arguments = parser.parse_args()
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "benchmark")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "benchmark")
    measure_import()
    measure_decoding()
    with endpoint() as url:
        measure_throughput(url)
        measure_overhead(url)
    measure_stream(arguments.stream)


if __name__ == "__main__":
    main()
