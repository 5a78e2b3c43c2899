"""Text Embeddings Inference 1.8: its requests, its limits, its errors.

Taken from its source, ``router/src/http/server.rs`` and ``types.rs``, ``router/src/lib.rs`` and
``core/src/tokenization.rs`` of huggingface/text-embeddings-inference, and from the entrypoint of its SageMaker image,
which sets the payload limit and leaves the other limits at their defaults.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from embedstack.errors import InputError, NonFiniteVector, TextTooLong
from embedstack.serving.protocol import Answer, Invocation
from embedstack.serving.requests import RequestError
from embedstack.serving.tokenizer import Tokenizer

if TYPE_CHECKING:
    from embedstack.serving.encoder import Encoder

MAX_CLIENT_BATCH_SIZE = 32
PAYLOAD_LIMIT_BYTES = 2_000_000
#: More than any text within the payload limit can have.
_ANY_LENGTH = 10_000_000
#: HTTP status of each of TEI's error types.
_STATUS = {"Validation": 413, "Tokenizer": 422, "Backend": 424, "Overloaded": 429, "Unhealthy": 503, "Empty": 400}
_PLAIN = "text/plain; charset=utf-8"
#: Error types of requests that TEI's web framework refuses before TEI sees them, with a plain text body.
_FRAMEWORK = "framework"


class TeiDialect:
    """TEI's ``/embed``, which is what its SageMaker image serves at ``/invocations``."""

    payload_limit = PAYLOAD_LIMIT_BYTES

    async def answer(self, encoder: "Encoder", invocation: Invocation) -> Answer:
        """Embed ``inputs``: one row of floats per text, as JSON whatever the client accepts.

        Raises:
            RequestError: The request is refused.
        """
        _check_content_type(invocation.content_type or "")
        request = _parse(invocation.body)
        texts = _texts(request)
        normalize = _option(request, "normalize", bool, default=True)
        truncate = _option(request, "truncate", bool, default=False)
        dimensions = _option(request, "dimensions", int, default=None)
        prompt_name = _option(request, "prompt_name", str, default=None)
        _check_prompt(encoder, prompt_name)
        if dimensions is not None and not 1 <= dimensions <= encoder.folder.dimensions:
            raise _refusal(
                "Validation",
                f"Input validation error: `dimensions` should be positive and less or equal to "
                f"{encoder.folder.dimensions}",
            )
        try:
            # An empty text is its special tokens to TEI; a blank makes the same tokens for our encoder, which
            # refuses the empty one.
            encoded = await encoder.aencode(
                [text or " " for text in texts],
                truncate=truncate,
                prompt_name=prompt_name,
                # TEI reads a folder's prompts, but not its default_prompt_name.
                prompt="" if prompt_name is None else None,
            )
        except TextTooLong as error:
            raise _too_long(encoder, texts[error.index or 0]) from error
        except NonFiniteVector as error:
            raise _refusal("Backend", "Backend error: the model computed a non-finite value") from error
        except InputError as error:
            raise _refusal("Validation", f"Input validation error: {error}") from error
        vectors = encoded.vectors(dimensions, normalize=normalize)
        return Answer(orjson.dumps(np.ascontiguousarray(vectors), option=orjson.OPT_SERIALIZE_NUMPY))

    def render_error(self, error: RequestError) -> Answer:
        """``{"error", "error_type"}``; plain text for what TEI's web framework refuses."""
        if error.error_type == "payload_too_large":
            return Answer(b"Failed to buffer the request body: length limit exceeded", _PLAIN, 413)
        if error.error_type == _FRAMEWORK:
            return Answer(error.message.encode(), _PLAIN, error.status)
        types = {"overloaded": ("Overloaded", "Model is overloaded"), "not_ready": ("Unhealthy", "unhealthy")}
        error_type, message = types.get(error.error_type, (error.error_type, error.message))
        if error_type not in _STATUS:
            error_type = "Backend"
        return Answer(orjson.dumps({"error": message, "error_type": error_type}), status=_STATUS[error_type])


def _check_content_type(content_type: str) -> None:
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RequestError(415, _FRAMEWORK, "Expected request with `Content-Type: application/json`")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except ValueError as error:
        message = f"Failed to parse the request body as JSON: {error}"
        raise RequestError(400, _FRAMEWORK, message) from error
    if not isinstance(request, dict):
        raise _wrong_type("invalid type, expected struct EmbedRequest")
    return request


def _texts(request: dict[str, Any]) -> list[str]:
    if "inputs" not in request:
        raise _wrong_type("missing field `inputs`")
    inputs = request["inputs"]
    if isinstance(inputs, str):
        return [inputs]
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise _wrong_type("inputs: data did not match any variant of untagged enum Input")
    if not inputs:
        raise _refusal("Empty", "`inputs` cannot be empty")
    if len(inputs) > MAX_CLIENT_BATCH_SIZE:
        raise _refusal("Validation", f"batch size {len(inputs)} > maximum allowed batch size {MAX_CLIENT_BATCH_SIZE}")
    return inputs


def _option(request: dict[str, Any], name: str, kind: type, *, default: Any) -> Any:
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong_type(f"{name}: invalid type")
    return value


def _check_prompt(encoder: "Encoder", name: str | None) -> None:
    if name is None or name in encoder.folder.prompts:
        return
    said = f"Input validation error: `default-prompt-name` is set to `{name}` but"
    if not encoder.folder.prompts:
        raise _refusal("Validation", f"{said} no prompts were found in the Sentence Transformers configuration")
    available = ", ".join(f'"{known}"' for known in encoder.folder.prompts)
    raise _refusal(
        "Validation",
        f"{said} it was not found in the Sentence Transformers prompts. Available prompts: [{available}]",
    )


def _too_long(encoder: "Encoder", text: str) -> RequestError:
    counting = Tokenizer(encoder.folder.tokenizer, _ANY_LENGTH)
    given = len(counting.encode([text], truncate=False)[0])
    limit = encoder.folder.max_tokens
    return _refusal(
        "Validation", f"Input validation error: `inputs` must have less than {limit} tokens. Given: {given}"
    )


def _refusal(error_type: str, message: str) -> RequestError:
    return RequestError(_STATUS[error_type], error_type, message)


def _wrong_type(detail: str) -> RequestError:
    return RequestError(422, _FRAMEWORK, f"Failed to deserialize the JSON body into the target type: {detail}")
