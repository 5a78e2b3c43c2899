"""The interface of stores."""

import inspect
import math

import pytest

from embedstack.documents import Ingestion
from embedstack.errors import FilterRefused
from embedstack.stores import Collection, VectorStore
from embedstack.stores.base import check_search


@pytest.mark.parametrize("interface", [Collection, VectorStore, Ingestion])
def test_every_method_has_an_async_twin_with_its_parameters(interface):
    methods = {
        name: inspect.signature(method)
        for name, method in vars(interface).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    for name, signature in methods.items():
        if f"a{name}" in methods:
            assert methods[f"a{name}"].parameters.keys() == signature.parameters.keys(), name
        else:
            assert name.startswith("a"), f"{name} has no async twin"
            assert name[1:] in methods, f"{name} has no sync twin"


@pytest.mark.parametrize("threshold", [math.nan, -math.inf, 10**400, True, "0.5"])
def test_threshold_that_is_no_finite_number_is_refused(threshold):
    with pytest.raises(FilterRefused, match="finite number"):
        check_search("approximate", 1, vector=[1.0], text=None, sparse=None, threshold=threshold)
