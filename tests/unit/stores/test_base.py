"""The interface of stores."""

import inspect

import pytest

from embedstack.documents import Ingestion
from embedstack.stores import Collection, VectorStore


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
