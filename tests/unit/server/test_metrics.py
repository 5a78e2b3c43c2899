"""Metrics are valid Prometheus text, complete in every state of the server, and free of clients' data."""

import asyncio
import json
import threading

import pytest

from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.scheduler import Scheduler, Workload
from embedstack_server.http.metrics import METRICS_TYPE, ServerMetrics, Snapshot
from embedstack_server.http.protocol import EmbedProtocol
from embedstack_server.http.server import ModelServer
from tests.support.prometheus_text import parse_metrics
from tests.support.tiny_bert import write_model


@pytest.fixture
def encoder(tmp_path):
    encoder = Encoder.load(write_model(tmp_path), model_id='the "best\\" model\n', precision="fp32")
    yield encoder
    encoder.close()


async def request(server, method, path, body=b""):
    """The status, headers and body of a response."""
    messages = [{"type": "http.request", "body": body}]
    sent = []

    async def receive():
        if messages:
            return messages.pop()
        return await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await server({"type": "http", "path": path, "method": method, "headers": []}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def scrape(server):
    status, headers, body = await request(server, "GET", "/metrics")
    assert (status, headers[b"content-type"].decode()) == (200, METRICS_TYPE)
    return parse_metrics(body.decode())[0]


def loaded(encoder):
    server = ModelServer(lambda: encoder, EmbedProtocol())
    server.load_model()
    return server


def test_metrics_count_responses_errors_and_tokens(encoder):
    async def scenario():
        server = loaded(encoder)
        for body in ({"inputs": "cat"}, {"inputs": ["cat", "the dog"]}, {"inputs": ""}, {"inputs": 3}, {"inputs": 4}):
            await request(server, "POST", "/invocations", json.dumps(body).encode())
        return await scrape(server)

    samples = asyncio.run(scenario())
    status = {labels[0][1]: count for labels, count in samples["embedstack_requests_total"].items()}
    assert status == {"200": 2, "400": 1, "422": 2}
    errors = {labels[0][1]: count for labels, count in samples["embedstack_errors_total"].items()}
    assert errors == {"malformed_request": 1, "invalid_request": 2}
    assert samples["embedstack_request_duration_seconds_count"][()] == 2
    assert samples["embedstack_texts_total"][()] == 3
    assert samples["embedstack_tokens_total"][()] == 3 + 3 + 4
    assert 0 < samples["embedstack_batches_total"][()] <= 3
    assert samples["embedstack_batch_capacity_tokens_total"][()] == 256 * samples["embedstack_batches_total"][()]


def test_model_info_escapes_the_model_id(encoder):
    ((labels, value),) = asyncio.run(scrape(loaded(encoder)))["embedstack_model_info"].items()
    assert value == 1
    assert dict(labels)["model_id"] == 'the "best\\" model\n'
    assert dict(labels)["kind"] == "embedding"


def test_metrics_are_served_before_and_after_the_model_is_healthy(encoder):
    server = ModelServer(lambda: encoder, EmbedProtocol())

    async def scenario():
        assert (await request(server, "POST", "/invocations", b'{"inputs": "cat"}'))[0] == 503
        loading = await scrape(server)
        server.load_model()
        healthy = await scrape(server)
        encoder.close()
        return loading, healthy, await scrape(server)

    loading, healthy, closed = asyncio.run(scenario())
    assert [samples["embedstack_ready"][()] for samples in (loading, healthy, closed)] == [0, 1, 0]
    assert loading["embedstack_errors_total"] == {(("type", "not_ready"),): 1}
    assert "embedstack_model_info" not in loading
    assert "embedstack_model_info" in closed


def test_metrics_contain_no_value_of_a_request(encoder):
    async def scenario():
        server = loaded(encoder)
        for body in (
            {"inputs": "secret"},
            {"inputs": "cat", "prompt_name": "secret"},
            {"inputs": "cat", "secret": 1},
            {"inputs": "cat", "model": "secret"},
        ):
            await request(server, "POST", "/invocations", json.dumps(body).encode())
        return (await request(server, "GET", "/metrics"))[2]

    assert b"secret" not in asyncio.run(scenario())


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_metrics_allow_get_only(encoder, method):
    status, headers, _ = asyncio.run(request(loaded(encoder), method, "/metrics"))
    assert (status, headers[b"allow"]) == (405, b"GET")


def test_unexpected_failure_is_counted(encoder):
    class Failing(EmbedProtocol):
        async def respond(self, model, invocation, /):
            raise ZeroDivisionError

    server = ModelServer(lambda: encoder, Failing())
    server.load_model()

    async def scenario():
        with pytest.raises(ZeroDivisionError):
            await request(server, "POST", "/invocations", b"{}")
        return await scrape(server)

    samples = asyncio.run(scenario())
    assert samples["embedstack_requests_total"][("status", "500"),] == 1
    assert samples["embedstack_errors_total"] == {(("type", "internal"),): 1}


@pytest.mark.parametrize(("seconds", "bound"), [(0.0004, 0.001), (0.001, 0.001), (0.0011, 0.0025), (60.1, None)])
def test_latency_is_counted_up_to_each_bucket(seconds, bound):
    metrics = ServerMetrics()
    metrics.count_response(200, seconds)
    metrics.count_response(422, seconds)
    text = metrics.render(Snapshot(True, 0, 0, {}, None)).decode()
    buckets = parse_metrics(text)[0]["embedstack_request_duration_seconds_bucket"]
    counted = [float(labels[0][1]) for labels, count in buckets.items() if count == 1]
    assert counted[0] == (bound or float("inf"))


def test_metrics_are_served_while_requests_wait(encoder):
    go = asyncio.Event()

    class Waiting(EmbedProtocol):
        async def respond(self, model, invocation, /):
            await go.wait()
            return await super().respond(model, invocation)

    server = ModelServer(lambda: encoder, Waiting())
    server.load_model()

    async def scenario():
        body = b'{"inputs": "cat"}'
        waiting = [asyncio.create_task(request(server, "POST", "/invocations", body)) for _ in range(20)]
        await asyncio.sleep(0)  # every request runs up to its wait
        busy = await scrape(server)
        go.set()
        await asyncio.gather(*waiting)
        return busy, await scrape(server)

    busy, idle = asyncio.run(scenario())
    assert busy["embedstack_requests_in_progress"][()] == 20
    assert busy["embedstack_request_bytes_in_progress"][()] == 20 * len(b'{"inputs": "cat"}')
    assert idle["embedstack_requests_in_progress"][()] == 0
    assert idle["embedstack_requests_total"] == {(("status", "200"),): 20}


def test_scheduler_reports_waiting_and_computed_work():
    started, finish = threading.Event(), threading.Event()

    def run(ids, alone):
        started.set()
        finish.wait(10)

    scheduler = Scheduler(run, workers=1, tokens_per_batch=8)
    try:
        first = scheduler.submit([[1] * 10], lambda *_: None)
        started.wait(10)
        second = scheduler.submit([[1, 2], [1, 2, 3]], lambda *_: None)
        cancelled = scheduler.submit([[1]], lambda *_: None)
        cancelled.cancel()
        assert scheduler.workload() == Workload(
            waiting_calls=1, waiting_texts=2, waiting_tokens=5, running_batches=1,
            batches=1, texts=1, tokens=10, capacity_tokens=10,
        )  # fmt: skip
        finish.set()
        first.result(10)
        second.result(10)
        workload = scheduler.workload()
        assert (workload.waiting_calls, workload.texts, workload.tokens) == (0, 3, 15)
    finally:
        finish.set()
        scheduler.close()
