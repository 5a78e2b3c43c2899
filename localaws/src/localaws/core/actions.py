"""Which AWS actions the local AWS emulates beyond moto, and where it differs from AWS.

A class that extends one of moto's responses overrides or adds the actions that its methods are named after. A module
with such a class, or with an application of its own, may have two tables:

- ``SIMPLIFICATIONS``: one sentence for each action that differs from AWS.
- ``ACTIONS``: the actions of a module whose methods are not named after them, with ``SERVICE``, botocore's name.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from botocore import xform_name
from moto.core.responses import BaseResponse
from moto.core.utils import get_service_model

__all__ = ["EmulatedAction", "emulated_actions"]

#: botocore's names of services, where moto has others.
_BOTOCORE_NAMES = {"awslambda": "lambda", "sagemakerruntime": "sagemaker-runtime"}


@dataclass(frozen=True, slots=True, order=True)
class EmulatedAction:
    """An action that localaws implements or annotates.

    Attributes:
        service: botocore's name of the service, such as ``sagemaker-runtime``.
        name: The action, such as ``InvokeEndpoint``.
        source: Whether localaws implements it, or moto.
        note: How it differs from AWS, in one sentence; empty if no difference is known.
    """

    service: str
    name: str
    source: Literal["localaws", "moto"]
    note: str = ""


def emulated_actions() -> list[EmulatedAction]:
    """All actions that localaws overrides, adds or has a note about, by service and name."""
    actions: dict[tuple[str, str], EmulatedAction] = {}
    for module in _service_modules():
        for action in _actions_of(module):
            former = actions.get((action.service, action.name))
            if former is None or (not former.note and action.note):
                actions[action.service, action.name] = action
    return sorted(actions.values())


def _service_modules() -> Iterator[ModuleType]:
    package = importlib.import_module("localaws.services")
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        # A container's modules load OpenVINO, and have no actions.
        if ".containers." not in info.name:
            yield importlib.import_module(info.name)


def _actions_of(module: ModuleType) -> Iterator[EmulatedAction]:
    notes: dict[str, str] = getattr(module, "SIMPLIFICATIONS", {})
    classes = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, BaseResponse) and each.__module__ == module.__name__
    ]
    service = getattr(module, "SERVICE", None) or next(map(_service_of, classes), None)
    if service is None:
        return
    own = set(getattr(module, "ACTIONS", ()))
    for operation in get_service_model(service).operation_names:
        method = xform_name(operation)
        if operation in own or any(method in vars(each) for each in classes):
            yield EmulatedAction(service, operation, "localaws", notes.get(operation, ""))
        elif operation in notes:
            yield EmulatedAction(service, operation, "moto", notes[operation])


def _service_of(response: Any) -> str:
    name: str = response().service_name
    return _BOTOCORE_NAMES.get(name, name)
