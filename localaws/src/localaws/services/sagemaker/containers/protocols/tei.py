"""Text Embeddings Inference 1.8: its requests, its limits, its errors.

Taken from its source, ``router/src/http/server.rs`` and ``types.rs``, ``router/src/lib.rs``, ``core/src/infer.rs`` and
``core/src/tokenization.rs`` of huggingface/text-embeddings-inference at v1.8.2, from how serde_json 1.0.140 and axum
0.7.9, which it is built with, read a body, and from the entrypoint of its SageMaker image, which sets the payload limit
and leaves the other limits at their defaults.
"""

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from embedstack.errors import InputError, NonFiniteVector, TextTooLong
from embedstack_server.http.protocol import Invocation, Response
from embedstack_server.http.requests import RequestError, check_size

if TYPE_CHECKING:
    from embedstack_server.compute.encoder import Encoder
    from embedstack_server.model.tokenizer import TextInput, TruncationDirection

MAX_CLIENT_BATCH_SIZE = 32
PAYLOAD_LIMIT_BYTES = 2_000_000
#: Characters per token of the model's limit. Longer inputs are rejected, or truncated before tokenizing.
MAX_CHAR_MULTIPLIER = 250
#: HTTP status of each of TEI's error types.
_STATUS = {"Validation": 413, "Tokenizer": 422, "Backend": 424, "Overloaded": 429, "Unhealthy": 503, "Empty": 400}
_PLAIN = "text/plain; charset=utf-8"
#: Error type of requests that TEI's web framework rejects before TEI sees them, with a plain text body.
_FRAMEWORK = "framework"
_MEMBERS = ("inputs", "truncate", "truncation_direction", "prompt_name", "normalize", "dimensions")
#: serde_json's limit on nested lists and objects, without the body itself.
_MAX_DEPTH = 127
_MAX_U32 = 2**32 - 1
_MAX_U64 = 2**64 - 1


class TeiProtocol:
    """TEI's ``/embed``, which its SageMaker image serves at ``/invocations``."""

    payload_limit = PAYLOAD_LIMIT_BYTES

    async def respond(self, encoder: "Encoder", invocation: Invocation) -> Response:
        """Embed ``inputs``: one row of floats per text, as JSON whatever the client accepts.

        Raises:
            RequestError: The request is rejected.
        """
        _check_content_type(invocation.content_type or "")
        request = _parse(invocation.body)
        inputs = _inputs(request)
        normalize = _option(request, "normalize", bool, default=True)
        truncate = _option(request, "truncate", bool, default=None) or False
        direction = _direction(request)
        dimensions = _option(request, "dimensions", int, default=None)
        prompt_name = _option(request, "prompt_name", str, default=None)
        if dimensions == 0:
            raise _invalid("`dimensions` should be positive")
        _check_batch(inputs)
        _check_prompt(encoder, prompt_name)
        limit = encoder.model.max_tokens * MAX_CHAR_MULTIPLIER
        inputs = [_within(limit, value, truncate=truncate) for value in inputs]
        try:
            encoded = await encoder.aencode(
                inputs,
                truncate=truncate,
                direction=direction,
                prompt_name=prompt_name,
                # TEI reads a folder's prompts, but not its default_prompt_name.
                prompt="" if prompt_name is None else None,
            )
        except TextTooLong as error:
            raise await _too_long(encoder, inputs[error.index or 0], prompt_name) from error
        except NonFiniteVector as error:
            raise _refusal("Backend", "Backend error: the model computed a non-finite value") from error
        except InputError as error:
            raise _invalid(str(error)) from error
        if dimensions is not None and dimensions > encoder.model.dimensions:
            raise _invalid("`dimensions` should be smaller than the maximum embedding dimension.")
        vectors = encoded.vectors(dimensions, normalize=normalize)
        return Response(orjson.dumps(np.ascontiguousarray(vectors), option=orjson.OPT_SERIALIZE_NUMPY))

    def render_error(self, error: RequestError) -> Response:
        """``{"error", "error_type"}``; plain text for what TEI's web framework rejects."""
        if error.error_type == "payload_too_large":
            return Response(b"Failed to buffer the request body: length limit exceeded", _PLAIN, 413)
        if error.error_type == _FRAMEWORK:
            return Response(error.message.encode(), _PLAIN, error.status)
        types = {"overloaded": ("Overloaded", "Model is overloaded"), "not_ready": ("Unhealthy", "unhealthy")}
        error_type, message = types.get(error.error_type, (error.error_type, error.message))
        if error_type not in _STATUS:
            error_type = "Backend"
        return Response(orjson.dumps({"error": message, "error_type": error_type}), status=_STATUS[error_type])


def _check_content_type(content_type: str) -> None:
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RequestError(415, _FRAMEWORK, "Expected request with `Content-Type: application/json`")


def _parse(body: bytes) -> dict[str, Any]:
    """The body as serde_json reads it for a struct. Anything after the document is ignored."""
    try:
        check_size(body)
        text = body.decode().lstrip(" \t\n\r")
        request, _ = _DECODER.raw_decode(text)
    except RequestError as error:
        raise _wrong_type(error.message) from error
    except (ValueError, RecursionError) as error:
        raise _syntax_error(str(error)) from error
    if not isinstance(request, _Members):
        raise _wrong_type("invalid type, expected struct EmbedRequest")
    members: dict[str, Any] = {}
    for name, value in request:
        if name in members:
            raise _wrong_type(f"duplicate field `{name}`")
        if name in _MEMBERS:
            members[name] = value
    return members


class _Members(list[tuple[str, Any]]):
    """A JSON object, possibly with duplicate names."""


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"expected value: {name}")


_DECODER = json.JSONDecoder(object_pairs_hook=_Members, parse_float=_finite, parse_constant=_no_constant)


def _inputs(request: dict[str, Any]) -> "list[TextInput]":
    """TEI's ``Input``: one text or its token ids, or a list of these."""
    if "inputs" not in request:
        raise _wrong_type("missing field `inputs`")
    value = request["inputs"]
    inputs: Any = [value] if _is_input(value) else value
    if type(inputs) is not list or not all(map(_is_input, inputs)):
        _check_depth(value)
        raise _wrong_type("inputs: data did not match any variant of untagged enum Input")
    if any(_has_surrogate(text) for text in inputs):
        raise _syntax_error("lone leading surrogate in hex escape")
    checked: list[TextInput] = inputs
    return checked


def _is_input(value: Any) -> bool:
    """Whether a value is TEI's ``InputType``; an empty list has no token ids."""
    return isinstance(value, str) or (
        type(value) is list and all(type(number) is int and 0 <= number <= _MAX_U32 for number in value)
    )


def _has_surrogate(value: "TextInput") -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_depth(value: Any) -> None:
    """Reject values that are nested too deeply for serde_json."""
    level, depth = [value], 1
    while level := [item for parent in level if isinstance(parent, list) for item in parent]:
        # A member of an object is a pair here.
        level = [item[1] if isinstance(item, tuple) else item for item in level]
        depth += 1
        if depth > _MAX_DEPTH:
            raise _syntax_error("recursion limit exceeded")


def _check_batch(inputs: "list[TextInput]") -> None:
    if len(inputs) > MAX_CLIENT_BATCH_SIZE:
        raise _refusal("Validation", f"batch size {len(inputs)} > maximum allowed batch size {MAX_CLIENT_BATCH_SIZE}")
    if not all(inputs):
        raise _invalid("`inputs` cannot be empty")


def _option(request: dict[str, Any], name: str, kind: type, *, default: Any) -> Any:
    """An optional member; null is the default None."""
    value = request.get(name, default)
    if value is None and default is None:
        return None
    if type(value) is not kind or (isinstance(value, int) and not 0 <= value <= _MAX_U64):
        raise _wrong_type(f"{name}: invalid type")
    if isinstance(value, str) and _has_surrogate(value):
        raise _syntax_error("lone leading surrogate in hex escape")
    return value


def _direction(request: dict[str, Any]) -> "TruncationDirection":
    match request.get("truncation_direction", "Right"):
        case "Left":
            return "left"
        case "Right":
            return "right"
        case str() | _Members():
            raise _wrong_type("truncation_direction: unknown variant, expected `Left` or `Right`")
        case _:  # serde_json does not take this for an enum
            raise _syntax_error("truncation_direction: expected value")


def _within(limit: int, value: "TextInput", *, truncate: bool) -> "TextInput":
    """The input within TEI's limit on characters; truncation counts bytes."""
    if len(value) <= limit:
        return value
    if not truncate:
        raise _invalid(f"`inputs` must have less than {limit} characters. Given: {len(value)}")
    if not isinstance(value, str):
        return value
    try:
        return value.encode()[:limit].decode()
    except UnicodeDecodeError:  # TEI truncates nothing if it would cut a character
        return value


def _check_prompt(encoder: "Encoder", name: str | None) -> None:
    if name is None or name in encoder.model.prompts:
        return
    problem = f"`default-prompt-name` is set to `{name[:100]}` but"
    if not encoder.model.prompts:
        raise _invalid(f"{problem} no prompts were found in the Sentence Transformers configuration")
    available = ", ".join(f'"{prompt}"' for prompt in encoder.model.prompts)
    raise _invalid(f"{problem} it was not found in the Sentence Transformers prompts. Available prompts: [{available}]")


async def _too_long(encoder: "Encoder", value: "TextInput", prompt_name: str | None) -> RequestError:
    given = await encoder.acount(encoder.prompt(prompt_name) + value) if isinstance(value, str) else len(value)
    return _invalid(f"`inputs` must have less than {encoder.model.max_tokens} tokens. Given: {given}")


def _invalid(message: str) -> RequestError:
    return _refusal("Validation", f"Input validation error: {message}")


def _refusal(error_type: str, message: str) -> RequestError:
    return RequestError(_STATUS[error_type], error_type, message)


def _syntax_error(detail: str) -> RequestError:
    return RequestError(400, _FRAMEWORK, f"Failed to parse the request body as JSON: {detail}")


def _wrong_type(detail: str) -> RequestError:
    return RequestError(422, _FRAMEWORK, f"Failed to deserialize the JSON body into the target type: {detail}")
