"""An application for gunicorn: it is loaded, and has embedded, before the workers are forked."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.integration.forks.objects import sagemaker

embedder = sagemaker()
embedder.embed([f"before the fork {number}" for number in range(8)])


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Embed the texts of a request."""
    texts = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    body = json.dumps({"process": os.getpid(), "vectors": embedder.embed(texts).tolist()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
