"""Whether forked processes receive their own vectors, with TLS connections that their parent opened before.

    python benchmarks/fork_safety.py --requests 10000

In every round, a parent embeds over several connections and forks children, as Celery, gunicorn and multiprocessing do.
Then the parent and its children concurrently embed different texts, one per request. The vectors are derived from the
texts, so a response to another process's request is detected.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from https_endpoint import DIMENSIONS, HttpsEndpoint, https_endpoint

from embedstack.embedders import Embedder, Limits, SageMakerEmbedder
from embedstack.embedders.fake import fake_vector
from embedstack.models.model_info import ModelInfo
from embedstack.settings.settings import load_settings

MODEL = ModelInfo("fork-safety", DIMENSIONS, 512, "mean")
CHILDREN = 4
# Texts that each process embeds in a round: one at a time, and in one call.
SINGLE, TOGETHER = 5, 20
PER_ROUND = (CHILDREN + 1) * (SINGLE + TOGETHER)
HANG_SECONDS = 60


def count_requests(endpoint: HttpsEndpoint, requests: int) -> Counter[str]:
    """Embed in parents and children until ``requests`` requests are sent.

    Returns:
        The numbers of ``right`` and ``wrong`` vectors, of exceptions by ``error: <type>``, and of processes that
        ``hung``.
    """
    # Overrides this machine's configuration, so that no request goes elsewhere.
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CA_BUNDLE": str(endpoint.ca), "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    settings = load_settings(aws_endpoint_url=endpoint.https, aws_region="us-east-1", sagemaker_endpoint="any")
    counts: Counter[str] = Counter()
    number = 0
    while counts["right"] + counts["wrong"] < requests and not counts["hung"]:
        number += 1
        with SageMakerEmbedder(MODEL, settings=settings, limits=Limits(max_items=1, concurrency=8)) as embedder:
            embedder.embed([f"parent {number}.{text}" for text in range(8)])
            children = [_fork(embedder, f"child {number}.{child}") for child in range(CHILDREN)]
            counts += _embed(embedder, f"parent {number}")
            for pid, results in children:
                with os.fdopen(results) as file:
                    counts += Counter(json.loads(file.read() or '{"hung": 1}'))
                os.waitpid(pid, 0)
    return counts


def _fork(embedder: Embedder, name: str) -> tuple[int, int]:
    """Fork a child that embeds; its process id, and the file descriptor of its counts."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    signal.alarm(HANG_SECONDS)  # ends this process
    os.write(writing, json.dumps(_embed(embedder, name)).encode())
    os._exit(0)


def _embed(embedder: Embedder, name: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    texts = [f"{name}: text {number} of process {os.getpid()}" for number in range(SINGLE + TOGETHER)]
    for batch in [*([text] for text in texts[:SINGLE]), texts[SINGLE:]]:
        try:
            vectors = embedder.embed(batch)
        except Exception as error:  # noqa: BLE001 - exceptions are counted
            counts[f"error: {type(error).__name__}"] += 1
            continue
        for text, vector in zip(batch, vectors, strict=True):
            is_right = np.allclose(vector, fake_vector(text, DIMENSIONS), atol=1e-6)
            counts["right" if is_right else "wrong"] += 1
    return counts


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, https_endpoint(Path(folder)) as endpoint:
        started = time.perf_counter()
        counts = count_requests(endpoint, arguments.requests)
        seconds = time.perf_counter() - started
    total = counts["right"] + counts["wrong"]
    print(f"{total} vectors in {seconds:.1f} s, {CHILDREN} children a round: ", end="")
    print(f"{counts['wrong']} wrong, {counts['hung']} processes hung", end="")
    print("".join(f", {count} {name}" for name, count in counts.items() if name.startswith("error")) + ".")


if __name__ == "__main__":
    main()
