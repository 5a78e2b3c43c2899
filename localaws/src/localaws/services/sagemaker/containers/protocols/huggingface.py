"""The Hugging Face inference toolkit's feature-extraction pipeline: one vector per token, not per text.

Sources: ``handler_service.py`` and ``decoder_encoder.py`` of aws/sagemaker-huggingface-inference-toolkit, the error
body of multi-model-server under it, and transformers' ``FeatureExtractionPipeline``.
"""

import dataclasses
import json
import reprlib
from typing import TYPE_CHECKING, Any

import orjson

from embedstack.errors import EmbedStackError, TextTooLong
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.protocol import MAX_REQUEST_TOKENS, Invocation, Response
from embedstack_server.http.requests import RequestError, check_size
from embedstack_server.model.manifest import Manifest
from embedstack_server.model.model_folder import ModelFolder

if TYPE_CHECKING:
    from pathlib import Path

#: multi-model-server's default for ``max_request_size``.
PAYLOAD_LIMIT_BYTES = 6_553_500


class HuggingFaceProtocol:
    """``pipeline("feature-extraction")`` behind the toolkit's default handler."""

    payload_limit = PAYLOAD_LIMIT_BYTES

    def load(self, folder: "Path", model_id: str) -> Encoder:
        """Load as transformers does: float32, and up to the model's position limit.

        The pipeline does not apply sentence-transformers' shorter limit (256 tokens for all-MiniLM-L6-v2).

        Raises:
            ConfigurationError: The folder cannot be served, or a file of a package is missing or damaged.
        """
        if manifest := Manifest.read_optional(folder):
            manifest.verify()
        model = ModelFolder.read(folder, model_id)
        model = dataclasses.replace(model, max_tokens=model.config.max_positions)
        return Encoder.of_folder(model, "fp32")

    async def respond(self, encoder: Encoder, invocation: Invocation) -> Response:
        """Token vectors: ``[1][tokens][hidden]`` for a text, ``[texts][1][tokens][hidden]`` for a list.

        Raises:
            RequestError: Always with status 400, the toolkit's status for every exception of a handler.
        """
        _check_content_type(invocation.content_type or "")
        if invocation.accept not in (None, "", "*/*", "application/json"):
            raise _failure(f"Content type {invocation.accept} is not supported by this framework.")
        try:
            check_size(invocation.body)
            request = json.loads(invocation.body)
        except (ValueError, RecursionError, RequestError) as error:
            raise _failure(str(error)) from error
        if not isinstance(request, dict):
            raise _failure(f"'{type(request).__name__}' object has no attribute 'pop'")
        truncate = _truncation(request.get("parameters"))
        inputs = request.get("inputs")
        texts = [inputs] if isinstance(inputs, str) else inputs
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _failure(
                "text input must be of type `str` (single example), `List[str]` (batch or single pretokenized example) "
                "or `List[List[str]]` (batch of pretokenized examples)."
            )
        if not texts:
            return Response(b"[]")
        vectors = await _encode(encoder, texts, truncate=truncate)
        document: Any = [[row] for row in vectors]
        body = orjson.dumps(document[0] if isinstance(inputs, str) else document, option=_OPTIONS)
        if len(body) > PAYLOAD_LIMIT_BYTES:
            raise _response_too_large()
        return Response(body)

    def render_error(self, error: RequestError) -> Response:
        """multi-model-server's error body."""
        status = error.status if error.status in (413, 503) else 400
        document = {"code": status, "type": "InternalServerException", "message": error.message}
        text = json.dumps(document, indent=2)
        for character in _ESCAPED:
            text = text.replace(character, f"\\u{ord(character):04x}")
        return Response((text + "\n").encode(), status=status)


#: Characters that multi-model-server's JSON library, Gson, escapes.
_ESCAPED = "<>&='"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
#: Values of ``truncation`` in transformers, and whether a single text is then truncated.
_TRUNCATIONS = {
    None: False,
    False: False,
    True: True,
    "do_not_truncate": False,
    "longest_first": True,
    "only_first": True,
}


def _check_content_type(content_type: str) -> None:
    """The toolkit decodes JSON and CSV; only JSON is supported here."""
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/json":
        raise _failure(
            f"Content type {kind} is not supported by this framework.\n\n            Please implement input_fn to to "
            "deserialize the request data or an output_fn to\n            serialize the response. For more "
            "information, see the SageMaker Python SDK README."
        )


def _truncation(parameters: Any) -> bool:
    """Whether the pipeline truncates.

    Raises:
        RequestError: The parameters are invalid, or not supported here.
    """
    if parameters is None:
        return False
    if not isinstance(parameters, dict):
        raise _failure(f"argument after ** must be a mapping, not {type(parameters).__name__}")
    if unsupported := sorted(set(parameters) & {"tokenize_kwargs", "return_tensors"}):
        raise _failure(f"{', '.join(unsupported)} is not supported by the local AWS; truncation is.")
    truncation = parameters.get("truncation")
    if not isinstance(truncation, bool | str | None) or truncation not in _TRUNCATIONS:
        raise _failure(f"{reprlib.repr(truncation)} is not a valid TruncationStrategy.")
    return _TRUNCATIONS[truncation]


async def _encode(encoder: Encoder, texts: list[str], *, truncate: bool) -> list[Any]:
    limit = encoder.model.max_tokens
    try:
        # The pipeline embeds the special tokens of an empty text; our encoder gets the same tokens from a blank.
        texts = [text or " " for text in texts]
        tokenized = await encoder.atokenize(texts, truncate=truncate, prompt="", most_tokens=MAX_REQUEST_TOKENS)
        # Each number takes at least eight bytes in the response.
        tokens = sum(len(text.ids) for text in tokenized)
        if tokens * encoder.model.dimensions * 8 > PAYLOAD_LIMIT_BYTES:
            raise _response_too_large()
        return (await encoder.acompute([text.ids for text in tokenized], lambda _, hidden: hidden.copy())).derived
    except TextTooLong as error:
        tokens = await encoder.acount(texts[error.index or 0])
        raise _failure(
            f"The size of tensor a ({tokens}) must match the size of tensor b ({limit}) at non-singleton dimension 1"
        ) from error
    except EmbedStackError as error:
        raise _failure(str(error)) from error


def _response_too_large() -> RequestError:
    """multi-model-server sends no response over its ``max_response_size``, whose default is that of requests."""
    return _failure(f"The response would be over multi-model-server's limit of {PAYLOAD_LIMIT_BYTES} bytes.")


def _failure(message: str) -> RequestError:
    return RequestError(400, "InternalServerException", message)
