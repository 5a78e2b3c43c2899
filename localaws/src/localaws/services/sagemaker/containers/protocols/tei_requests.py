"""Request bodies of Text Embeddings Inference, as serde_json 1.0.140 and axum 0.7.9 read them."""

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from embedstack_server.http.requests import RequestError, check_size

if TYPE_CHECKING:
    from embedstack_server.model.tokenizer import TextInput, TruncationDirection
    from localaws.services.sagemaker.containers.tei_settings import TeiRelease

__all__ = ["FRAMEWORK", "EmbedRequest", "RerankRequest", "check_content_type"]

#: Error type of requests that TEI's web framework rejects before TEI sees them, with a plain text body.
FRAMEWORK = "framework"
#: serde_json's limit on nested lists and objects, without the body itself.
_MAX_DEPTH = 127
_MAX_U32 = 2**32 - 1
_MAX_U64 = 2**64 - 1
_DIRECTIONS: "dict[TeiRelease, dict[str, TruncationDirection]]" = {
    "1.8": {"Left": "left", "Right": "right"},
    "1.9": {"Left": "left", "Right": "right", "left": "left", "right": "right"},
}


def check_content_type(content_type: str | None) -> None:
    """Reject a body that is not declared as JSON.

    Raises:
        RequestError: It is not.
    """
    kind = (content_type or "").split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RequestError(415, FRAMEWORK, "Expected request with `Content-Type: application/json`")


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """TEI's ``EmbedRequest``.

    Attributes:
        inputs: The texts, or the token ids of each.
        is_single: Whether ``inputs`` was one text instead of a list.
        truncate: Whether to truncate long texts; None for the server's default.
        direction: Which end of such a text is cut off.
        prompt_name: Name of the prompt, or None.
        normalize: Whether to scale vectors to unit length.
        dimensions: Length of the vectors, or None for all.
    """

    inputs: "list[TextInput]"
    is_single: bool
    truncate: bool | None
    direction: "TruncationDirection"
    prompt_name: str | None
    normalize: bool
    dimensions: int | None

    @classmethod
    def parse(cls, body: bytes, release: "TeiRelease") -> Self:
        """Read a body.

        Raises:
            RequestError: The web framework rejects it.
        """
        members = _parse(
            body, cls.__name__, ("inputs", "truncate", "truncation_direction", "prompt_name", "normalize", "dimensions")
        )
        inputs, is_single = _inputs(members)
        return cls(
            inputs,
            is_single,
            _option(members, "truncate", bool, default=None),
            _direction(members, release),
            _option(members, "prompt_name", str, default=None),
            _option(members, "normalize", bool, default=True),
            _option(members, "dimensions", int, default=None),
        )


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """TEI's ``RerankRequest``.

    Attributes:
        query: The query.
        texts: The texts to score.
        truncate: Whether to truncate long pairs; None for the server's default.
        direction: Which end of a text is cut off.
        raw_scores: Whether to return logits instead of their sigmoid.
        return_text: Whether to return each text with its score.
    """

    query: str
    texts: list[str]
    truncate: bool | None
    direction: "TruncationDirection"
    raw_scores: bool
    return_text: bool

    @classmethod
    def parse(cls, body: bytes, release: "TeiRelease") -> Self:
        """Read a body.

        Raises:
            RequestError: The web framework rejects it.
        """
        members = _parse(
            body,
            cls.__name__,
            ("query", "texts", "truncate", "truncation_direction", "raw_scores", "return_text"),
        )
        texts = _required(members, "texts")
        if type(texts) is not list or not all(isinstance(text, str) for text in texts):
            raise _wrong_type("texts: invalid type, expected a sequence of strings")
        if any(map(_has_surrogate, texts)):
            raise _syntax_error("lone leading surrogate in hex escape")
        return cls(
            _option({"query": _required(members, "query")}, "query", str, default=""),
            texts,
            _option(members, "truncate", bool, default=None),
            _direction(members, release),
            _option(members, "raw_scores", bool, default=False),
            _option(members, "return_text", bool, default=False),
        )


def _parse(body: bytes, struct: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The body's members as serde_json reads them for a struct. Anything after the document is ignored."""
    try:
        check_size(body)
        text = body.decode().lstrip(" \t\n\r")
        request, _ = _DECODER.raw_decode(text)
    except RequestError as error:
        raise _wrong_type(error.message) from error
    except (ValueError, RecursionError) as error:
        raise _syntax_error(str(error)) from error
    if not isinstance(request, _Members):
        raise _wrong_type(f"invalid type, expected struct {struct}")
    members: dict[str, Any] = {}
    for name, value in request:
        if name in members:
            raise _wrong_type(f"duplicate field `{name}`")
        if name in names:
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


def _required(members: dict[str, Any], name: str) -> Any:
    if name not in members:
        raise _wrong_type(f"missing field `{name}`")
    return members[name]


def _inputs(members: dict[str, Any]) -> "tuple[list[TextInput], bool]":
    """TEI's ``Input``: one text or its token ids, or a list of these."""
    value = _required(members, "inputs")
    is_single = _is_input(value)
    inputs: Any = [value] if is_single else value
    if type(inputs) is not list or not all(map(_is_input, inputs)):
        _check_depth(value)
        raise _wrong_type("inputs: data did not match any variant of untagged enum Input")
    if any(_has_surrogate(text) for text in inputs):
        raise _syntax_error("lone leading surrogate in hex escape")
    return inputs, is_single


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


def _option(members: dict[str, Any], name: str, kind: type, *, default: Any) -> Any:
    """An optional member; null is the default None."""
    value = members.get(name, default)
    if value is None and default is None:
        return None
    if type(value) is not kind or (isinstance(value, int) and not 0 <= value <= _MAX_U64):
        raise _wrong_type(f"{name}: invalid type")
    if isinstance(value, str) and _has_surrogate(value):
        raise _syntax_error("lone leading surrogate in hex escape")
    return value


def _direction(members: dict[str, Any], release: "TeiRelease") -> "TruncationDirection":
    match members.get("truncation_direction", "Right"):
        case str(value) if value in _DIRECTIONS[release]:
            return _DIRECTIONS[release][value]
        case str() | _Members():
            raise _wrong_type("truncation_direction: unknown variant, expected `Left` or `Right`")
        case _:  # serde_json does not take this for an enum
            raise _syntax_error("truncation_direction: expected value")


def _syntax_error(detail: str) -> RequestError:
    return RequestError(400, FRAMEWORK, f"Failed to parse the request body as JSON: {detail}")


def _wrong_type(detail: str) -> RequestError:
    return RequestError(422, FRAMEWORK, f"Failed to deserialize the JSON body into the target type: {detail}")
