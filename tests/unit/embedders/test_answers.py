"""Every shape that an endpoint answers, and everything that is none."""

import io
import json

import numpy as np
import pytest

from embedstack.embedders.sagemaker_answers import JSON, NPY, read_answer
from embedstack.errors import CountMismatch, DimensionMismatch, IntegrityError, ModelFailed

ROWS = [[0.6, 0.8], [1.0, 0.0]]


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array))
    return buffer.getvalue()


def read(answer, pooling=None, *, normalized=True):
    return read_answer(json.dumps(answer).encode(), JSON, pooling=pooling, normalized=normalized)


@pytest.mark.parametrize("answer", [ROWS, {"embeddings": ROWS}, {"dense": ROWS, "usage": {"total_tokens": 3}}])
def test_pooled_rows(answer):
    np.testing.assert_allclose(read(answer), ROWS)


def test_an_array():
    np.testing.assert_allclose(read_answer(npy(ROWS), NPY, pooling=None, normalized=True), ROWS)


# The toolkit answers [1][tokens][hidden] for a text and [texts][1][tokens][hidden] for several.
@pytest.mark.parametrize("answer", [[[[1, 0], [0, 1], [1, 0]]], [[[[1, 0], [0, 1], [1, 0]]], [[[0, 2]]]]])
def test_token_vectors_are_refused_or_averaged(answer):
    with pytest.raises(DimensionMismatch, match='client_pooling="mean"'):
        read(answer)
    np.testing.assert_allclose(read(answer, "mean", normalized=False)[0], [2 / 3, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(read(answer, "mean"), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([], CountMismatch),
        ([0.1, 0.2], IntegrityError),
        ("text", IntegrityError),
        ({"error": "x"}, IntegrityError),
        ([[0.1], [0.1, 0.2]], DimensionMismatch),
    ],
)
def test_anything_else_is_an_error(answer, error):
    with pytest.raises(error):
        read(answer)


@pytest.mark.parametrize(("body", "kind"), [(b"[[0.1, 0", JSON), (npy(ROWS)[:-3], NPY), (b"", NPY), (b"", JSON)])
def test_a_truncated_body_may_be_asked_for_again(body, kind):
    with pytest.raises(ModelFailed) as caught:
        read_answer(body, kind, pooling=None, normalized=True)
    assert caught.value.retryable


def test_a_null_is_not_a_number():
    assert np.isnan(read([[None, 1.0]])[0, 0])


def test_an_array_of_objects_is_never_unpickled():
    content = io.BytesIO()
    np.save(content, np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(ModelFailed):
        read_answer(content.getvalue(), NPY, pooling=None, normalized=True)
