"""The queue of an asynchronous endpoint: order, capacity, expiry."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from localaws.services.sagemaker.async_inference.api import read_request
from localaws.services.sagemaker.async_inference.queue import AsyncRequest, RequestQueue
from localaws.services.sagemaker.endpoints.settings import AsyncSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUT = {"S3OutputPath": "s3://bucket/out/", "S3FailurePath": "s3://bucket/failed"}


def request(name: str, age: float = 0, ttl: float = 3600) -> AsyncRequest:
    return AsyncRequest(name, {}, NOW - timedelta(seconds=age), ttl=timedelta(seconds=ttl))


def settings(**output: object) -> AsyncSettings:
    read = AsyncSettings.from_request({"OutputConfig": {**OUTPUT, **output}})
    assert read is not None
    return read


def test_take_is_in_order_for_the_variant_with_most_capacity() -> None:
    queue = RequestQueue()
    for name in "abcd":
        queue.add(request(name))
    taken = [queue.take({"small": 1, "large": 2}) for _ in range(4)]
    assert [entry and (entry[0].inference_id, entry[1]) for entry in taken[:3]] == [
        ("a", "large"),
        ("b", "small"),
        ("c", "large"),
    ]
    assert taken[3] is None
    assert queue.size == 4


def test_take_without_capacity_returns_none() -> None:
    queue = RequestQueue()
    queue.add(request("a", age=90))
    assert queue.take({}) is None
    assert queue.take({"v": 0}) is None
    assert (queue.size, queue.oldest_age(NOW)) == (1, 90)


def test_requeued_request_comes_first() -> None:
    queue = RequestQueue()
    queue.add(request("a"))
    queue.add(request("b"))
    taken = queue.take({"v": 1})
    assert taken is not None
    queue.end(*taken, requeue=True)
    again = queue.take({"v": 1})
    assert again is not None
    assert again[0].inference_id == "a"
    queue.end(*again)
    assert queue.size == 1


def test_only_waiting_requests_expire() -> None:
    queue = RequestQueue()
    for name, ttl in (("worked on", 1), ("late", 60), ("in time", 120)):
        queue.add(request(name, age=100, ttl=ttl))
    queue.take({"v": 1})
    assert [request.inference_id for request in queue.take_expired(NOW)] == ["late"]
    assert queue.size == 2


@given(st.lists(st.sampled_from(["add", "take", "end", "again"]), max_size=60))
def test_queue_neither_loses_nor_duplicates_requests(steps: list[str]) -> None:
    queue, running, added, ended = RequestQueue(), [], 0, 0
    for step in steps:
        if step == "add":
            queue.add(request(f"same id {added % 3}"))
            added += 1
        elif step == "take":
            taken = queue.take({"v": 2})
            if taken is not None:
                running.append(taken)
        elif running:
            queue.end(*running.pop(0), requeue=step == "again")
            ended += step == "end"
        assert queue.size == added - ended
        assert len(running) <= 2


def test_locations_follow_the_calls_members() -> None:
    headers = {"X-Amzn-SageMaker-Inference-Id": "id", "X-Amzn-SageMaker-S3OutputPathExtension": "/team/"}
    read = read_request("e", headers, b"body", settings(), NOW)
    assert read.output_location == "s3://bucket/out/team/id.out"
    assert read.failure_location == "s3://bucket/failed/team/id-error.out"
    assert (read.ttl, read.timeout) == (timedelta(hours=6), 900)
    assert read_request("e", {}, b"body", settings(S3FailurePath=None), NOW).failure_location is None


def test_settings_name_unsupported_features() -> None:
    topics = {"IncludeInferenceResponseIn": ["SUCCESS_NOTIFICATION_TOPIC"]}
    with pytest.raises(NotImplementedError, match="IncludeInferenceResponseIn"):
        settings(NotificationConfig=topics)
