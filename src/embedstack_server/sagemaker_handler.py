"""A packaged model as handler functions of the Hugging Face container.

A package's ``code/inference.py`` imports ``model_fn`` and ``transform_fn`` from this module. The container's server
calls ``transform_fn`` in one thread per worker; the model uses all cores for each call.

Source of the contract: ``handler_service.py`` of the sagemaker-huggingface-inference-toolkit, 2.6.0.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.errors import EmbedStackError
from embedstack_server.compute.loading import load_model
from embedstack_server.http.protocol import EmbedProtocol, Invocation, Response
from embedstack_server.http.requests import RequestError
from embedstack_server.model.manifest import Manifest

if TYPE_CHECKING:
    from embedstack_server.compute.cross_encoder import CrossEncoder
    from embedstack_server.compute.encoder import Encoder

__all__ = ["model_fn", "transform_fn"]

# Response header that SageMaker forwards to the client.
_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True, slots=True)
class LoadedPackage:
    """The object that ``model_fn`` returns and ``transform_fn`` receives."""

    model: "Encoder | CrossEncoder"
    protocol: EmbedProtocol


def model_fn(model_dir: str) -> LoadedPackage:
    """Load the packaged model.

    Raises:
        ConfigurationError: A file of the package is missing or was changed.
    """
    manifest = Manifest.read(Path(model_dir))
    return LoadedPackage(load_model(manifest.folder), EmbedProtocol(manifest.identity))


def transform_fn(model: LoadedPackage, input_data: bytes | str, content_type: str, accept: str, context: Any) -> bytes:
    """Process one request; an error sets the status on ``context`` and returns the same body as the model server."""
    # An unpaired surrogate must reach the parser, which rejects it with the reason.
    body = input_data.encode(errors="surrogatepass") if isinstance(input_data, str) else input_data
    response = asyncio.run(_respond(model, Invocation(body, accept, content_type)))
    if response.status != 200:
        context.set_response_status(code=response.status, phrase="", idx=0)
    if response.custom_attributes is not None:
        context.request_processor[0].add_response_property(_CUSTOM_ATTRIBUTES, response.custom_attributes)
    return response.body


async def _respond(package: LoadedPackage, invocation: Invocation) -> Response:
    try:
        return await package.protocol.respond(package.model, invocation)
    except RequestError as error:
        return package.protocol.render_error(error)
    except EmbedStackError as error:
        return package.protocol.render_error(RequestError.from_error(error))
