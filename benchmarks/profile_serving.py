"""Profile of the model server: time by kind of graph node, of new shapes, and of a request without the model.

usage: .venv/bin/python benchmarks/profile_serving.py

Every figure is the minimum of its repetitions, to reduce the influence of other programs.
"""

import multiprocessing
import socket
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import http_load
import numpy as np
import openvino as ov
from server_process import wait_until_ready
from workloads import short_texts

from embedstack.models.local_files import find_model_folder
from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.engine import OpenVinoEngine, Outputs, has_bf16
from embedstack_server.compute.graph import INT8_GROUP_SIZE, build_graph
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer
from embedstack_server.model.model_folder import ModelFolder

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print three profiles."""
    folder = find_model_folder("sentence-transformers/all-MiniLM-L6-v2", ROOT / "models")
    if folder is None:
        sys.exit("The weights are not installed. Install them with: make up")
    model = ModelFolder.read(folder)
    for int8 in (False, True):
        for shape in ((1, 16), (32, 16), (8, 64), (2, 256)):
            _profile_nodes(model, *shape, int8=int8)
    _profile_shapes(model)
    _profile_requests(folder)


def _profile_nodes(model: ModelFolder, texts: int, tokens: int, *, int8: bool) -> None:
    """Share of each kind of node in one batch on one core."""
    request, feed = _compiled(model, int8=int8, PERF_COUNT="YES"), _feed(texts, tokens)
    whole, least = [], defaultdict[str, float](lambda: float("inf"))
    for _ in range(25):
        started = time.perf_counter()
        request.infer(feed, share_inputs=True, share_outputs=True)
        whole.append(time.perf_counter() - started)
        kinds = defaultdict[str, float](float)
        for node in request.profiling_info:
            kinds[node.node_type] += node.real_time.total_seconds()
        for kind, seconds in kinds.items():
            least[kind] = min(least[kind], seconds)
    total = sum(least.values())
    shares = sorted(least.items(), key=lambda item: -item[1])[:6]
    linear = sum(seconds for kind, seconds in least.items() if kind.startswith("FullyConnected"))
    flops = texts * tokens * 2 * 6 * (4 * 384 * 384 + 2 * 384 * 1536)
    print(f"{'int8' if int8 else 'bf16'}, {texts} x {tokens} tokens on one core: {min(whole) * 1000:.2f} ms; "
          + ", ".join(f"{kind} {seconds / total:.0%}" for kind, seconds in shares)
          + f"; linear layers at {flops / linear / 1e9:.0f} GFLOP/s, reading their weights at "
          f"{flops / texts / tokens / linear / (2e9 if int8 else 1e9):.1f} GB/s")  # fmt: skip


def _profile_shapes(model: ModelFolder) -> None:
    """Time of a batch with the previous shape, another known shape, and a new shape."""
    request = _compiled(model)
    before = _megabytes()
    feeds = [_feed(1, tokens) for tokens in range(20, 60)]
    seconds: dict[str, list[float]] = {"new": [], "another": [], "the same": []}
    for kind in ("new", "another", "another", "the same"):
        for feed in feeds:
            if kind == "the same":
                request.infer(feed, share_inputs=True, share_outputs=True)
            started = time.perf_counter()
            request.infer(feed, share_inputs=True, share_outputs=True)
            seconds[kind].append(time.perf_counter() - started)
        if kind == "new":
            grown = (_megabytes() - before) / len(feeds)
    print("one text of 20 to 59 tokens, median: "
          + ", ".join(f"{kind} shape {1000 * float(np.median(times)):.2f} ms" for kind, times in seconds.items())
          + f"; {grown:.2f} MB for each new shape")  # fmt: skip


def _profile_requests(folder: Path) -> None:
    """The server's processor time per request with one short text, with a model that computes nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port = listener.getsockname()[1]
        server = multiprocessing.get_context("spawn").Process(target=_serve_nothing, args=(folder, listener))
        server.start()
    single = [[text] for text in short_texts(400)]
    try:
        wait_until_ready(port, server.is_alive)
        for clients in (1, 64):
            http_load.run(port, single, clients, 1)
            before, started = _processor_seconds(server.pid), time.process_time()
            load = http_load.run(port, single, clients, 3)
            requests = len(load.latencies)
            of_server = (_processor_seconds(server.pid) - before) / requests
            of_client = (time.process_time() - started) / requests
            print(f"{clients} clients, no model: {requests / load.seconds:.0f} requests/s; processor time for each: "
                  f"server {of_server * 1e6:.0f} us, client {of_client * 1e6:.0f} us")  # fmt: skip
    finally:
        server.terminate()
        server.join()


def _serve_nothing(folder: Path, listener: socket.socket) -> None:
    outputs = Outputs(np.ones((512, 384), np.float32), lambda _: np.ones((1, 384), np.float32))

    class Nothing(OpenVinoEngine):
        def run(self, ids: list[list[int]]) -> Outputs:  # noqa: ARG002
            return outputs

        def run_alone(self, ids: list[int]) -> Outputs:  # noqa: ARG002
            return outputs

    def load() -> Encoder:
        encoder = Encoder.load(folder)
        encoder._runner._engine.__class__ = Nothing  # noqa: SLF001 - keeps the engine but not its computation
        return encoder

    sys.exit(ModelServer(load, EmbedProtocol()).run(listener))


def _compiled(model: ModelFolder, *, int8: bool = False, **options: str) -> Any:
    precision = "bf16" if has_bf16() else "f32"
    config = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1", **options}
    if int8:
        config["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = str(INT8_GROUP_SIZE)
    return ov.Core().compile_model(build_graph(model, int8=int8), "CPU", config).create_infer_request()


def _feed(texts: int, tokens: int) -> dict[str, Any]:
    ids = np.random.default_rng(0).integers(1000, 20000, (texts, tokens)).astype(np.int32)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def _megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _processor_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # user and system, in hundredths of a second


if __name__ == "__main__":
    main()
