"""SNS notifications about asynchronous requests.

The message is the one in the SageMaker developer guide, "Check prediction results", under "Amazon SNS Topics".
"""

import json
from datetime import datetime
from typing import Any

from localaws.services.sagemaker.async_inference.queue import AsyncRequest

__all__ = ["message"]


def message(
    region: str,
    endpoint: str,
    request: AsyncRequest,
    now: datetime,
    *,
    content_type: str = "",
    failure: str = "",
    status: str = "",
) -> str:
    """The message for one request.

    Args:
        region: The region.
        endpoint: The endpoint's name.
        request: The request.
        now: Time at which it ended.
        content_type: The response's Content-Type.
        failure: Reason of the failure; empty for a success.
        status: The invocationStatus; defaults to Completed or Failed.
    """
    location = ("failureLocation", request.failure_location) if failure else ("outputLocation", request.output_location)
    response = {"contentType": content_type or None, location[0]: location[1]}
    body: dict[str, Any] = {
        "awsRegion": region,
        "eventTime": _stamp(now),
        "receivedTime": _stamp(request.received),
        "invocationStatus": status or ("Failed" if failure else "Completed"),
        "failureReason": failure or None,
        "requestParameters": _present(
            {
                "accept": request.headers.get("Accept"),
                "contentType": request.headers.get("Content-Type"),
                "customAttributes": request.headers.get("X-Amzn-SageMaker-Custom-Attributes"),
                "endpointName": endpoint,
                "inputLocation": request.input_location,
            }
        ),
        "responseParameters": _present(response) or None,
        "inferenceId": request.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    return json.dumps(_present(body), separators=(",", ":"))


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
