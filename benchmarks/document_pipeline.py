"""The document pipeline under load on a temporary local AWS: throughput, bottlenecks and cost.

Documents of seven formats are uploaded to S3 and stored in S3 Vectors, or in Aurora's Postgres, through SQS, the real
Lambda packages and the real model server. With --faults, functions, model servers and the Postgres are killed at
random, SageMaker throttles a fifth of the requests, S3 Vectors fails one in twenty, and some documents are unreadable.
The result of each document is checked.

usage: .venv/bin/python benchmarks/document_pipeline.py [--documents 5000] [--store s3vectors] [--faults] [--json]

Everything runs on one machine, so functions, model servers and the local AWS compete for its processors. Costs are the
list prices of the same invocations, durations and bytes; the processors of Lambda and SageMaker have another speed.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))

from endpoint_use import covered, requests, total, variant
from pipeline_audit import Chunks, DeployedPipeline, cut
from pipeline_costs import costs
from pipeline_deployment import connect, variables
from processor_time import ProcessorTime

from default_network import default_subnets
from embedstack.documents.load import load_chunker
from embedstack.embedders import FakeEmbedder
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import load_settings
from embedstack_ops.cli import package_functions
from embedstack_ops.lambda_packages.build import FUNCTIONS
from embedstack_ops.lambda_packages.wheels import Target
from localaws.faults.chaos import RandomKills, Victim
from localaws.faults.injector import FAULTS_PATH
from sample_documents import FORMATS, Article, articles
from tests.support.hostile_documents import ODD_KEYS, hostile_documents
from tests.support.temporary_stack import TemporaryStack, temporary_stack

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
#: Kinds of processes that are killed, by store.
KINDS: dict[str, tuple[Victim, ...]] = {
    "s3vectors": ("function", "model"), "aurora": ("database", "function", "model")
}  # fmt: skip
#: Timeout of a function in seconds, and the visibility timeout of its queue.
TIMEOUT = 60


@contextmanager
def deployed(concurrency: int, store: str) -> Iterator[tuple[DeployedPipeline, TemporaryStack]]:
    """Deploy a pipeline on a temporary local AWS, and remove it at the end of the block."""
    with temporary_stack() as stack:
        target, folder = Target.of_this_machine(), stack.folder / "lambda"
        for package in package_functions.build(sorted(FUNCTIONS), target, folder, model=MODEL):
            print(f"{package.path.name}: {package.packed_bytes / 1e6:.1f} MB", file=sys.stderr)
        packages = folder / target.name
        ingest = f"{{ concurrency = {concurrency}, max_receives = 10, timeout_s = {TIMEOUT} }}"
        subnets = default_subnets(load_settings()) if store == "aurora" else ()
        yield connect(stack.apply(variables(packages, ingest, subnets)), TIMEOUT), stack


def make_documents(count: int) -> dict[str, bytes]:
    """Documents of up to six sections, each with different text."""
    originals = list(articles())
    made = {}
    for number in range(count):
        article = originals[number % len(originals)]
        start = number // len(originals)
        own = Article(
            f"{article.title} {number}",
            f"Document {number}. {article.introduction[:2000]}",
            tuple((name, f"{text} ({number})") for name, text in article.sections[start : start + 6]),
        )
        suffix = list(FORMATS)[number % len(FORMATS)]
        made[f"{number % 100:02}/{number}{suffix}"] = FORMATS[suffix](own)
    return made


def check(pipeline: DeployedPipeline, expected: Chunks, hostile: dict[str, str]) -> list[str]:
    """Problems with the stored documents and the messages in the DLQ."""
    stored, reasons = pipeline.stored(), pipeline.reasons()
    problems = [f"{source} is not in the store exactly once and complete" for source in expected if
                stored.get(source) != expected[source] and source not in reasons]  # fmt: skip
    problems += [f"{source} is in the store, but should not be" for source in stored.keys() - expected.keys()]
    problems += [f"{source} should be in the DLQ as {reason}, but the DLQ has {reasons.get(source, 'nothing')}"
                 for source, reason in hostile.items() if f": {reason}: " not in reasons.get(source, "")]  # fmt: skip
    return problems


def redrive(pipeline: DeployedPipeline, expected: Chunks) -> int:
    """Redrive the DLQ messages of readable documents; returns their number."""
    dlq, sent = pipeline.dead_letters(), 0
    for message in dlq.read():
        if any(source.removeprefix(f"s3://{pipeline.parts['bucket']}/") in expected for source in message.sources):
            dlq.resend(message)
            sent += 1
    return sent


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Deploy the pipeline, upload documents, wait and measure."""
    documents = make_documents(options.documents)
    hostile = {source: reason for source, (_, reason) in hostile_documents().items()} if options.faults else {}
    documents |= ODD_KEYS if options.faults else {}
    with deployed(options.concurrency, options.store) as (pipeline, stack):
        with FakeEmbedder(known_model(MODEL)) as embedder:
            expected = cut(documents, load_chunker(pipeline.settings, embedder))
        count = sum(map(len, expected.values()))
        print(f"{len(documents)} documents of {count} chunks", file=sys.stderr)
        set_faults(stack.running.url, options.faults)
        began, started = datetime.now(UTC), time.perf_counter()
        kinds = KINDS[options.store]
        kills = RandomKills(stack.running.state_dir, seed=options.seed, interval=options.interval, kinds=kinds)
        with ProcessorTime(stack.running.state_dir, stack.running.pid) as used:
            with kills if options.faults else nullcontext():
                upload(pipeline, documents | {source: hostile_documents()[source][0] for source in hostile})
                # Killing stops before the end, so that the run can finish.
                pipeline.wait(options.patience, on_look=lambda left: kills.stop() if left < 50 else None)
            seconds = time.perf_counter() - started
        set_faults(stack.running.url, faults=False)
        sent_back = redrive(pipeline, expected) if options.faults else 0
        pipeline.wait(options.patience)
        function, endpoint = pipeline.parts["ingest_function"], os.environ["SAGEMAKER_ENDPOINT"]
        function_seconds = total("AWS/Lambda", "Duration", began, FunctionName=function) / 1e3
        invocations = total("AWS/Lambda", "Invocations", began, FunctionName=function)
        labels = {"EndpointName": endpoint, "VariantName": variant(endpoint)}
        model_seconds = total("AWS/SageMaker", "ModelLatency", began, **labels) / 1e6
        in_model = requests(endpoint, began)
        busy = covered(in_model)
        embedded = total("EmbedStack", "Embedded", began, service=function)
        return {
            "documents": len(documents), "chunks": count, "seconds": seconds,
            "documents_per_second": len(documents) / seconds, "chunks_per_second": count / seconds,
            "requests": len(in_model), "requests_in_the_model": model_seconds / seconds,
            "busy_share": busy / seconds,
            "busy_share_from_first_to_last_request": busy / (max(end for _, end in in_model) - in_model[0].start),
            "processor_seconds": {kind: used.seconds[kind] for kind in sorted(used.seconds)},
            "processors": os.cpu_count(),
            "embedded": embedded, "invocations": invocations,
            "dollars_per_1000_documents": costs(
                len(documents), expected, function_seconds, invocations, model_seconds, store=options.store
            ),
            "kills": dict(kills.kills), "set_aside": len(hostile), "sent_back": sent_back,
            "problems": check(pipeline, expected, hostile),
        }  # fmt: skip


def upload(pipeline: DeployedPipeline, documents: dict[str, bytes]) -> None:
    """Upload all documents to the bucket, four concurrently."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(pipeline.upload, documents.keys(), documents.values()))


def set_faults(url: str, faults: bool) -> None:
    """Enable or disable the faults of the local AWS."""
    for service, kind, rate in (("sagemaker-runtime", "throttle", 0.2), ("s3vectors", "internal", 0.05)):
        fault = {"service": service, "kind": kind, "rate": rate if faults else 0, "seed": 5}
        urllib3.request("POST", url + FAULTS_PATH, json=fault)


def report(results: dict[str, Any]) -> None:
    """Print the results."""
    print(
        f"{results['documents']} documents, {results['chunks']} chunks in {results['seconds']:.0f} s: "
        f"{results['documents_per_second']:.1f} documents/s, {results['chunks_per_second']:.1f} chunks/s"
    )
    print(f"average requests in the model (ModelLatency / time): {results['requests_in_the_model']:.2f}")
    print(f"time with a request in the model server (log of {results['requests']} requests): "
          f"{results['busy_share']:.0%}; from the first to the last of them: "
          f"{results['busy_share_from_first_to_last_request']:.0%}")  # fmt: skip
    for kind, used in results["processor_seconds"].items():
        print(
            f"processor time of {kind}: {used:.0f} s, {used / results['seconds']:.2f} of {results['processors']} "
            "processors"
        )
    for name, dollars in results["dollars_per_1000_documents"].items():
        print(f"${dollars:.4f} for 1,000 documents: {name}")
    print(f"${sum(results['dollars_per_1000_documents'].values()):.4f} for 1,000 documents in all")
    print(f"embedded, as reported by functions that were not killed: {results['embedded']:.0f} of {results['chunks']}")
    if results["kills"]:
        print(f"killed: {results['kills']}; redriven: {results['sent_back']}; unreadable: {results['set_aside']}")
    print("\n".join(results["problems"]) or "every document is stored exactly once, or in the DLQ with its reason")


def main() -> None:
    """Run the benchmark; exits with status 1 if a document is missing or misplaced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5000, help="number of documents (5000)")
    parser.add_argument("--store", choices=sorted(KINDS), default="s3vectors", help="vector store (s3vectors)")
    parser.add_argument("--concurrency", type=int, default=3, help="concurrent ingest functions (3)")
    parser.add_argument(
        "--faults", action="store_true", help="kill processes, throttle requests, and add unreadable documents"
    )
    parser.add_argument("--interval", type=float, default=5, help="average seconds between kills (5)")
    parser.add_argument("--seed", type=int, default=11, help="seed of the kills (11)")
    parser.add_argument("--patience", type=float, default=3600, help="maximum seconds to wait (3600)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    # Exits normally on SIGTERM, so that the local AWS is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = run(options)
    print(json.dumps(results)) if options.json else report(results)
    sys.exit(1 if results["problems"] else 0)


if __name__ == "__main__":
    main()
