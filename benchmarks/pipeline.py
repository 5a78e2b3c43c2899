"""The document pipeline under load on a local AWS of its own: how fast it is, what bounds it, what it would cost.

Documents of seven formats are uploaded to S3 and end in S3 Vectors by way of SQS, the real Lambda packages and the real
model server. With --faults functions and model servers are killed at random, SageMaker throttles a fifth of the
requests, S3 Vectors fails one in twenty, and documents that cannot be read are among the others; what came of each is
checked.

usage: .venv/bin/python benchmarks/pipeline.py [--documents 5000] [--faults] [--json]

Everything runs on this one machine, so functions, model servers and the local AWS compete for its processors. Costs are
what the same invocations, durations and bytes would be charged by list prices; Lambda's and SageMaker's processors have
another speed than this machine's.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import boto3
import urllib3
from pipeline_audit import Chunks, DeployedPipeline, cut, variables

from embedstack.documents.load import load_chunker
from embedstack.embedders import FakeEmbedder
from embedstack.function_package import FUNCTIONS
from embedstack.function_wheels import Target
from embedstack.localaws import daemon
from embedstack.localaws.chaos import RandomKills, processes
from embedstack.localaws.config import LocalAwsConfig
from embedstack.localaws.faults import FAULTS_PATH
from embedstack.models import known_model
from embedstack.terraform import TerraformRoot

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "scripts"))

import build_lambda  # noqa: E402 - beside the commands
from hostile_documents import HOSTILE, ODD_KEYS  # noqa: E402
from sample_documents import FORMATS, Article, articles  # noqa: E402

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
#: Of a function, seconds; whoever is killed has its messages come again after as many.
TIMEOUT = 60
#: List prices of us-east-1 in US dollars, first tier, without free tiers, as known in June 2026: aws.amazon.com's pages
#: lambda/pricing (x86), sqs/pricing (standard), s3/pricing (Standard requests; S3 Vectors: PUT by GB, at least 128 KB a
#: request) and sagemaker/pricing (serverless inference by GB-second, and its data in and out). The figures come from
#: copies of those pages, and SageMaker's from the least certain of them: ask the Price List API before relying on one.
PRICES = {
    "lambda_gb_second": 0.0000166667,
    "lambda_request": 0.20e-6,
    "sqs_request": 0.40e-6,
    "s3_put": 0.005e-3,
    "s3_get": 0.0004e-3,
    "vectors_put_gb": 0.20,
    "serverless_gb_second": 0.00002,
    "serverless_data_gb": 0.016,
}
GB = 1e9
ENDPOINT_GB, FUNCTION_GB = 2, 1
VECTOR_BYTES = 4 * 384
LEAST_PUT_BYTES = 128 * 1024
# Bytes of a chunk on its way to the endpoint and back, beside its text: JSON around it, and 384 numbers of 4 bytes.
EXCHANGED_BYTES = VECTOR_BYTES + 16


@dataclass(slots=True)
class ProcessorTime:
    """Seconds of processor time by kind of process, read from /proc while the context lasts."""

    state: Path
    local_aws: int
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _last: dict[int, float] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._look(count=False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stopped.wait(1):
            self._look()

    def _look(self, *, count: bool = True) -> None:
        kinds = {identity.pid: str(kind) for identity, kind in processes(self.state).items()}
        for pid, kind in {**kinds, self.local_aws: "local AWS"}.items():
            used = processor_seconds(pid)
            # One that is new has used all of it since the last look.
            self.seconds[kind] += max(0.0, used - self._last.get(pid, 0.0)) if count else 0
            self._last[pid] = used


def processor_seconds(pid: int) -> float:
    """Of a process and of its children that have ended (proc(5): fields 14 to 17)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def deployed(concurrency: int) -> Iterator[tuple[DeployedPipeline, daemon.RunningLocalAws, Path]]:
    """A pipeline on a local AWS of its own; everything is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pipeline-"))
    before = dict(os.environ)
    target = Target.of_this_machine()
    for package in build_lambda.build(sorted(FUNCTIONS), target, folder / "lambda", model=MODEL):
        print(f"{package.path.name}: {package.packed_bytes / 1e6:.1f} MB", file=sys.stderr)
    running = daemon.start(LocalAwsConfig(port=0), folder / "state")
    try:
        os.environ.update(running.environment(), TF_WORKSPACE="pipeline")
        ignored = shutil.ignore_patterns(".terraform", "*.tfstate*", "tests")
        root_folder = shutil.copytree(ROOT / "terraform", folder / "terraform", ignore=ignored)
        file = folder / "pipeline.tfvars"
        ingest = f"{{ concurrency = {concurrency}, max_receives = 10, timeout_s = {TIMEOUT} }}"
        file.write_text(variables(folder / "lambda", target.python, target.architecture, ingest))
        root = TerraformRoot(root_folder, file)
        root.init()
        root.apply(root.plan(folder / "plan"), show_progress=False)
        outputs = root.outputs()
        os.environ.update(line.split("=", 1) for line in outputs["dotenv"].splitlines())
        pipeline = DeployedPipeline(outputs)
        # Six times the timeout is right where functions are throttled; here, nobody has time for that.
        pipeline.sqs.set_queue_attributes(
            QueueUrl=pipeline.parts["queue_url"], Attributes={"VisibilityTimeout": str(TIMEOUT)}
        )
        yield pipeline, running, folder / "state"
    finally:
        os.environ.clear()
        os.environ.update(before)
        daemon.stop(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)


def make_documents(count: int) -> dict[str, bytes]:
    """Documents of up to six sections, each with a text of its own."""
    known = list(articles())
    made = {}
    for number in range(count):
        article = known[number % len(known)]
        start = number // len(known)
        own = Article(
            f"{article.title} {number}",
            f"Document {number}. {article.introduction[:2000]}",
            tuple((name, f"{text} ({number})") for name, text in article.sections[start : start + 6]),
        )
        suffix = list(FORMATS)[number % len(FORMATS)]
        made[f"{number % 100:02}/{number}{suffix}"] = FORMATS[suffix](own)
    return made


def total(namespace: str, metric: str, since: datetime, **dimensions: str) -> float:
    """The sum of a metric since a moment."""
    session: Any = boto3.Session()
    answer = session.client("cloudwatch").get_metric_statistics(
        Namespace=namespace, MetricName=metric, StartTime=since - timedelta(minutes=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=2), Period=3600, Statistics=["Sum"],
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
    )  # fmt: skip
    return sum(float(point["Sum"]) for point in answer["Datapoints"])


def costs(
    documents: int, chunks: Chunks, function_seconds: float, invocations: float, model_seconds: float
) -> dict[str, float]:
    """US dollars for 1,000 documents, by what is paid for."""
    texts = sum(len(text.encode()) for parts in chunks.values() for _, text in parts)
    count = sum(map(len, chunks.values()))
    put = sum(
        max(LEAST_PUT_BYTES, sum(VECTOR_BYTES + len(text.encode()) + 200 for _, text in parts))
        for parts in chunks.values()
    )
    paid = {
        "Lambda": function_seconds * FUNCTION_GB * PRICES["lambda_gb_second"] + invocations * PRICES["lambda_request"],
        # Sent by S3; received and deleted by the batch. What an idle queue's readers ask is not counted.
        "SQS": (documents + 2 * invocations) * PRICES["sqs_request"],
        # Uploaded, read, and looked at once more.
        "S3": documents * (PRICES["s3_put"] + 2 * PRICES["s3_get"]),
        "S3 Vectors": put / GB * PRICES["vectors_put_gb"],
        "SageMaker serverless": model_seconds * ENDPOINT_GB * PRICES["serverless_gb_second"]
        + (texts + count * EXCHANGED_BYTES) / GB * PRICES["serverless_data_gb"],
    }
    return {name: dollars * 1000 / documents for name, dollars in paid.items()}


def check(pipeline: DeployedPipeline, expected: Chunks, hostile: dict[str, str]) -> list[str]:
    """What is not as it should be."""
    stored, reasons = pipeline.stored(), pipeline.reasons()
    problems = [f"{source} is neither whole nor once in the store" for source in expected if
                stored.get(source) != expected[source] and source not in reasons]  # fmt: skip
    problems += [f"{source} is in the store and should not be" for source in stored.keys() - expected.keys()]
    problems += [f"{source} should be set aside as {reason}, and is {reasons.get(source, 'not')}"
                 for source, reason in hostile.items() if f": {reason}: " not in reasons.get(source, "")]  # fmt: skip
    return problems


def redrive(pipeline: DeployedPipeline, expected: Chunks) -> int:
    """Send back what was set aside though it can be read; how many."""
    letters, sent = pipeline.dead_letters(), 0
    for letter in list(letters.read()):
        if any(source.removeprefix(f"s3://{pipeline.parts['bucket']}/") in expected for source in letter.sources):
            letters.send_back(letter)
            sent += 1
        else:
            letters.release(letter)
    return sent


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Deploy, feed, wait, and measure."""
    documents = make_documents(options.documents)
    hostile = {source: reason for source, (_, reason) in HOSTILE.items()} if options.faults else {}
    documents |= ODD_KEYS if options.faults else {}
    with deployed(options.concurrency) as (pipeline, running, state):
        with FakeEmbedder(known_model(MODEL)) as embedder:
            expected = cut(documents, load_chunker(pipeline.settings, embedder))
        count = sum(map(len, expected.values()))
        print(f"{len(documents)} documents of {count} chunks", file=sys.stderr)
        set_faults(running.url, options.faults)
        began, started = datetime.now(UTC), time.perf_counter()
        kills = RandomKills(state, seed=options.seed, interval=options.interval)
        with ProcessorTime(state, running.pid) as used:
            with kills if options.faults else nullcontext():
                upload(pipeline, documents | {source: HOSTILE[source][0] for source in hostile})
                # The end of it is left in peace, so that it has one.
                pipeline.wait(options.patience, on_look=lambda left: kills.stop() if left < 50 else None)
            seconds = time.perf_counter() - started
        set_faults(running.url, faults=False)
        sent_back = redrive(pipeline, expected) if options.faults else 0
        pipeline.wait(options.patience)
        function, endpoint = pipeline.parts["ingest_function"], os.environ["SAGEMAKER_ENDPOINT"]
        function_seconds = total("AWS/Lambda", "Duration", began, FunctionName=function) / 1e3
        invocations = total("AWS/Lambda", "Invocations", began, FunctionName=function)
        labels = {"EndpointName": endpoint, "VariantName": variant(endpoint)}
        model_seconds = total("AWS/SageMaker", "ModelLatency", began, **labels) / 1e6
        embedded = total("EmbedStack", "Embedded", began, service="ingest")
        return {
            "documents": len(documents), "chunks": count, "seconds": seconds,
            "documents_per_second": len(documents) / seconds, "chunks_per_second": count / seconds,
            "requests_in_the_model": model_seconds / seconds,
            "processor_seconds": {kind: used.seconds[kind] for kind in sorted(used.seconds)},
            "processors": os.cpu_count(),
            "embedded": embedded, "invocations": invocations,
            "dollars_per_1000_documents": costs(len(documents), expected, function_seconds, invocations, model_seconds),
            "kills": dict(kills.kills), "set_aside": len(hostile), "sent_back": sent_back,
            "problems": check(pipeline, expected, hostile),
        }  # fmt: skip


def variant(endpoint: str) -> str:
    """The endpoint's only variant."""
    session: Any = boto3.Session()
    described = session.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    return str(described["ProductionVariants"][0]["VariantName"])


def upload(pipeline: DeployedPipeline, documents: dict[str, bytes]) -> None:
    """Put all documents into the bucket, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(pipeline.upload, documents.keys(), documents.values()))


def set_faults(url: str, faults: bool) -> None:
    """Begin them, or end them."""
    for service, kind, rate in (("sagemaker-runtime", "throttle", 0.2), ("s3vectors", "internal", 0.05)):
        fault = {"service": service, "kind": kind, "rate": rate if faults else 0, "seed": 5}
        urllib3.request("POST", url + FAULTS_PATH, json=fault)


def report(found: dict[str, Any]) -> None:
    """Print it."""
    print(f"{found['documents']} documents, {found['chunks']} chunks in {found['seconds']:.0f} s: "
          f"{found['documents_per_second']:.1f} documents/s, {found['chunks_per_second']:.1f} chunks/s")  # fmt: skip
    print(f"requests in the model at once, on average (ModelLatency / time): {found['requests_in_the_model']:.2f}")
    for kind, used in found["processor_seconds"].items():
        print(
            f"processor time of {kind}: {used:.0f} s, {used / found['seconds']:.2f} of {found['processors']} processors"
        )
    for name, dollars in found["dollars_per_1000_documents"].items():
        print(f"${dollars:.4f} for 1,000 documents: {name}")
    print(f"${sum(found['dollars_per_1000_documents'].values()):.4f} for 1,000 documents in all")
    print(f"embedded, as the functions that lived to tell reported: {found['embedded']:.0f} of {found['chunks']}")
    if found["kills"]:
        print(f"killed: {found['kills']}; sent back by redrive: {found['sent_back']}; set aside: {found['set_aside']}")
    print("\n".join(found["problems"]) or "every document is searchable exactly once, or set aside with its reason")


def main() -> None:
    """Run it; exits with 1 when a document is not where it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5000, help="how many (5000)")
    parser.add_argument("--concurrency", type=int, default=3, help="ingest functions at once (3)")
    parser.add_argument("--faults", action="store_true", help="kill, throttle, and send documents that cannot be read")
    parser.add_argument("--interval", type=float, default=5, help="seconds between two kills, on average (5)")
    parser.add_argument("--seed", type=int, default=11, help="of the kills (11)")
    parser.add_argument("--patience", type=float, default=3600, help="seconds until it is given up (3600)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
    options = parser.parse_args()
    # So that whatever ends it leaves no local AWS behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = run(options)
    print(json.dumps(found)) if options.json else report(found)
    sys.exit(1 if found["problems"] else 0)


if __name__ == "__main__":
    main()
