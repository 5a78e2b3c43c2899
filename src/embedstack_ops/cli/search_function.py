"""The pipeline's search function, asked by name."""

import json
from typing import Any

from embedstack.aws.clients import create_client
from embedstack.errors import EmbedStackError
from embedstack.settings.settings import Settings

__all__ = ["ask"]


def ask(settings: Settings, function: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Search by a deployed function.

    Args:
        settings: Where AWS is.
        function: Its name or ARN.
        request: ``query``, ``k``, ``filter``, ``threshold`` and ``mode``; all but the first may be missing.

    Raises:
        EmbedStackError: The function failed, or refused the search.
    """
    payload = json.dumps({name: value for name, value in request.items() if value is not None})
    answer = create_client("lambda", settings).invoke(FunctionName=function, Payload=payload)
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise EmbedStackError(f"The function {function} failed: {said.get('errorMessage', said.get('errorType'))}")
    if "error" in said:
        raise EmbedStackError(f"The function {function} refuses the search. {said['error']}")
    hits: list[dict[str, Any]] = said["hits"]
    return hits
