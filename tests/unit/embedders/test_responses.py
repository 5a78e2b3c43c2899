"""Every shape that an endpoint answers, and everything that is none."""

import base64
import io
import json
import tracemalloc

import numpy as np
import pytest

from embedstack.embedders.sagemaker.responses import read_vectors
from embedstack.errors import CountMismatch, DimensionMismatch, EndpointUnavailable, IntegrityError

ROWS = [[0.6, 0.8], [1.0, 0.0]]


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **options)
    return buffer.getvalue()


def npy_of(header, data=b"", version=b"\x01\x00"):
    """An array with a header of choice."""
    size = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(header).to_bytes(size, "little") + header + data


def read(response, pooling=None, *, count=2, normalized=True):
    content = response if isinstance(response, bytes) else json.dumps(response).encode()
    return read_vectors(content, count, pooling=pooling, normalized=normalized)


def as_base64(row, kind="<f4"):
    return base64.b64encode(np.asarray(row, kind).tobytes()).decode()


SHAPES = [
    ROWS,
    {"embeddings": ROWS},
    {"vectors": ROWS},
    {"embedding": ROWS},
    {"predictions": ROWS},
    {"dense": ROWS, "sparse": [{"5": 0.1}, {}], "usage": {"total_tokens": 3}},
    {"embeddings": {"float": ROWS}, "id": "x", "texts": ["a", "b"]},
    {"object": "list", "data": [{"embedding": row, "index": index} for index, row in enumerate(ROWS)]},
    {"data": [{"embedding": ROWS[1], "index": 1}, {"embedding": ROWS[0], "index": 0}]},
    {"data": [{"embedding": as_base64(row), "index": index} for index, row in enumerate(ROWS)]},
    [{"embedding": row} for row in ROWS],
    [{"vector": row} for row in ROWS],
    [as_base64(row) for row in ROWS],
]


@pytest.mark.parametrize("response", SHAPES, ids=lambda response: json.dumps(response)[:40])
def test_read_vectors_accepts_known_shapes(response):
    vectors = read(response)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, ROWS)


@pytest.mark.parametrize(
    "response",
    [ROWS[0], {"embedding": ROWS[0]}, {"vector": ROWS[0]}, as_base64(ROWS[0]), {"embedding": as_base64(ROWS[0])}],
)
def test_read_vectors_accepts_a_single_vector(response):
    np.testing.assert_allclose(read(response, count=1), ROWS[:1])


@pytest.mark.parametrize("kind", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.filterwarnings("ignore:Stored array in format:UserWarning")
def test_read_vectors_accepts_every_float_type_and_order(kind, order, version):
    rows = np.arange(1, 13).reshape(3, 4) / 8
    vectors = read(npy(rows.astype(kind, order=order), version=version), count=3)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, rows.astype(np.float32))


def test_array_of_one_dimension_is_one_vector():
    np.testing.assert_allclose(read(npy(ROWS[0]), count=1), ROWS[:1])
    with pytest.raises(DimensionMismatch, match="1 dimensions"):
        read(npy(ROWS[0]), count=2)


# The toolkit answers [1][tokens][hidden] for a text and [texts][1][tokens][hidden] for several.
@pytest.mark.parametrize("response", [[[[1, 0], [0, 1], [1, 0]]], [[[[1, 0], [0, 1], [1, 0]]], [[[0, 2]]]]])
def test_token_vectors_are_rejected_or_averaged(response):
    with pytest.raises(DimensionMismatch, match='client_pooling="mean"'):
        read(response)
    np.testing.assert_allclose(read(response, "mean", normalized=False)[0], [2 / 3, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(read(response, "mean"), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    "response",
    [
        [[[[1, 0]], [[0, 1]]]],  # a text with two lists of tokens
        [[[1, 0]], []],
        [[[1, 0]], [[1, 0, 0]]],
        [[[True, 0]]],
        [[[[[1, 0]]]]],
        [[["1", "0"]]],
    ],
)
def test_malformed_token_vectors_are_rejected(response):
    with pytest.raises(IntegrityError):
        read(response, "mean")


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        ([], CountMismatch, "empty list"),
        ([0.1, 0.2], IntegrityError, "list of numbers"),
        ("text", IntegrityError, "base64"),
        ({"error": "x"}, IntegrityError, "an object with 'error'"),
        ({"secret text of a caller": 1, "b": 2}, IntegrityError, "an object with '…', 'b'"),
        ({}, IntegrityError, "an empty object"),
        (None, IntegrityError, "null"),
        (True, IntegrityError, "a boolean"),
        (3, IntegrityError, "a number"),
        ({"embeddings": None}, IntegrityError, "null"),
        ({"embeddings": {"int8": ROWS}}, IntegrityError, "'int8'"),
        ({"embeddings": ROWS, "vectors": ROWS}, IntegrityError, "in embeddings and in vectors"),
        ([[0.1], [0.1, 0.2]], DimensionMismatch, "different lengths"),
        ([[0.1, 0.2], 0.3], IntegrityError, "mixed list"),
        ([[True, 0.0], [1.0, 0.0]], IntegrityError, "not numbers"),
        ([["0.6", "0.8"], ["1", "0"]], IntegrityError, "not numbers"),
        ([[[0.6], [0.8]], [0.6, 0.8]], DimensionMismatch, "per token"),
        ([[{"a": 1}, 0.8], [1, 0]], IntegrityError, "not numbers"),
        ([as_base64(ROWS[0]), as_base64([1])], DimensionMismatch, "different lengths"),
        ([as_base64(ROWS[0]), "!!"], IntegrityError, "base64"),
        ([as_base64(ROWS[0]), "AAA="], IntegrityError, "base64"),
        ([{"embedding": ROWS[0], "index": 0}, {"embedding": ROWS[1], "index": 0}], IntegrityError, "indexes"),
        ([{"embedding": ROWS[0], "index": 0}, {"embedding": ROWS[1]}], IntegrityError, "indexes"),
        ([{"embedding": ROWS[0], "index": False}, {"embedding": ROWS[1], "index": 1}], IntegrityError, "indexes"),
        ([{"embedding": ROWS[0], "index": 1}, {"embedding": ROWS[1], "index": 2}], IntegrityError, "indexes"),
        ([{"embedding": ROWS[0]}, ROWS[1]], IntegrityError, "other values"),
        ([{"label": "x", "score": 1}], IntegrityError, "'label', 'score'"),
    ],
)
def test_unknown_shape_error_describes_the_shape(response, error, message):
    with pytest.raises(error) as caught:
        read(response)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"[[0.1, 0", npy(ROWS)[:-3], npy(ROWS)[:20], b"\x93NUMPY", b"", b"<html>", b"\xff\xfe"]
)
def test_truncated_body_is_retryable(body):
    with pytest.raises(EndpointUnavailable) as caught:
        read(body)
    assert caught.value.retryable


@pytest.mark.parametrize("value", ["null", "NaN", "Infinity", "-Infinity", "1e400", "1" * 5_000, "1e39", "1" * 400])
def test_value_beyond_float32_is_not_finite(value):
    assert not np.isfinite(read(f"[[{value}, 1.0]]".encode(), count=1)[0, 0])


@pytest.mark.parametrize("depth", [1_000, 100_000, 900_000])
def test_deeply_nested_json_is_rejected(depth):
    with pytest.raises(IntegrityError):  # newer Pythons parse more of it
        read(b"[" * depth + b"]" * depth)


def test_duplicate_json_name_is_rejected():
    with pytest.raises(IntegrityError, match="same name twice"):
        read(b'{"embeddings": [[0.6, 0.8]], "embeddings": [[1.0, 0.0]]}', count=1)


DESCRIPTION = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }\n"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (npy_of(DESCRIPTION % b"99999999, 99999999"), EndpointUnavailable),
        (npy_of(DESCRIPTION % b"2, 2", bytes(17)), IntegrityError),
        (npy_of(DESCRIPTION % b"2, 2, 1", bytes(16)), DimensionMismatch),
        (npy_of(DESCRIPTION % b"", bytes(4)), DimensionMismatch),
        (npy_of(DESCRIPTION % b"-2, 2", bytes(16)), IntegrityError),
        (npy_of(DESCRIPTION % b"1" * 400, bytes(16)), IntegrityError),
        (npy_of(DESCRIPTION % b"2, 1_0", bytes(80)), IntegrityError),
        (npy_of(DESCRIPTION % b"2, 02", bytes(16)), IntegrityError),
        (npy_of(DESCRIPTION % b"2, 2", bytes(16), version=b"\x01\x80"), IntegrityError),
        (npy_of(b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }\n", b"cos\nsystem\n."), IntegrityError),
        (npy_of(b"{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1), }\n", bytes(4)), IntegrityError),
        (npy_of(b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1), }\n", bytes(4)), IntegrityError),
        (npy_of(b"{'descr': '<f4', 'descr': '<f8', 'shape': (1, 1), }\n", bytes(4)), IntegrityError),
        (npy_of(b"(" * 4000), IntegrityError),
        (npy_of(b"{'descr': '<f4", bytes(8)), IntegrityError),
        (npy_of(b"", version=b"\x09\x00"), IntegrityError),
        (npy_of(DESCRIPTION % b"1, 1" + b" " * 60_000, bytes(4)), IntegrityError),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100), IntegrityError),
    ],
)
def test_invalid_array_is_rejected_without_allocation(content, error):
    tracemalloc.start()
    try:
        with pytest.raises(error):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_object_array_is_never_unpickled():
    content = io.BytesIO()
    np.save(content, np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(IntegrityError):
        read(content.getvalue())
