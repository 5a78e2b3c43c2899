"""Names of a package that are imported on first use, since what they need takes long to import."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_attributes"]


def lazy_attributes(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` (PEP 562) of a package that imports its names on first use.

    Args:
        package: The package.
        modules: The module that defines each name.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - the name that tracebacks show
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    return __getattr__
