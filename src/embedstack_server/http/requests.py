"""Parsing and validation of request bodies.

The members of a body tell its form: ``inputs`` is Text Embeddings Inference's, ``input`` is OpenAI's, ``query`` with
``texts`` is Text Embeddings Inference's rerank request, and ``query`` with ``documents`` is that of Cohere and Jina.

A body that has none of these forms, or an unknown member, is rejected with 400. Other rejected requests have the status
that Text Embeddings Inference 1.9 gives them: 400 for an empty text or list, and 422 for a member that is missing,
repeated, or of a wrong type or value.
"""

import json
import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from embedstack.errors import EmbedStackError, InputError, PayloadTooLarge, TextTooLong

if TYPE_CHECKING:
    from collections.abc import Iterable

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
# Members of which a body has exactly one.
_FORMS = ("inputs", "input", "query")
# Options may be nested in `parameters`, as older clients send them.
_OPTIONS = ("normalize", "truncate", "truncation_direction", "pooling", "dimensions", "prompt_name", "prompt")
# `model` and `user` come from OpenAI's API.
_TEI_MEMBERS = ("inputs", *_OPTIONS, "outputs", "spans", "encoding_format", "model", "user", "parameters")
_OPENAI_MEMBERS = ("input", "encoding_format", "model", "user", *_OPTIONS)
# LiteLLM sends `top_n` to Text Embeddings Inference, too.
_RERANK_MEMBERS = ("query", "top_n", "truncate", "truncation_direction", "raw_scores", "model", "user")
_TEI_RERANK_MEMBERS = (*_RERANK_MEMBERS, "texts", "return_text")
_COHERE_RERANK_MEMBERS = (*_RERANK_MEMBERS, "documents", "return_documents", "rank_fields", "max_tokens_per_doc")


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
        form: API whose response the client expects.
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
    form: Literal["tei", "openai"] = "tei"
    normalize: bool = True
    truncate: bool = False
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
        form: API whose response the client expects.
        top_n: Number of texts to return, the most relevant ones; None for all.
        truncate: Cut texts that are longer than the model reads.
        direction: Which end of such a text is cut off.
        raw_scores: Return the model's scores without its activation function.
        documents: Values to return with the scores, one for each text; None for scores only.
        max_tokens_per_doc: Tokens of a text that the client wants to be read, or None.
        model: Model that the client expects, or None.
    """

    query: str
    texts: tuple[str, ...]
    form: Literal["tei", "cohere"] = "tei"
    top_n: int | None = None
    truncate: bool = False
    direction: "TruncationDirection" = "right"
    raw_scores: bool = False
    documents: tuple[Any, ...] | None = None
    max_tokens_per_doc: int | None = None
    model: str | None = None


def parse_request(body: bytes) -> EmbedRequest | RerankRequest:
    """Parse a request's JSON body, whose members tell its form.

    Raises:
        RequestError: The body is not JSON, or a member is unknown, missing or of the wrong type.
    """
    payload = _parse_object(body)
    match [name for name in _FORMS if payload.get(name) is not None]:
        case ["inputs"]:
            return _tei_request(payload)
        case ["input"]:
            return _openai_request(payload)
        case ["query"]:
            return _rerank_request(payload)
        case []:
            raise _malformed(f'The body has none of {_quoted(_FORMS)}. Send an object such as {{"inputs": "a text"}}.')
        case names:
            raise _invalid(f"The body has {_quoted(names)}. Send one of them.")


def _tei_request(payload: dict[str, Any]) -> EmbedRequest:
    _check_members(payload, _TEI_MEMBERS)
    nested = _member(payload, "parameters", dict, {})
    _check_members(nested, _OPTIONS, " in `parameters`")
    inputs = _inputs(payload, "inputs")
    return EmbedRequest(
        inputs,
        outputs=_outputs(payload),
        spans=_spans(payload, inputs),
        base64=_encoding_format(payload) == "base64",
        model=_model(payload),
        # A top-level member overrides one in `parameters`.
        **_options({**nested, **payload}),
    )


def _openai_request(payload: dict[str, Any]) -> EmbedRequest:
    _check_members(payload, _OPENAI_MEMBERS)
    return EmbedRequest(
        _inputs(payload, "input"),
        form="openai",
        base64=_encoding_format(payload) == "base64",
        model=_model(payload),
        **_options(payload),
    )


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a request for vectors."""
    if options.get("prompt") is not None and options.get("prompt_name") is not None:
        raise _invalid("`prompt` and `prompt_name` are both given; send one of them.")
    return {
        "normalize": _member(options, "normalize", bool, default=True),
        "truncate": _member(options, "truncate", bool, default=False),
        "direction": _direction(options),
        "pooling": _member(options, "pooling", str, None),
        "dimensions": _member(options, "dimensions", int, None),
        "prompt_name": _member(options, "prompt_name", str, None),
        "prompt": _member(options, "prompt", str, None),
    }


def _rerank_request(payload: dict[str, Any]) -> RerankRequest:
    form: Literal["tei", "cohere"]
    documents: tuple[Any, ...]
    match [name for name in ("texts", "documents") if payload.get(name) is not None]:
        case ["texts"]:
            _check_members(payload, _TEI_RERANK_MEMBERS)
            form = "tei"
            texts = documents = _texts(payload)
            returned = _member(payload, "return_text", bool, default=False)
        case ["documents"]:
            _check_members(payload, _COHERE_RERANK_MEMBERS)
            form = "cohere"
            documents = _documents(payload)
            texts = tuple(document["text"] for document in documents)
            returned = _member(payload, "return_documents", bool, default=False)
        case []:
            raise _invalid("The body has `query`, but neither `texts` nor `documents`. Send one of them.")
        case _:
            raise _invalid("The body has `texts` and `documents`. Send one of them.")
    query = _member(payload, "query", str, "")
    if not query:
        raise _malformed("`query` is empty. Send the text to compare with.")
    return RerankRequest(
        query,
        texts,
        form=form,
        top_n=_count(payload, "top_n"),
        truncate=_member(payload, "truncate", bool, default=False),
        direction=_direction(payload),
        raw_scores=_member(payload, "raw_scores", bool, default=False),
        documents=documents if returned else None,
        max_tokens_per_doc=_count(payload, "max_tokens_per_doc"),
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
    if _has_objects(payload) or any(body.count(b'"%b"' % name.encode()) > 1 for name in payload):
        _check_duplicates(body)
    return payload


def _has_objects(payload: dict[str, Any]) -> bool:
    """Whether members of a valid request are objects, too."""
    documents = payload.get("documents")
    return isinstance(payload.get("parameters"), dict) or (
        isinstance(documents, list) and any(isinstance(document, dict) for document in documents)
    )


def _check_duplicates(body: bytes) -> None:
    """Reject an object with a duplicate member, of which a parser would silently ignore all but the last."""

    def check(members: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(members)
        if len(document) < len(members):
            raise _invalid("The body has a member twice. Send each member once.")
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


def _inputs(payload: dict[str, Any], name: str) -> "tuple[TextInput, ...]":
    """Texts, or their token ids. A list of numbers is one text."""
    value = payload[name]
    is_one = isinstance(value, str) or _is_ids(value)
    values = [value] if is_one else _list(payload, name, "a string, a list of token ids, or a list of these")
    for index, text in enumerate(values):
        place = f"`{name}`" if is_one else f"`{name}[{index}]`"
        if text in ("", []):
            raise _empty(place, index)
        if not isinstance(text, str) and not _is_ids(text):
            raise _invalid(f"{place} is {_kind(text)}; it must be a string or a list of token ids.", index)
    return tuple(values)


def _is_ids(value: Any) -> bool:
    """Whether a value is a non-empty list of token ids."""
    return isinstance(value, list) and bool(value) and all(type(number) is int and number >= 0 for number in value)


def _texts(payload: dict[str, Any]) -> tuple[str, ...]:
    texts = _list(payload, "texts", "a list of strings")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise _invalid(f"`texts[{index}]` is {_kind(text)}; it must be a string.", index)
        if not text:
            raise _empty(f"`texts[{index}]`", index)
    return tuple(texts)


def _documents(payload: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Documents as objects, whose ``text`` is ranked; other members are returned unchanged, as in Cohere's API."""
    if payload.get("rank_fields") not in (None, ["text"]):
        raise _invalid('`rank_fields` must be ["text"]: join the fields to rank into `text`.')
    documents = []
    for index, document in enumerate(_list(payload, "documents", "a list of strings or objects")):
        value = {"text": document} if isinstance(document, str) else document
        if not isinstance(value, dict) or not isinstance(value.get("text"), str):
            what = "an object without a string `text`" if isinstance(value, dict) else _kind(value)
            raise _invalid(f'`documents[{index}]` is {what}; it must be a string or {{"text": "…"}}.', index)
        if any(isinstance(field, dict | list) for field in value.values()):
            raise _invalid(f"`documents[{index}]` has a list or an object as a field. Remove that field.", index)
        if not value["text"]:
            raise _empty(f"`documents[{index}]`", index)
        documents.append(value)
    return tuple(documents)


def _list(payload: dict[str, Any], name: str, expected: str) -> list[Any]:
    """A non-empty list with at most as many items as one request may have."""
    value = payload[name]
    if not isinstance(value, list):
        raise _invalid(f"`{name}` is {_kind(value)}; it must be {expected}.")
    if not value:
        raise _malformed(f"`{name}` is an empty list; it must have at least one item.")
    if len(value) > _MAX_INPUTS:
        raise RequestError(413, "too_many_inputs", f"`{name}` has {len(value)} items; one request takes {_MAX_INPUTS}.")
    return value


def _model(payload: dict[str, Any]) -> str | None:
    _member(payload, "user", str, None)
    model: str | None = _member(payload, "model", str, None)
    return model


def _count(payload: dict[str, Any], name: str) -> int | None:
    value: int | None = _member(payload, name, int, None)
    if value is not None and value < 1:
        raise _invalid(f"`{name}` is {value}; it must be at least 1.")
    return value


def _direction(options: dict[str, Any]) -> "TruncationDirection":
    value = _member(options, "truncation_direction", str, "Right")
    if value not in _DIRECTIONS:
        raise _invalid(f"`truncation_direction` is {reprlib.repr(value)}; it must be Left or Right.")
    return _DIRECTIONS[value]


def _outputs(payload: dict[str, Any]) -> tuple[str, ...] | None:
    outputs = _member(payload, "outputs", list, None)
    if outputs is None:
        return None
    if not outputs or not all(isinstance(output, str) for output in outputs):
        raise _invalid('`outputs` must be a non-empty list of names such as ["dense"].')
    return tuple(outputs)


def _encoding_format(payload: dict[str, Any]) -> str:
    value = _member(payload, "encoding_format", str, _ENCODING_FORMATS[0])
    if value not in _ENCODING_FORMATS:
        raise _invalid(f"`encoding_format` is {reprlib.repr(value)}; it must be one of {', '.join(_ENCODING_FORMATS)}.")
    return str(value)


def _spans(payload: dict[str, Any], inputs: "tuple[TextInput, ...]") -> tuple[tuple[Span, ...], ...] | None:
    spans = _member(payload, "spans", list, None)
    if spans is None:
        return None
    if len(spans) != len(inputs):
        raise _invalid(f"`spans` has {len(spans)} lists for {len(inputs)} inputs; it must have one for each.")
    if any(not isinstance(text, str) for text in inputs):
        raise _invalid(
            "`spans` are ranges of a text's characters, but `inputs` are token ids. Send texts, or remove `spans`."
        )
    return tuple(
        tuple(_span(span, len(text), index) for span in _span_list(text_spans, index))
        for index, (text_spans, text) in enumerate(zip(spans, inputs, strict=True))
    )


def _span_list(spans: Any, index: int) -> list[Any]:
    if not isinstance(spans, list) or not spans:
        raise _invalid(f"`spans[{index}]` must be a non-empty list of [start, end] pairs.", index)
    return spans


def _span(span: Any, length: int, index: int) -> Span:
    match span:
        case [int(start), int(end)] if 0 <= start < end <= length and not isinstance(start, bool):
            return start, end
        case _:
            raise _invalid(
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
        raise _invalid(f"`{name}` is {_kind(value)}; it must be {'an integer' if kind is int else _JSON_KINDS[kind]}.")
    return value


def _invalid(message: str, index: int | None = None) -> RequestError:
    return RequestError(422, "invalid_request", message, index=index)


def _malformed(message: str, index: int | None = None) -> RequestError:
    return RequestError(400, "malformed_request", message, index=index)


def _empty(place: str, index: int) -> RequestError:
    return _malformed(f"{place} is empty. Remove it, or send a non-empty text.", index)


def _quoted(names: "Iterable[str]") -> str:
    return ", ".join(f"`{name}`" for name in names)


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
