"""The model server's encoder behind the HuggingFace container's handler contract.

A package's ``code/inference.py`` imports ``model_fn`` and ``transform_fn`` from here. The container's own server calls
``transform_fn`` in one thread per worker; the encoder uses all cores for each call.

Source of the contract: ``handler_service.py`` of the sagemaker-huggingface-inference-toolkit, 2.6.0.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedstack.errors import EmbedStackError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import Answer, EmbedProtocol, Invocation
from embedstack_server.http.requests import RequestError
from embedstack_server.model.manifest import Manifest

__all__ = ["model_fn", "transform_fn"]

# SageMaker passes this header of a response on.
_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


@dataclass(frozen=True, slots=True)
class LoadedPackage:
    """What ``model_fn`` gives to ``transform_fn``: the model, and how it speaks."""

    encoder: Encoder
    protocol: EmbedProtocol


def model_fn(model_dir: str) -> LoadedPackage:
    """Load the packaged model.

    Raises:
        ConfigurationError: A file of the package is missing or is not the one that was packaged.
    """
    manifest = Manifest.read(Path(model_dir))
    return LoadedPackage(Encoder.load(manifest.folder), EmbedProtocol(manifest.identity))


def transform_fn(model: LoadedPackage, input_data: bytes | str, content_type: str, accept: str, context: Any) -> bytes:
    """Answer one request; an error sets its status on ``context`` and is answered as the product's own server does."""
    # Half of a surrogate pair is passed on, to be refused with the reason.
    body = input_data.encode(errors="surrogatepass") if isinstance(input_data, str) else input_data
    answer = asyncio.run(_answer(model, Invocation(body, accept, content_type)))
    if answer.status != 200:
        context.set_response_status(code=answer.status, phrase="", idx=0)
    if answer.custom_attributes is not None:
        context.request_processor[0].add_response_property(_CUSTOM_ATTRIBUTES, answer.custom_attributes)
    return answer.body


async def _answer(model: LoadedPackage, invocation: Invocation) -> Answer:
    try:
        return await model.protocol.answer(model.encoder, invocation)
    except RequestError as error:
        return model.protocol.render_error(error)
    except EmbedStackError as error:
        return model.protocol.render_error(RequestError.from_error(error))
