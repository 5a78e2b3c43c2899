"""Parsing and validation of request bodies."""

import json
import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from embedstack.errors import EmbedStackError, InputError, PayloadTooLarge, TextTooLong

if TYPE_CHECKING:
    from embedstack_server.model.tokenizer import TextInput, TruncationDirection

__all__ = ["EmbedRequest", "RequestError", "RerankRequest", "check_size", "parse_request"]

_MAX_INPUTS = 2048
# Limits on one request's lists and objects, its strings, and the values in its lists (a million token ids and more).
# Parsing holds the interpreter lock: 25 MB of empty lists take 7 s and 870 MB.
_MAX_CONTAINERS = 131_072
_MAX_STRINGS = 8_192
_MAX_VALUES = 1_500_000
# Bodies up to this size are parsed without counting, which cannot take long. Larger ones are counted in blocks.
_UNCOUNTED_BYTES = 65_536
# Matches up to the first unescaped quotation mark, without backtracking.
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# OpenAI's values, so that its clients can request the shorter response.
_ENCODING_FORMATS = ("float", "base64")
# Text Embeddings Inference's values; its later versions also accept lower case.
_DIRECTIONS: dict[str, "TruncationDirection"] = {"Left": "left", "left": "left", "Right": "right", "right": "right"}
# Options may be nested in `parameters`, as older clients send them.
_OPTIONS = ("normalize", "truncate", "truncation_direction", "pooling", "dimensions", "prompt_name", "prompt")
# `model` and `user` come from OpenAI's API.
_EMBED_MEMBERS = ("inputs", *_OPTIONS, "outputs", "spans", "encoding_format", "model", "user", "parameters")
_RERANK_MEMBERS = ("query", "texts", "truncate", "truncation_direction", "return_text", "model", "user")


class RequestError(Exception):
    """A rejected request.

    Attributes:
        status: HTTP status.
        error_type: Machine-readable reason.
        message: Human-readable reason.
        index: Position of the failing input, if a single input is at fault.
        retry_after: Seconds after which to retry; None if a retry does not help.
    """

    def __init__(
        self, status: int, error_type: str, message: str, *, index: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.index = index
        self.retry_after = retry_after

    @classmethod
    def from_error(cls, error: EmbedStackError) -> "RequestError":
        """Translate an encoder error: 422 or 413 for a bad input, 500 for a failed model."""
        match error:
            case PayloadTooLarge():
                return cls(413, "payload_too_large", str(error), index=error.index)
            case TextTooLong():
                return cls(422, "text_too_long", str(error), index=error.index)
            case InputError():
                return cls(422, "invalid_input", str(error), index=error.index)
            case _:
                return cls(500, "model_error", str(error), index=error.index)


Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """A request for vectors.

    Attributes:
        inputs: The texts, or the token ids of each.
        normalize: Scale vectors to unit length.
        truncate: Cut texts that are longer than the model reads.
        direction: Which end of such a text is cut off.
        pooling: Pooling that the client expects, or None.
        dimensions: Leading components to keep, or None for all.
        prompt_name: Name of the model's prompt to prepend to every input; None for its default prompt, if it has one.
        prompt: Text to prepend to every input instead, "" for none; None to use ``prompt_name``.
        outputs: Names of outputs, or None for one vector per text.
        spans: Parts of each input to pool separately, as ranges of code points; or None.
        base64: Return each vector as base64 of its little-endian float32 numbers, as OpenAI's API does.
        model: Model that the client expects, or None.
    """

    inputs: "tuple[TextInput, ...]"
    normalize: bool = True
    truncate: bool = True
    direction: "TruncationDirection" = "right"
    pooling: str | None = None
    dimensions: int | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    outputs: tuple[str, ...] | None = None
    spans: tuple[tuple[Span, ...], ...] | None = None
    base64: bool = False
    model: str | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A request to order texts by their relevance to a query.

    Attributes:
        query: The query.
        texts: The texts to order.
        truncate: Cut texts that are longer than the model reads.
        direction: Which end of such a text is cut off.
        return_text: Return each text with its score.
        model: Model that the client expects, or None.
    """

    query: str
    texts: tuple[str, ...]
    truncate: bool = True
    direction: "TruncationDirection" = "right"
    return_text: bool = False
    model: str | None = None


def parse_request(body: bytes) -> EmbedRequest | RerankRequest:
    """Parse a request's JSON body; a body with ``query`` is a rerank request.

    Raises:
        RequestError: The body is not JSON, or a member is unknown, missing or of the wrong type.
    """
    payload = _parse_object(body)
    if "query" in payload:
        _check_members(payload, _RERANK_MEMBERS)
        return RerankRequest(
            query=_string(payload, "query"),
            texts=_texts(payload, "texts"),
            truncate=_member(payload, "truncate", bool, default=True),
            direction=_direction(payload),
            return_text=_member(payload, "return_text", bool, default=False),
            model=_model(payload),
        )
    _check_members(payload, _EMBED_MEMBERS)
    nested = _member(payload, "parameters", dict, {})
    _check_members(nested, _OPTIONS, " in `parameters`")
    # A top-level member overrides one in `parameters`.
    options = {**nested, **payload}
    inputs = _inputs(payload)
    if options.get("prompt") is not None and options.get("prompt_name") is not None:
        raise _malformed("`prompt` and `prompt_name` are both given; send one of them.")
    return EmbedRequest(
        inputs=inputs,
        normalize=_member(options, "normalize", bool, default=True),
        truncate=_member(options, "truncate", bool, default=True),
        direction=_direction(options),
        pooling=_member(options, "pooling", str, None),
        dimensions=_member(options, "dimensions", int, None),
        prompt_name=_member(options, "prompt_name", str, None),
        prompt=_member(options, "prompt", str, None),
        outputs=_outputs(payload),
        spans=_spans(payload, inputs),
        base64=_encoding_format(payload) == "base64",
        model=_model(payload),
    )


def check_size(body: bytes) -> None:
    """Reject a JSON body with so many values that parsing it would delay other requests.

    Raises:
        RequestError: The body has too many values.
    """
    if len(body) <= _UNCOUNTED_BYTES:
        return
    strings = containers = values = position = 0
    while position < len(body):
        quote = body.find(b'"', position, position + _UNCOUNTED_BYTES)
        end = position + _UNCOUNTED_BYTES if quote < 0 else quote
        containers += body.count(b"[", position, end) + body.count(b"{", position, end)
        values += body.count(b",", position, end)
        strings += quote >= 0
        if strings > _MAX_STRINGS or containers > _MAX_CONTAINERS or values > _MAX_VALUES:
            raise RequestError(
                413,
                "too_many_values",
                f"The body has more than {_MAX_STRINGS} strings, {_MAX_CONTAINERS} lists and objects, or "
                f"{_MAX_VALUES} values in lists. Send fewer in one request.",
            )
        position = end if quote < 0 else _end_of_string(body, quote + 1)


def _end_of_string(body: bytes, start: int) -> int:
    """The position after a string's closing quotation mark."""
    end = body.find(b'"', start)
    if end > start and body[end - 1] == ord("\\"):
        match = _REST_OF_STRING.match(body, start)
        end = match.end() - 1 if match else -1
    return len(body) if end < 0 else end + 1


def _parse_object(body: bytes) -> dict[str, Any]:
    check_size(body)
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, "malformed_json", f"The body is not JSON: {error}.") from None
    if not isinstance(payload, dict):
        raise _malformed(f'The body is JSON, but {_kind(payload)}; send an object: {{"inputs": "a text"}}.')
    if any(body.count(b'"%b"' % name.encode()) > 1 for name in payload):
        _check_duplicates(body)
    return payload


def _check_duplicates(body: bytes) -> None:
    """Reject an object with a duplicate member, of which a parser would silently ignore all but the last."""

    def check(members: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(members)
        if len(document) < len(members):
            raise _malformed("The body has a member twice. Send each member once.")
        return document

    try:
        json.loads(body, object_pairs_hook=check)
    except RecursionError:
        raise _malformed("The body is nested too deeply.") from None


def _check_members(document: dict[str, Any], allowed: tuple[str, ...], where: str = "") -> None:
    """Reject unknown members, which would be ignored."""
    if unknown := [name for name in document if name not in allowed]:
        raise _malformed(
            f"Unknown member{where}: {', '.join(map(reprlib.repr, unknown[:3]))}. Known members: {', '.join(allowed)}."
        )


def _inputs(payload: dict[str, Any]) -> "tuple[TextInput, ...]":
    """Texts, or their token ids. A list of numbers is one text, as in Text Embeddings Inference."""
    value = payload.get("inputs")
    values = [value] if isinstance(value, str) or _is_ids(value) else value
    if not isinstance(values, list) or not values:
        what = "missing" if value is None else "an empty list" if value == [] else _kind(value)
        raise _malformed(f"`inputs` is {what}; it must be a string or a non-empty list of strings.")
    _check_count(values, "inputs")
    for index, text in enumerate(values):
        if not isinstance(text, str) and not _is_ids(text):
            raise _malformed(f"`inputs[{index}]` is {_kind(text)}; it must be a string or a list of token ids.", index)
    return tuple(values)


def _is_ids(value: Any) -> bool:
    """Whether a value is a non-empty list of token ids."""
    return isinstance(value, list) and bool(value) and all(type(number) is int and number >= 0 for number in value)


def _texts(payload: dict[str, Any], name: str) -> tuple[str, ...]:
    value = payload.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        what = "missing" if value is None else "an empty list" if value == [] else _kind(value)
        raise _malformed(f"`{name}` is {what}; it must be a string or a non-empty list of strings.")
    _check_count(texts, name)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise _malformed(f"`{name}[{index}]` is {_kind(text)}; it must be a string.", index)
    return tuple(texts)


def _check_count(texts: list[Any], name: str) -> None:
    if len(texts) > _MAX_INPUTS:
        raise RequestError(413, "too_many_inputs", f"`{name}` has {len(texts)} texts; one request takes {_MAX_INPUTS}.")


def _string(payload: dict[str, Any], name: str) -> str:
    value = payload[name]
    if not isinstance(value, str):
        raise _malformed(f"`{name}` is {_kind(value)}; it must be a string.")
    return value


def _model(payload: dict[str, Any]) -> str | None:
    _member(payload, "user", str, None)
    model: str | None = _member(payload, "model", str, None)
    return model


def _direction(options: dict[str, Any]) -> "TruncationDirection":
    value = _member(options, "truncation_direction", str, "Right")
    if value not in _DIRECTIONS:
        raise _malformed(f"`truncation_direction` is {reprlib.repr(value)}; it must be Left or Right.")
    return _DIRECTIONS[value]


def _outputs(payload: dict[str, Any]) -> tuple[str, ...] | None:
    outputs = _member(payload, "outputs", list, None)
    if outputs is None:
        return None
    if not outputs or not all(isinstance(output, str) for output in outputs):
        raise _malformed('`outputs` must be a non-empty list of names such as ["dense"].')
    return tuple(outputs)


def _encoding_format(payload: dict[str, Any]) -> str:
    value = _member(payload, "encoding_format", str, _ENCODING_FORMATS[0])
    if value not in _ENCODING_FORMATS:
        raise _malformed(
            f"`encoding_format` is {reprlib.repr(value)}; it must be one of {', '.join(_ENCODING_FORMATS)}."
        )
    return str(value)


def _spans(payload: dict[str, Any], inputs: "tuple[TextInput, ...]") -> tuple[tuple[Span, ...], ...] | None:
    spans = _member(payload, "spans", list, None)
    if spans is None:
        return None
    if len(spans) != len(inputs):
        raise _malformed(f"`spans` has {len(spans)} lists for {len(inputs)} inputs; it must have one for each.")
    if any(not isinstance(text, str) for text in inputs):
        raise _malformed(
            "`spans` are ranges of a text's characters, but `inputs` are token ids. Send texts, or remove `spans`."
        )
    return tuple(
        tuple(_span(span, len(text), index) for span in _span_list(text_spans, index))
        for index, (text_spans, text) in enumerate(zip(spans, inputs, strict=True))
    )


def _span_list(spans: Any, index: int) -> list[Any]:
    if not isinstance(spans, list) or not spans:
        raise _malformed(f"`spans[{index}]` must be a non-empty list of [start, end] pairs.", index)
    return spans


def _span(span: Any, length: int, index: int) -> Span:
    match span:
        case [int(start), int(end)] if 0 <= start < end <= length and not isinstance(start, bool):
            return start, end
        case _:
            raise _malformed(
                f"`spans[{index}]` contains {reprlib.repr(span)}; a span is [start, end] with 0 <= start < end <= "
                f"{length}, the number of the input's code points.",
                index,
            )


def _member(document: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = document.get(name)
    if value is None:
        return default
    # In Python, unlike JSON, a bool is an int.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _malformed(
            f"`{name}` is {_kind(value)}; it must be {'an integer' if kind is int else _JSON_KINDS[kind]}."
        )
    return value


def _malformed(message: str, index: int | None = None) -> RequestError:
    return RequestError(400, "malformed_request", message, index=index)


_JSON_KINDS: dict[type, str] = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}


def _kind(value: Any) -> str:
    """The name of a value's JSON type, with its article."""
    return _JSON_KINDS[type(value)]
