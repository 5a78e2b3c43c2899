"""Fuzzing of clients with damaged responses: they return correct vectors or raise a documented error.

    python benchmarks/response_fuzz.py --cases 50000

A local server responds to every request of a case with the same damaged response: flipped, removed, inserted or
repeated bytes, replaced JSON values, invalid headers, compressed or chunked bodies, or a closed connection. The clients
are those that applications use, over HTTP: SageMaker with JSON, arrays, spans and asynchronous requests, Ollama,
Bedrock's Titan and Cohere, and text generation with and without streaming.

A damaged digit gives a valid but different vector. So the returned vectors are compared with those that a second,
simple reader finds in the damaged body.
"""

import argparse
import base64
import gc
import gzip
import io
import json
import os
import random
import re
import resource
import socketserver
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from embedstack.embedders import BedrockEmbedder, Embedder, Limits, OllamaEmbedder, SageMakerEmbedder, SpannedText
from embedstack.embedders.fake import fake_vector
from embedstack.embedders.sagemaker.async_embedder import AsyncEmbedder, AsyncEndpoint
from embedstack.errors import EmbedStackError, EndpointUnavailable, IntegrityError
from embedstack.generation import Generator
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import CircuitBreaker, Retry, RetryPolicy
from embedstack.settings.settings import Settings, load_settings
from localaws.core.event_stream import encode_event

MODEL = ModelInfo("stand-in", 8, 64, "mean")
TEXTS = ["one", "two", "three"]
CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"
ANSWER = "An answer of several words."

#: Values that are invalid in almost every place of a response.
NASTY = [
    "null", "true", "false", '""', '"0.5"', "[]", "{}", "[[]]", "-0", "1e400", "-1e400", "1e-400", "NaN", "Infinity",
    "9" * 400, "9" * 5000, "1e39", "0.1", "-1", "[0.1]", '{"a": 1}', '{"a": 1, "a": 2}', "[" * 2000, "{" * 50,
    '"\\ud800"', '"' + "x" * 1000 + '"', "[" * 500 + "]" * 500, "2147483648", "18446744073709551616",
    "0x1", "1_0", "1.",
]  # fmt: skip
_JSON_VALUE = re.compile(rb'-?\d+\.?\d*(?:[eE][+-]?\d+)?|"(?:[^"\\]|\\.)*"|true|false|null')
_HEADERS = [
    b"Content-Length: x", b"Content-Length: -5", b"Content-Length: 1, 2", b"Content-Encoding: gzip",
    b"Content-Encoding: br", b"Transfer-Encoding: chunked", b"Content-Type: \xff\xfe",
    b"Content-Type: application/x-npy",
    b"Retry-After: 999999999", b"X-Amzn-SageMaker-Custom-Attributes: embedstack-model=%ff;;=;embedstack-revision",
    b"no colon", b": empty", b"X-Long: " + b"x" * 70_000, b"x-amzn-errortype: ModelError",
]  # fmt: skip
_STATUS_LINES = [
    b"HTTP/1.1 200", b"HTTP/9.9 200 OK", b"HTTP/1.1 abc OK", b"garbage", b"", b"HTTP/1.1 424 x", b"HTTP/1.1 500 x",
    b"HTTP/1.1 204 No Content", b"HTTP/1.1 301 Moved", b"HTTP/1.1 406 x", b"HTTP/1.1 429 x",
]  # fmt: skip


class _Handler(socketserver.StreamRequestHandler):
    """Reads requests and writes the case's response."""

    disable_nagle_algorithm = True
    server: "_Server"

    def handle(self) -> None:
        while (head := self._head()) is not None:
            verb, path, length = head
            self.rfile.read(length)
            self.wfile.write(self.server.response(verb, path))
            self.wfile.flush()
            if self.server.closes:
                return

    def _head(self) -> tuple[str, str, int] | None:
        line = self.rfile.readline()
        if not line:
            return None
        length = 0
        while (header := self.rfile.readline()) not in (b"\r\n", b"\n", b""):
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        verb, path, _ = line.decode().split(" ", 2)
        return verb, path, length


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    raw = b""
    closes = True

    def response(self, verb: str, path: str) -> bytes:
        """The case's response, or a correct one for the other requests of a client call."""
        if path.endswith("/async-invocations"):
            return _whole(b"{}", (b"X-Amzn-SageMaker-OutputLocation: s3://answers/out/1.out",), 202)
        if verb == "DELETE":
            return _whole(b"", (), 204)
        return self.raw

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: a client may disconnect because of the damaged response."""


def _whole(body: bytes, headers: tuple[bytes, ...] = (), status: int = 200) -> bytes:
    lines = [b"HTTP/1.1 %d OK" % status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def _serving() -> Iterator[tuple[_Server, str]]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def vectors(dimensions: int, texts: list[str] = TEXTS) -> Any:
    return np.stack([fake_vector(text, dimensions) for text in texts])


def npy(array: Any, kind: str = "<f4", order: str = "C") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array, kind, order=order))  # type: ignore[call-overload]
    return buffer.getvalue()


def _base64(row: Any) -> str:
    return base64.b64encode(np.asarray(row, "<f4").tobytes()).decode()


@dataclass(frozen=True)
class Client:
    """A client, correct response bodies for its request, and a second reader of a body."""

    name: str
    send: Callable[[], Any]
    bodies: list[bytes]
    read_again: Callable[[bytes], Any]


def _rows_in(value: Any, dimensions: int, index: Any = None) -> Iterator[tuple[Any, Any]]:
    """Every list of numbers or base64 string with a vector's length in a document, with its index if it has one."""
    match value:
        case list() if len(value) == dimensions and all(isinstance(one, int | float | None) for one in value):
            yield index, value
        case list():
            for one in value:
                yield from _rows_in(one, dimensions)
        case dict():
            for one in value.values():
                yield from _rows_in(one, dimensions, value.get("index"))
        case str() if len(value) == len(_base64(np.zeros(dimensions))):
            with suppress(ValueError):
                yield index, np.frombuffer(base64.b64decode(value, validate=True), "<f4")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


def _second_reader(count: int, dimensions: int) -> Callable[[bytes], Any]:
    """A simple reader without checks."""

    def read(body: bytes) -> Any:
        if body.startswith(b"\x93NUMPY"):
            array = np.load(io.BytesIO(body), allow_pickle=False)
            return np.asarray(array, np.float32).reshape(count, dimensions)
        rows = list(_rows_in(json.loads(body, parse_int=_integer), dimensions))
        if all(isinstance(index, int) for index, _ in rows):
            rows.sort(key=lambda row: row[0])
        return np.asarray([row for _, row in rows], np.float32)

    return read


def _clients(settings: Settings) -> list[Client]:
    three, wide = vectors(8), vectors(256)
    alone = wide[:1]
    entries = [{"embedding": row.tolist(), "index": index} for index, row in enumerate(three)]
    as_json = [
        json.dumps(three.tolist()).encode(),
        json.dumps({"embeddings": three.tolist()}, indent=2).encode(),
        json.dumps({"data": entries[::-1]}).encode(),
        json.dumps([_base64(row) for row in three]).encode(),
        json.dumps({"vectors": three.tolist(), "usage": {"total_tokens": 3}}).encode(),
    ]
    arrays = [npy(three), npy(three, ">f8"), npy(three, "<f4", "F"), npy(three.astype("<f2"), "<f2")]
    spans = json.dumps({"spans": [[_base64(row)] for row in three], "usage": {"prompt_tokens": 3}}).encode()
    ollama = json.dumps({"model": "all-minilm", "embeddings": three.tolist(), "prompt_eval_count": 3}).encode()
    titan = json.dumps({"embedding": alone[0].tolist(), "inputTextTokenCount": 3}).encode()
    cohere = json.dumps({"id": "x", "embeddings": {"float": wide.tolist()}, "texts": TEXTS}).encode()
    limits = Limits(max_items=8)

    def made(embedder: Embedder) -> Embedder:
        embedder.disable_retries()
        return embedder

    def generator(api_format: Any) -> Generator:
        return Generator(
            CLAUDE, settings=settings, api_format=api_format, retry=Retry(RetryPolicy(attempts=1)),
            breaker=CircuitBreaker(failures=10**9),
        )  # fmt: skip

    sagemaker = made(SageMakerEmbedder(MODEL, endpoint="e", settings=settings, limits=limits))
    queue = AsyncEmbedder(MODEL, AsyncEndpoint("e", settings, wait_seconds=0.01), truncate=False)
    local = made(OllamaEmbedder(MODEL, settings=settings, limits=limits))
    titan_embedder = made(BedrockEmbedder("amazon.titan-embed-text-v2:0", dimensions=256, settings=settings))
    cohere_embedder = made(BedrockEmbedder("cohere.embed-v4:0", dimensions=256, settings=settings))
    spanned = [SpannedText(text, ((0, len(text)),)) for text in TEXTS]
    converse, claude, llama = (generator(kind) for kind in ("converse", "claude", "llama3"))
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    message = {"role": "assistant", "content": [{"text": ANSWER}]}
    of_converse = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage,
                   "metrics": {"latencyMs": 3}}  # fmt: skip
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"delta": {"text": word}, "contentBlockIndex": 0}) for word in ANSWER.split()),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 3}}),
    ]
    stream = b"".join(encode_event(kind, payload) for kind, payload in events)
    chunks = b"".join(
        encode_event("chunk", {"bytes": base64.b64encode(json.dumps(chunk).encode()).decode()})
        for chunk in (
            {"type": "content_block_delta", "delta": {"text": ANSWER}},
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 4}},
        )
    )
    of_claude = {"content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn",
                 "usage": {"input_tokens": 3, "output_tokens": 4}}  # fmt: skip
    of_llama = {"generation": ANSWER, "stop_reason": "stop", "prompt_token_count": 3, "generation_token_count": 4}
    rows, row, rows_wide = _second_reader(3, 8), _second_reader(1, 256), _second_reader(3, 256)

    def nothing(_: bytes) -> None:
        return None

    return [
        Client("sagemaker, JSON", lambda: sagemaker.embed(TEXTS), as_json, rows),
        Client("sagemaker, arrays", lambda: sagemaker.embed(TEXTS), arrays, rows),
        Client("sagemaker, spans", lambda: np.concatenate(list(sagemaker.embed_spans(spanned))), [spans], rows),
        Client("sagemaker, queue", lambda: queue.embed(TEXTS), [*as_json[:2], arrays[0]], rows),
        Client("ollama", lambda: local.embed(TEXTS), [ollama], rows),
        Client("bedrock, Titan", lambda: titan_embedder.embed(TEXTS[:1]), [titan], row),
        Client("bedrock, Cohere", lambda: cohere_embedder.embed(TEXTS), [cohere], rows_wide),
        Client("converse", lambda: converse.generate("x"), [json.dumps(of_converse).encode()], nothing),
        Client("converse, stream", lambda: list(converse.stream("x")), [stream], nothing),
        Client("claude", lambda: claude.generate("x"), [json.dumps(of_claude).encode()], nothing),
        Client("claude, stream", lambda: list(claude.stream("x")), [chunks], nothing),
        Client("llama", lambda: llama.generate("x"), [json.dumps(of_llama).encode()], nothing),
    ]


def _damage(body: bytes, draw: random.Random) -> bytes:
    """A damaged body."""
    kind = draw.randrange(8)
    at = draw.randrange(len(body) + 1)
    until = min(len(body), at + draw.choice((1, 2, 8, 100)))
    match kind:
        case 0:
            flipped = bytearray(body)
            for _ in range(draw.choice((1, 1, 3, 20))):
                flipped[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
            return bytes(flipped)
        case 1:
            return body[:at]
        case 2:
            return body[:at] + body[until:]
        case 3:
            return body[:until] + body[at:until] * draw.choice((1, 1, 50)) + body[until:]
        case 4:
            return body[:at] + draw.randbytes(draw.choice((1, 2, 16))) + body[at:]
        case 5 | 6:
            values = list(_JSON_VALUE.finditer(body))
            if not values:
                return body[:at] + draw.choice(NASTY).encode() + body[until:]
            value = draw.choice(values)
            return body[: value.start()] + draw.choice(NASTY).encode() + body[value.end() :]
        case _:
            other = draw.choice((draw.choice(NASTY).encode(), b"", b"<html>", draw.randbytes(64), body + body))
            return draw.choice((b"[" + body + b"]", b'{"embeddings": ' + body + b"}", b"\xef\xbb\xbf" + body, other))


def _response(body: bytes, draw: random.Random) -> tuple[bytes, bool]:
    """A response with the body, and whether the connection is closed after it."""
    kind = draw.randrange(12)
    whole = _whole(body, (b"Content-Type: application/json",))
    match kind:
        case 0:
            extra = draw.choice((1, 7, 100_000))
            return whole.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % (len(body) + extra)), True
        case 1:
            short = max(0, len(body) - draw.choice((1, 7, 50)))
            return whole.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % short), True
        case 2:
            head = _whole(b"", (draw.choice(_HEADERS),), draw.choice((200, 200, 424, 500, 503, 429, 400)))
            return head.replace(b"Content-Length: 0", b"Content-Length: %d" % len(body)) + body, True
        case 3:
            return whole.replace(b"HTTP/1.1 200 OK", draw.choice(_STATUS_LINES), 1), True
        case 4:
            packed = gzip.compress(body if draw.random() < 0.9 else bytes(20_000_000), 1)
            return _whole(packed, (b"Content-Encoding: gzip",)), True
        case 5:
            size = draw.choice((b"%x" % len(body), b"ffffffffff", b"-1", b"zz", b""))
            end = draw.choice((b"\r\n0\r\n\r\n", b"\r\n", b"", b"garbage"))
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + body + end, True
        case 6:
            return whole[: draw.randrange(len(whole) + 1)], True
        case _:
            return whole, False


def _outcome(client: Client, body: bytes, seconds: float) -> tuple[str, str]:
    """The outcome of a case, and a description if it is a failure."""
    started = time.perf_counter()
    try:
        returned = client.send()
    except IntegrityError:
        outcome = "IntegrityError"
    except EndpointUnavailable:
        outcome = "EndpointUnavailable"
    except EmbedStackError as error:
        # Caused by the status of the service or the container.
        outcome = f"of the status: {type(error).__name__}"
    except Exception as error:  # noqa: BLE001 - unexpected errors are counted
        return "FOREIGN", f"{client.name}: {type(error).__name__}: {str(error)[:200]}"
    else:
        if not isinstance(returned, np.ndarray):
            return "generated text", ""
        outcome = "correct vectors"
        try:
            same = np.array_equal(returned, client.read_again(body))
        except Exception:  # noqa: BLE001 - the second reader has no checks
            same = False
        if not same:
            return "WRONG", f"{client.name}: {body[:200]!r}"
    if time.perf_counter() - started > seconds:
        return "SLOW", f"{client.name}: {time.perf_counter() - started:.1f} s"
    return outcome, ""


def run(cases: int, seed: int = 0, *, seconds: float = 5.0) -> tuple[Counter[str], list[str]]:
    """Send damaged responses.

    Args:
        cases: Number of cases.
        seed: Seed of the random choices.
        seconds: Cases that take longer count as slow.

    Returns:
        Number of cases by outcome, and a line for each that is WRONG, FOREIGN or SLOW.
    """
    draw = random.Random(seed)  # noqa: S311 - repeatable
    counts: Counter[str] = Counter()
    lines: list[str] = []
    with _serving() as (server, url), warnings.catch_warnings():
        warnings.simplefilter("error")
        # Warnings of the second reader, and of urllib3 about invalid headers.
        warnings.filterwarnings("ignore", module=r"numpy|__main__|response_fuzz|urllib3")
        # botocore does not close a connection if it cannot parse a response's headers.
        warnings.filterwarnings("ignore", category=ResourceWarning)
        settings = load_settings(
            aws_region="us-east-1", aws_endpoint_url=url, ollama_host=url, embedding_timeout_seconds=2,
            bedrock_timeout=2, sagemaker_verify_model=False,
        )  # fmt: skip
        clients = _clients(settings)
        for _ in range(cases):
            client = draw.choice(clients)
            body = draw.choice(client.bodies)
            if draw.random() < 0.9:
                body = _damage(body, draw)
            server.raw, server.closes = _response(body, draw)
            outcome, line = _outcome(client, body, seconds)
            counts[outcome] += 1
            if line:
                lines.append(line)
        gc.collect()
    return counts, lines


def main() -> None:
    """Run the cases and print their outcomes; exits with status 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "any")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "any")
    run(20)  # imports modules and opens connections before measuring
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    counts, lines = run(arguments.cases, arguments.seed)
    seconds = time.perf_counter() - started
    for outcome, count in counts.most_common():
        print(f"{count:8,}  {outcome}")
    for line, count in Counter(lines).most_common(30):
        print(f"{count:8,}  {line}")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{arguments.cases:,} cases in {seconds:.0f} s; the peak of memory rose by {grown:.0f} MB")
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
