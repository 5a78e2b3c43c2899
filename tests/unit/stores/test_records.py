"""Validation of records and vectors."""

import math

import numpy as np
import pytest

from embedstack.errors import DimensionMismatch, NonFiniteVector, RecordRefused
from embedstack.stores import CollectionInfo, Record
from embedstack.stores.records import check_record, check_sparse, check_vector, is_portable

INFO = CollectionInfo("documents", "a model", 3)
UNIT = np.array([1, 0, 0], np.float32)


@pytest.mark.parametrize(
    ("vector", "error"),
    [
        ([1, math.nan, 0], NonFiniteVector),
        ([1, 1e300, 0], NonFiniteVector),
        ([1, 10**400, 0], NonFiniteVector),
        ([1, "secret", 0], RecordRefused),
        ([[1, 2], [3]], RecordRefused),
        ([0, 0, 0], RecordRefused),
        (None, DimensionMismatch),
        ([1, 2], DimensionMismatch),
    ],
)
def test_vector_that_cannot_be_compared_is_refused(vector, error):
    with pytest.raises(error, match=r"of the query .*\. \w+") as refused:
        check_vector(vector, INFO, "the query")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("sparse", "error"),
    [
        ({1: math.inf}, NonFiniteVector),
        ({1: 1e39}, NonFiniteVector),
        ({1: 10**400}, NonFiniteVector),
        ({1: "secret"}, RecordRefused),
        ({"1": 1.0}, RecordRefused),
        ({1.5: 1.0}, RecordRefused),
        ([1.0], RecordRefused),
        ({-1: 1.0}, RecordRefused),
        ({10: 1.0}, RecordRefused),
    ],
)
def test_sparse_vector_that_cannot_be_compared_is_refused(sparse, error):
    with pytest.raises(error, match=r"of the query .*\. \w+") as refused:
        check_sparse(sparse, 10, "the query")
    assert "secret" not in str(refused.value)


def test_metadata_nested_too_deeply_is_refused():
    metadata: dict[str, object] = {}
    for _ in range(100_000):
        metadata = {"a": metadata}
    with pytest.raises(RecordRefused, match="not JSON"):
        check_record(Record("1", "text", UNIT, metadata), INFO)


@pytest.mark.parametrize("value", ["", "a", 1, -1.5, True, ["a", "b"], [1, 2.5]])
def test_metadata_values_of_these_types_are_portable(value):
    assert is_portable(value)


@pytest.mark.parametrize(
    "value", [None, {}, [], ["a", 1], [True], [["a"]], math.nan, 10**400, [10**400], "a\0", "\ud800", ["\udfff"]]
)
def test_other_metadata_values_are_not_portable(value):
    assert not is_portable(value)
