"""What a request to the model server says, checked member by member."""

from dataclasses import dataclass
from typing import Any

import orjson

from embedstack.errors import EmbedStackError, InputError, TextTooLong

__all__ = ["EmbedRequest", "RequestError", "RerankRequest", "parse_request"]

_MAX_INPUTS = 2048
# OpenAI's name and values, so that its clients can ask for the shorter answer as they do there.
_ENCODING_FORMATS = ("float", "base64")


class RequestError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        error_type: A word that a program can act on.
        message: A sentence for a person.
        index: Position of the failing input, where one input is at fault.
        retry_after: Seconds after which to try again, where that helps.
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
        """What an error of the encoder is over HTTP: 422 where the input is at fault, 500 where the model is."""
        match error:
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
        inputs: The texts.
        normalize: Scale vectors to unit length.
        truncate: Cut texts that are longer than the model reads.
        pooling: The pooling that the client expects, or None.
        dimensions: Leading components to keep, or None for all.
        prompt_name: The model's prompt to put before every input; None for its default prompt, where it has one.
        prompt: What to put before every input instead, "" for nothing; None leaves it to ``prompt_name``.
        outputs: Kinds of output, or None for plain rows.
        spans: Parts of each input, from code point to code point, to pool apart from each other; or None.
        base64: Answer each vector as base64 of its little-endian float32 numbers, as OpenAI's API does.
    """

    inputs: tuple[str, ...]
    normalize: bool = True
    truncate: bool = True
    pooling: str | None = None
    dimensions: int | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    outputs: tuple[str, ...] | None = None
    spans: tuple[tuple[Span, ...], ...] | None = None
    base64: bool = False


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A request to order texts by how well they answer a query.

    Attributes:
        query: What is searched for.
        texts: What is searched through.
        truncate: Cut texts that are longer than the model reads.
    """

    query: str
    texts: tuple[str, ...]
    truncate: bool = True


def parse_request(body: bytes) -> EmbedRequest | RerankRequest:
    """Read a request's JSON body; ``query`` makes it one to rerank.

    Raises:
        RequestError: The body is no JSON, or a member is missing or of the wrong type.
    """
    payload = _parse_object(body)
    if "query" in payload:
        return RerankRequest(
            query=_texts(payload, "query")[0],
            texts=_texts(payload, "texts"),
            truncate=_member(payload, "truncate", bool, default=True),
        )
    # Older clients nest the options; a member beside `inputs` is the more deliberate one and wins.
    options = {**_member(payload, "parameters", dict, {}), **payload}
    inputs = _texts(payload, "inputs")
    if options.get("prompt") is not None and options.get("prompt_name") is not None:
        raise _malformed("`prompt` and `prompt_name` are both given; send one of them.")
    return EmbedRequest(
        inputs=inputs,
        normalize=_member(options, "normalize", bool, default=True),
        truncate=_member(options, "truncate", bool, default=True),
        pooling=_member(options, "pooling", str, None),
        dimensions=_member(options, "dimensions", int, None),
        prompt_name=_member(options, "prompt_name", str, None),
        prompt=_member(options, "prompt", str, None),
        outputs=_outputs(payload),
        spans=_spans(payload, inputs),
        base64=_encoding_format(payload) == "base64",
    )


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, "malformed_json", f"The body is not JSON: {error}.") from None
    if not isinstance(payload, dict):
        raise _malformed(f'The body is JSON, but {_kind(payload)}; send an object: {{"inputs": "a text"}}.')
    return payload


def _texts(payload: dict[str, Any], name: str) -> tuple[str, ...]:
    value = payload.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        what = "missing" if value is None else "an empty list" if value == [] else _kind(value)
        raise _malformed(f"`{name}` is {what}; it must be a string or a non-empty list of strings.")
    if len(texts) > _MAX_INPUTS:
        raise RequestError(413, "too_many_inputs", f"`{name}` has {len(texts)} texts; one request takes {_MAX_INPUTS}.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise _malformed(f"`{name}[{index}]` is {_kind(text)}; it must be a string.", index)
    return tuple(texts)


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
        raise _malformed(f"`encoding_format` is {value!r}; it must be one of {', '.join(_ENCODING_FORMATS)}.")
    return str(value)


def _spans(payload: dict[str, Any], inputs: tuple[str, ...]) -> tuple[tuple[Span, ...], ...] | None:
    spans = _member(payload, "spans", list, None)
    if spans is None:
        return None
    if len(spans) != len(inputs):
        raise _malformed(f"`spans` has {len(spans)} lists for {len(inputs)} inputs; it must have one for each.")
    return tuple(
        tuple(_span(span, text, index) for span in _listed(wanted, index))
        for index, (wanted, text) in enumerate(zip(spans, inputs, strict=True))
    )


def _listed(wanted: Any, index: int) -> list[Any]:
    if not isinstance(wanted, list) or not wanted:
        raise _malformed(f"`spans[{index}]` must be a non-empty list of [start, end] pairs.", index)
    return wanted


def _span(span: Any, text: str, index: int) -> Span:
    match span:
        case [int(start), int(end)] if 0 <= start < end <= len(text):
            return start, end
        case _:
            raise _malformed(
                f"`spans[{index}]` holds {span!r}; a span is [start, end] with 0 <= start < end <= {len(text)}, the "
                "number of the input's code points.",
                index,
            )


def _member(document: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = document.get(name)
    if value is None:
        return default
    # bool is an int in Python; it is not in JSON.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _malformed(f"`{name}` is {_kind(value)}; it must be {_JSON_KINDS[kind]}.")
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
    """What a JSON value is, with its article."""
    return _JSON_KINDS[type(value)]
