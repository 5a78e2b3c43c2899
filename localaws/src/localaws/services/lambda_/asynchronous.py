"""Asynchronous invocation: events wait in a queue of Lambda's own, are tried again, and end at a destination.

"How Lambda handles errors and retries with asynchronous invocation" and "Capturing records of Lambda asynchronous
invocations" in the Lambda developer guide.
"""

import json
import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.sqs.exceptions import SQSException
from moto.sqs.models import sqs_backends

from localaws.services.lambda_.pool import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

    from localaws.core.clock import SimulatedTime
    from localaws.services.lambda_.invocations import FunctionResult
    from localaws.services.lambda_.metrics import FunctionMetrics
    from localaws.services.lambda_.record import FunctionRecord

__all__ = ["ASYNCHRONOUS_BYTES", "AsyncInvocations"]

#: "For asynchronous invocations, the maximum payload size is 1 MB" (API reference of Invoke).
ASYNCHRONOUS_BYTES = 1_048_576
_RETRIES = 2
_MAX_AGE = 21_600
#: Simulated seconds before the first and the second retry of a function that failed.
_RETRY_AFTER = (60.0, 120.0)
#: A throttled event is tried again after 1 second, and so on up to 5 minutes.
_THROTTLE_LIMIT = 300.0
_WORKERS = 16

_logger = logging.getLogger(__name__)


class AsyncInvocations:
    """Events under way to functions."""

    def __init__(
        self,
        invoke: "Callable[[FunctionRecord, bytes, str], FunctionResult]",
        metrics: "FunctionMetrics",
        time: "SimulatedTime",
    ) -> None:
        """Prepare.

        Args:
            invoke: Runs a function once, with an event and the invocation's id.
            metrics: Of functions.
            time: By which retries wait.
        """
        self._invoke = invoke
        self._metrics = metrics
        self._time = time
        self._stopped = threading.Event()
        self._workers = ThreadPoolExecutor(_WORKERS, "async-invocation")

    def submit(self, function: "FunctionRecord", payload: bytes) -> str:
        """Take an event; returns the invocation's id at once."""
        request_id = str(uuid.uuid4())
        self._record(function, "AsyncEventsReceived")
        self._workers.submit(self._run, function, payload, request_id)
        return request_id

    def close(self) -> None:
        """Drop what waits; returns when nothing runs."""
        self._stopped.set()
        self._time.advance(0)
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _run(self, function: "FunctionRecord", payload: bytes, request_id: str) -> None:
        try:
            self._deliver(function, payload, request_id)
        except InterruptedError:
            return
        except Exception:
            _logger.exception("asynchronous invocation %s failed", request_id)

    def _deliver(self, function: "FunctionRecord", payload: bytes, request_id: str) -> None:
        """Try until the function succeeds or the event is given up."""
        settings = function.event_invoke
        retries = settings.get("MaximumRetryAttempts")
        waits = list(_RETRY_AFTER[: _RETRIES if retries is None else int(retries)])
        expires = self._time.seconds() + float(settings.get("MaximumEventAgeInSeconds") or _MAX_AGE)
        backoff, attempts, result = 1.0, 0, None
        while not self._stopped.is_set():
            try:
                result = self._invoke(function, payload, request_id)
            except Throttled:
                wait, backoff = backoff, min(_THROTTLE_LIMIT, backoff * 2)
            else:
                attempts += 1
                if not result.failed:
                    self._report(function, settings, "OnSuccess", payload, request_id, result, attempts)
                    return
                if not waits:
                    break
                wait = waits.pop(0)
            if self._time.seconds() + wait > expires:
                break
            self._time.wait(wait, self._stopped)
        if self._stopped.is_set():
            return
        self._record(function, "AsyncEventsDropped")
        self._report(function, settings, "OnFailure", payload, request_id, result, attempts)
        self._bury(function, payload, request_id, result)

    def _report(
        self,
        function: "FunctionRecord",
        settings: dict[str, Any],
        outcome: str,
        payload: bytes,
        request_id: str,
        result: "FunctionResult | None",
        attempts: int,
    ) -> None:
        """Send the record of an invocation to the destination that is configured for its outcome."""
        target = ((settings.get("DestinationConfig") or {}).get(outcome) or {}).get("Destination")
        if not target:
            return
        now = datetime.now(UTC)
        conditions = {"OnSuccess": "Success", "OnFailure": "RetriesExhausted" if result else "EventAgeExceeded"}
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
            "requestContext": {
                "requestId": request_id,
                "functionArn": f"{function.unqualified_arn}:{function.version}",
                "condition": conditions[outcome],
                "approximateInvokeCount": attempts,
            },
            "requestPayload": json.loads(payload or b"{}"),
        }
        if result is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": result.version}
            if result.failed:
                record["responseContext"]["functionError"] = "Unhandled"
            record["responsePayload"] = json.loads(result.payload)
        if not _send(target, json.dumps(record), {}):
            self._record(function, "DestinationDeliveryFailures")

    def _bury(
        self, function: "FunctionRecord", payload: bytes, request_id: str, result: "FunctionResult | None"
    ) -> None:
        """Send an event that failed to the function's dead-letter queue."""
        if not function.dead_letter_arn:
            return
        message = json.loads(result.payload).get("errorMessage", "") if result is not None else "Rate Exceeded."
        attributes = {
            "RequestID": {"DataType": "String", "StringValue": request_id},
            "ErrorCode": {"DataType": "Number", "StringValue": "200" if result is not None else "429"},
            "ErrorMessage": {"DataType": "String", "StringValue": str(message)[:1024] or "-"},
        }
        if not _send(function.dead_letter_arn, payload.decode(), attributes):
            self._record(function, "DeadLetterErrors")

    def _record(self, function: "FunctionRecord", metric: str) -> None:
        self._metrics.record(function.account_id, function.region, function.function_name, [(metric, 1)])


def _send(target: str, body: str, attributes: dict[str, Any]) -> bool:
    """Send to a queue; says whether it is there. Other targets are not delivered to."""
    _, _, service, region, account_id, name = target.split(":", 5)
    if service != "sqs":
        return False
    try:
        sqs_backends[account_id][region].send_message(name, body, message_attributes=attributes)
    except SQSException:
        return False
    return True
