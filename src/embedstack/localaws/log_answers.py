"""CloudWatch Logs' answers without the nulls that moto writes for members that are not there."""

import json
from typing import Any

from moto.logs.responses import LogsResponse

__all__ = ["Logs"]


class Logs(LogsResponse):  # type: ignore[misc]  # moto is untyped
    """A last page has no nextToken: AWS leaves it out, and moto writes null."""

    def call_action(self) -> Any:
        """Answer an action."""
        status, headers, body = super().call_action()
        if isinstance(body, str) and ": null" in body:
            body = json.dumps(_without_nulls(json.loads(body)))
        return status, headers, body


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
