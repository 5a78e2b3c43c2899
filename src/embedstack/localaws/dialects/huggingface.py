"""The Hugging Face inference toolkit's feature-extraction pipeline: one vector per token, not per text.

Taken from ``handler_service.py`` and ``decoder_encoder.py`` of aws/sagemaker-huggingface-inference-toolkit, the error
body of multi-model-server under it, and transformers' ``FeatureExtractionPipeline``.
"""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import orjson

from embedstack.errors import EmbedStackError
from embedstack.serving.encoder import Encoder
from embedstack.serving.manifest import Manifest
from embedstack.serving.model_folder import ModelFolder
from embedstack.serving.protocol import Answer, Invocation
from embedstack.serving.requests import RequestError
from embedstack.serving.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

#: multi-model-server's default for ``max_request_size``.
PAYLOAD_LIMIT_BYTES = 6_553_500
_ANY_LENGTH = 10_000_000


class HuggingFaceDialect:
    """``pipeline("feature-extraction")`` behind the toolkit's default handler."""

    payload_limit = PAYLOAD_LIMIT_BYTES

    def load(self, folder: "Path", model_id: str) -> Encoder:
        """Load as transformers does: float32, and up to the model's position limit.

        The shorter limit that sentence-transformers keeps for a model (256 tokens for all-MiniLM-L6-v2) is not the
        pipeline's.

        Raises:
            ConfigurationError: The folder cannot be served, or a file of a package is missing or damaged.
        """
        if manifest := Manifest.read_optional(folder):
            manifest.verify()
        model = ModelFolder.read(folder, model_id)
        model = dataclasses.replace(model, max_tokens=model.config.max_positions)
        return Encoder.of_folder(model, "fp32")

    async def answer(self, encoder: Encoder, invocation: Invocation) -> Answer:
        """Token vectors: ``[1][tokens][hidden]`` for a text, ``[texts][1][tokens][hidden]`` for a list.

        Raises:
            RequestError: Always 400: the toolkit turns every exception of a handler into it.
        """
        _check_content_type(invocation.content_type or "")
        if invocation.accept not in (None, "", "*/*", "application/json"):
            raise _failure(f"Content type {invocation.accept} is not supported by this framework.")
        try:
            request = json.loads(invocation.body)
        except ValueError as error:
            raise _failure(str(error)) from error
        if not isinstance(request, dict):
            raise _failure(f"'{type(request).__name__}' object has no attribute 'pop'")
        parameters = request.get("parameters") or {}
        inputs = request.get("inputs")
        texts = [inputs] if isinstance(inputs, str) else inputs
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _failure(
                "text input must be of type `str` (single example), `List[str]` (batch or single pretokenized example) "
                "or `List[List[str]]` (batch of pretokenized examples)."
            )
        if not texts:
            return Answer(b"[]")
        vectors = await _encode(encoder, texts, truncate=bool(parameters.get("truncation")))
        document: Any = [[row] for row in vectors]
        return Answer(orjson.dumps(document[0] if isinstance(inputs, str) else document, option=_OPTIONS))

    def render_error(self, error: RequestError) -> Answer:
        """multi-model-server's error body."""
        status = error.status if error.status in (413, 503) else 400
        document = {"code": status, "type": "InternalServerException", "message": error.message}
        return Answer((json.dumps(document, indent=2) + "\n").encode(), status=status)


_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def _check_content_type(content_type: str) -> None:
    """The toolkit's decoders for text are JSON and CSV; only JSON is played."""
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/json":
        raise _failure(
            f"Content type {kind} is not supported by this framework.\n\n            Please implement input_fn to to "
            "deserialize the request data or an output_fn to\n            serialize the response. For more "
            "information, see the SageMaker Python SDK README."
        )


async def _encode(encoder: Encoder, texts: list[str], *, truncate: bool) -> list[Any]:
    limit = encoder.folder.max_tokens
    # The pipeline takes an empty text for its special tokens; a blank makes the same tokens for our encoder.
    texts = [text or " " for text in texts]
    if not truncate:
        for tokens in Tokenizer(encoder.folder.tokenizer, _ANY_LENGTH).encode(texts, truncate=False):
            if len(tokens) > limit:
                raise _failure(
                    f"The size of tensor a ({len(tokens)}) must match the size of tensor b ({limit}) at non-singleton "
                    "dimension 1"
                )
    try:
        return (await encoder.aencode(texts, truncate=truncate, prompt="", hidden=True)).hidden
    except EmbedStackError as error:
        raise _failure(str(error)) from error


def _failure(message: str) -> RequestError:
    return RequestError(400, "InternalServerException", message)
