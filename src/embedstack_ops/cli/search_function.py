"""Calls of the pipeline's search function."""

import json
from typing import Any

from embedstack.aws.clients import create_client
from embedstack.errors import EmbedStackError
from embedstack.settings.settings import Settings

__all__ = ["invoke"]


def invoke(settings: Settings, function: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Search with a deployed function and return the hits.

    Args:
        settings: Region, credentials and address of AWS.
        function: Name or ARN.
        request: ``query`` and optionally ``k``, ``filter``, ``threshold``, ``mode``, ``rerank`` and ``candidates``.

    Raises:
        EmbedStackError: The function failed or rejected the search.
    """
    payload = json.dumps({name: value for name, value in request.items() if value is not None})
    response = create_client("lambda", settings).invoke(FunctionName=function, Payload=payload)
    result = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        raise EmbedStackError(f"The function {function} failed: {result.get('errorMessage', result.get('errorType'))}")
    if "error" in result:
        raise EmbedStackError(f"The function {function} rejected the search. {result['error']}")
    hits: list[dict[str, Any]] = result["hits"]
    return hits
