"""Reads vectors from the response shapes of embedding servers.

Supported shapes: a list of vectors; an object that contains such a list; a list of objects with a vector each, in the
order of their indexes if they have one; a single vector for one text; an array in NumPy's format. A vector is a list of
numbers, or float32 in base64.
"""

import base64
import binascii
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.errors import CountMismatch, DimensionMismatch, EndpointUnavailable, IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = [
    "NPY_MAGIC",
    "depth_of",
    "find_rows",
    "matrix",
    "read_npy",
    "read_rows",
    "response_limit",
    "vector_of_base64",
]

NPY_MAGIC = b"\x93NUMPY"

#: Members that may hold the vectors of a response that is an object.
_MEMBERS = ("embeddings", "vectors", "embedding", "vector", "dense", "predictions", "data")
_NUMBERS = frozenset({float, int, type(None)})
# Digits, sign, exponent, separator and indentation of a number take under 40 bytes. Three times that admits vectors of
# another model with longer ones, so that the error can name their length.
_BYTES_PER_NUMBER = 128
_BYTES_BESIDE = 1024 * 1024
# Twice the longest vectors of the models in the catalogue.
_LONGEST_VECTOR = 8192
# A response may repeat the texts, each character as an escape of six bytes.
_BYTES_PER_REQUEST_BYTE = 6

_NPY_ENTRY = re.compile(rb"'(\w+)'\s*:\s*('[^']*'|True|False|\([\d, ]*\))")
_NPY_HEADER = re.compile(rb"\{\s*" + rb"(?:'\w+'\s*:\s*(?:'[^']*'|True|False|\([\d, ]*\))\s*,?\s*){3}" + rb"\}\s*")
_NPY_FLOAT = re.compile(rb"'([<>])f([248])'")
_NPY_LENGTH = re.compile(rb"0|[1-9]\d{0,8}")
_NPY_VERSIONS = (b"\x01\x00", b"\x02\x00", b"\x03\x00")
_NPY_HEADER_BYTES = 4096
_SHOWN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_SHOWN_NAMES = 5


def response_limit(count: int, dimensions: int | None, request_bytes: int) -> int:
    """Largest valid response with vectors, in bytes.

    Args:
        count: Number of vectors.
        dimensions: Length of a vector; None if it is unknown.
        request_bytes: Size of the request.
    """
    numbers = count * (dimensions or _LONGEST_VECTOR)
    return _BYTES_BESIDE + _BYTES_PER_REQUEST_BYTE * request_bytes + _BYTES_PER_NUMBER * numbers


def read_rows(document: Any, count: int, source: str) -> "Vectors":
    """The vectors of a parsed response.

    Args:
        document: The response.
        count: Texts that were sent.
        source: Sender of the response, for messages.

    Returns:
        float32 (texts, dimensions); number, length and values are not checked further.

    Raises:
        CountMismatch: The response has no vectors.
        DimensionMismatch: The vectors differ in length.
        IntegrityError: The response has another shape; the message describes it.
    """
    rows = find_rows(document, count, source)
    if depth_of(rows) > 2:
        raise IntegrityError(
            f"{source} sent lists nested {depth_of(rows)} deep, not a list of vectors. Check the server."
        )
    return matrix(rows, source)


def find_rows(document: Any, count: int, source: str) -> list[Any]:
    """The list of vectors in a parsed response, in the order of the texts; see :func:`read_rows`.

    Returns:
        An entry for each vector: a list of numbers, a string, or a deeper list.
    """
    if isinstance(document, dict):
        document = _member(document, source)
        if isinstance(document, dict):
            # Cohere's models on Bedrock: one list for each type of number.
            if "float" not in document:
                raise IntegrityError(f"{source} sent {_shape(document)} instead of float vectors. Check the server.")
            document = document["float"]
    if isinstance(document, str):
        document = [document]
    if not isinstance(document, list):
        raise IntegrityError(f"{source} sent {_shape(document)}, not a list of vectors. Check the server.")
    if not document:
        raise CountMismatch(f"{source} sent an empty list. Check the server.")
    if isinstance(document[0], dict):
        return _rows_of_objects(document, source)
    if type(document[0]) in _NUMBERS:
        if count != 1:
            raise IntegrityError(f"{source} sent a list of numbers, not a list of {count} vectors. Check the server.")
        return [document]
    return document


def matrix(rows: list[Any], source: str) -> "Vectors":
    """Rows of numbers or of base64 as float32 (rows, dimensions).

    Raises:
        DimensionMismatch: They differ in length.
        IntegrityError: They contain other values.
    """
    if all(isinstance(row, str) for row in rows):
        vectors = [vector_of_base64(row, source) for row in rows]
        if len({len(vector) for vector in vectors}) > 1:
            raise DimensionMismatch(f"{source} sent vectors of different lengths. Check the server.")
        return np.stack(vectors)
    if not all(isinstance(row, list) for row in rows):
        raise IntegrityError(
            f"{source} sent a list of {_shape(rows[0])}, not of vectors, or a mixed list. Check the server."
        )
    if len({len(row) for row in rows}) > 1:
        raise DimensionMismatch(f"{source} sent vectors of different lengths. Check the server.")
    for row in rows:
        # NumPy would silently convert a string of digits or a boolean to a number.
        if not _NUMBERS.issuperset(map(type, row)):
            raise IntegrityError(f"{source} sent vectors with values that are not numbers. Check the server.")
    # Values too large for float32 become infinity, and null, which some JSON writers use for NaN, becomes NaN. The
    # check of the values reports both.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(rows, np.float32)


def vector_of_base64(row: Any, source: str) -> "Vectors":
    """A vector, float32 (dimensions,), of base64 of little-endian float32.

    Raises:
        IntegrityError: It is not valid base64 of float32.
    """
    try:
        return np.frombuffer(base64.b64decode(row, validate=True), "<f4").astype(np.float32)
    except (TypeError, ValueError, binascii.Error):
        raise IntegrityError(
            f"{source} sent strings that are not vectors of float32 in base64. Check the server."
        ) from None


def read_npy(content: bytes, count: int, source: str) -> "Vectors":
    """The vectors of an array in NumPy's format (``.npy``), of any float type, byte order and storage order.

    The header is compared with the body's size before memory is allocated. NumPy's own parser is not used: it raises
    errors of a dozen types, some after much time and memory.

    Returns:
        float32 (texts, dimensions), not checked further.

    Raises:
        DimensionMismatch: It does not have two dimensions, or one for a single text.
        EndpointUnavailable: It is truncated.
        IntegrityError: It is not an array of floats.
    """
    header, data = _split_npy(content, source)
    entries = dict(_NPY_ENTRY.findall(header)) if _NPY_HEADER.fullmatch(header) else {}
    if entries.keys() != {b"descr", b"fortran_order", b"shape"}:
        raise IntegrityError(f"{source} sent an array whose header cannot be read. Check the server.")
    kind = _NPY_FLOAT.fullmatch(entries[b"descr"])
    if kind is None:
        raise IntegrityError(f"{source} sent an array that is not float16, float32 or float64. Check the server.")
    lengths = [part.strip() for part in entries[b"shape"].strip(b"()").split(b",")]
    lengths = lengths[:-1] if lengths[-1] == b"" else lengths
    if not all(_NPY_LENGTH.fullmatch(length) for length in lengths):
        raise IntegrityError(f"{source} sent an array whose shape cannot be read. Check the server.")
    shape = tuple(map(int, lengths))
    expected = math.prod(shape) * int(kind[2])
    if len(data) != expected:
        message = f"{source} sent {len(data):,} bytes for an array of {expected:,} bytes"
        if len(data) < expected:
            raise EndpointUnavailable(f"{message}: it is truncated. Send the request again.")
        raise IntegrityError(f"{message}.")
    if len(shape) == 1 and count == 1:
        shape = (1, *shape)
    if len(shape) != 2:
        raise DimensionMismatch(f"{source} sent an array of {len(shape)} dimensions, not 2. Check the server.")
    order = "F" if entries[b"fortran_order"] == b"True" else "C"
    array = np.frombuffer(data, f"{kind[1].decode()}f{kind[2].decode()}").reshape(shape, order=order)  # type: ignore[call-overload]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _split_npy(content: bytes, source: str) -> tuple[bytes, memoryview]:
    """Header and data (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)."""
    version = content[6:8]
    start = 10 if version == _NPY_VERSIONS[0] else 12
    length = int.from_bytes(content[8:start], "little")
    if len(content) < start or (len(content) < start + length <= start + _NPY_HEADER_BYTES):
        raise EndpointUnavailable(f"{source} sent a truncated array. Send the request again.")
    if version not in _NPY_VERSIONS or length > _NPY_HEADER_BYTES:
        raise IntegrityError(f"{source} sent an array whose header cannot be read. Check the server.")
    return content[start : start + length], memoryview(content)[start + length :]


def _member(document: dict[str, Any], source: str) -> Any:
    """The member of an object that holds the vectors."""
    names = [name for name in _MEMBERS if name in document]
    if not names:
        raise IntegrityError(
            f"{source} sent {_shape(document)}. Vectors must be in one of {', '.join(_MEMBERS)}, or in a list."
        )
    if len(names) > 1:
        raise IntegrityError(
            f"{source} sent vectors in {' and in '.join(names)}, which is ambiguous. Check the server."
        )
    return document[names[0]]


def _rows_of_objects(entries: list[Any], source: str) -> list[Any]:
    """The vectors of objects such as OpenAI's ``{"embedding", "index"}``, in the order of their indexes."""
    if not all(isinstance(entry, dict) for entry in entries):
        raise IntegrityError(f"{source} sent a list of objects and other values, not of vectors. Check the server.")
    rows = [_member(entry, source) for entry in entries]
    indexes = [entry["index"] for entry in entries if "index" in entry]
    if not indexes:
        return rows
    # type() and not isinstance(): true is not an index.
    if not all(type(index) is int for index in indexes) or sorted(indexes) != list(range(len(rows))):
        raise IntegrityError(f"{source} sent {len(rows)} vectors whose indexes do not match. Check the server.")
    return [row for _, row in sorted(zip(indexes, rows, strict=True), key=lambda pair: pair[0])]


def depth_of(rows: Any) -> int:
    """Depth of nested lists, by their first elements; a row in base64 counts as a list of numbers."""
    depth = 0
    while isinstance(rows, list):
        depth += 1
        rows = rows[0] if rows else None
    return 2 if depth == 1 and isinstance(rows, str) else depth


def _shape(value: Any) -> str:
    """Describes a value without its content."""
    match value:
        case dict():
            names = [name if _SHOWN_NAME.fullmatch(name) else "…" for name in list(value)[:_SHOWN_NAMES]]
            more = ", …" if len(value) > _SHOWN_NAMES else ""
            return f"an object with {', '.join(map(repr, names))}{more}" if names else "an empty object"
        case list():
            return "a list"
        case str():
            return "a string"
        case bool() | None:
            return "a boolean" if value is not None else "null"
        case _:
            return "a number"
