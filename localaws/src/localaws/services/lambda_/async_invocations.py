"""Asynchronous invocations: the queue of events of all functions, with retries, dead-letter queues and destinations.

Rules: "How Lambda handles errors and retries with asynchronous invocation" and "Capturing records of Lambda
asynchronous invocations" in the Lambda developer guide. Retries are due on the simulated clock.
"""

import json
import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.awslambda.exceptions import UnknownFunctionException

from localaws.core.threads import Ticker
from localaws.services.lambda_.pool import Throttled
from localaws.services.sns.topic_delivery import publish
from localaws.services.sqs.queue_delivery import send_to_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from localaws.core.clock import SimulatedTime
    from localaws.services.lambda_.invocations import FunctionResult
    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["AsyncEvent", "AsyncInvocations"]

_logger = logging.getLogger(__name__)

#: Waits before the second and the third attempt after a function error.
_ERROR_WAITS = (timedelta(minutes=1), timedelta(minutes=2))
#: Longest wait after a throttled attempt; the first one is a second, and each one doubles.
_MAX_THROTTLE_SECONDS = 300
_DEFAULT_RETRIES = 2
_DEFAULT_AGE_SECONDS = 6 * 3600
#: Length of the error message in an attribute of a DLQ message ("the first 1 KB of the error message").
_ERROR_BYTES = 1024


@dataclass(slots=True)
class AsyncEvent:
    """An event in the queue.

    Attributes:
        account_id: The function's account.
        region: The function's region.
        function_arn: ARN of the function, with the version or alias of the request.
        payload: The event, JSON.
        request_id: Id of the invocation, also of its retries.
        accepted: When it was accepted.
        due: When it is handed to the function next.
        attempts: Number of attempts that ended with a function error.
        throttles: Number of throttled attempts.
    """

    account_id: str
    region: str
    function_arn: str
    payload: bytes
    request_id: str
    accepted: datetime
    due: datetime
    attempts: int = 0
    throttles: int = 0


class AsyncInvocations:
    """Runs queued events from :meth:`start` to :meth:`close`, those of one function one after the other."""

    _TICK_SECONDS = 0.05

    def __init__(
        self,
        find: "Callable[[AsyncEvent], FunctionRecord]",
        invoke: "Callable[[FunctionRecord, AsyncEvent], FunctionResult]",
        time: "SimulatedTime",
        events: list[AsyncEvent],
    ) -> None:
        """Prepare.

        Args:
            find: Returns the function of an event.
            invoke: Runs the function with an event.
            time: The clock of retries.
            events: The queue, with the events so far.
        """
        self._find = find
        self._invoke = invoke
        self._time = time
        self._events = events
        self._lock = threading.Lock()
        self._workers: dict[str, threading.Thread] = {}
        self._clock = Ticker("async-invocations", self._TICK_SECONDS, self._tick)

    def start(self) -> None:
        """Start running events."""
        self._clock.start()

    def close(self, *, wait: bool = True) -> None:
        """Stop; an event that runs stays in the queue. With ``wait``, return once the last one has ended."""
        self._clock.close(wait=wait)
        if not wait:
            return
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.join()

    def submit(self, event: AsyncEvent) -> None:
        """Add an event to the queue."""
        with self._lock:
            self._events.append(event)

    def _tick(self) -> None:
        now = self._time.now()
        with self._lock:
            due = {event.function_arn for event in self._events if event.due <= now}
            for function_arn in due - self._workers.keys():
                worker = threading.Thread(target=self._work, args=(function_arn,), name="async-worker", daemon=True)
                self._workers[function_arn] = worker
                worker.start()

    def _work(self, function_arn: str) -> None:
        try:
            while (event := self._next(function_arn)) is not None:
                self._run(event)
        except InterruptedError:
            return
        finally:
            with self._lock:
                del self._workers[function_arn]

    def _next(self, function_arn: str) -> AsyncEvent | None:
        """The event of a function that has been due for the longest time."""
        if self._clock.closed:
            return None
        now = self._time.now()
        with self._lock:
            due = [event for event in self._events if event.function_arn == function_arn and event.due <= now]
        return min(due, key=lambda event: event.due, default=None)

    def _run(self, event: AsyncEvent) -> None:
        """Run an event once; it leaves the queue unless it is retried."""
        try:
            function = self._find(event)
        except UnknownFunctionException:
            self._remove(event)
            return
        now = self._time.now()
        config = function.async_config
        if now - event.accepted > timedelta(seconds=config.get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS)):
            self._give_up(function, event, "EventAgeExceeded", None)
            return
        try:
            result = self._invoke(function, event)
        except Throttled:
            if function.reserved_concurrency == 0:
                self._give_up(function, event, "ReservedConcurrencyIsZero", None)
                return
            event.due = now + timedelta(seconds=min(2**event.throttles, _MAX_THROTTLE_SECONDS))
            event.throttles += 1
            return
        if self._clock.closed:
            return
        event.attempts += 1
        if not result.failed:
            self._remove(event)
            self._report(function, event, "Success", result)
        elif event.attempts > config.get("MaximumRetryAttempts", _DEFAULT_RETRIES):
            self._give_up(function, event, "RetriesExhausted", result)
        else:
            event.due = now + _ERROR_WAITS[event.attempts - 1]

    def _remove(self, event: AsyncEvent) -> None:
        with self._lock:
            self._events.remove(event)

    def _give_up(
        self, function: "FunctionRecord", event: AsyncEvent, condition: str, result: "FunctionResult | None"
    ) -> None:
        self._remove(event)
        if function.dead_letter_target:
            error = json.loads(result.payload) if result is not None else {}
            attributes = {
                "RequestID": event.request_id,
                "ErrorCode": "200" if result is not None else "429",
                "ErrorMessage": (str(error.get("errorMessage") or condition).encode()[:_ERROR_BYTES]).decode(
                    errors="ignore"
                ),
            }
            _send(function.dead_letter_target, event.payload.decode(), attributes)
        self._report(function, event, condition, result)

    def _report(
        self, function: "FunctionRecord", event: AsyncEvent, condition: str, result: "FunctionResult | None"
    ) -> None:
        """Send an invocation record to the destination, if one is configured."""
        outcome = "OnSuccess" if condition == "Success" else "OnFailure"
        destinations = function.async_config.get("DestinationConfig") or {}
        destination = (destinations.get(outcome) or {}).get("Destination")
        if not destination:
            return
        now = self._time.now()
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
            "requestContext": {
                "requestId": event.request_id,
                "functionArn": f"{function.unqualified_arn}:{function.version}",
                "condition": condition,
                "approximateInvokeCount": event.attempts,
            },
            "requestPayload": json.loads(event.payload or b"{}"),
        }
        if result is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": result.version}
            if result.failed:
                record["responseContext"]["functionError"] = "Unhandled"
            record["responsePayload"] = json.loads(result.payload or b"null")
        _send(destination, json.dumps(record), {})


def _send(destination: str, message: str, attributes: dict[str, str]) -> None:
    """Send a message to a queue or a topic; a failure is logged, as Lambda only counts it."""
    try:
        if ":sns:" in destination:
            publish(destination, message, None)
        else:
            send_to_queue(destination, message, attributes)
    except Exception:
        _logger.exception("sending to %s failed", destination)
