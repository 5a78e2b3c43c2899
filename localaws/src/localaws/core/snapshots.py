"""Objects in a file: pickle, without what belongs to a process, and without running other code when it is read.

- Locks and events are created again. Threads, sockets and processes cannot be written.
- Objects that exist in every local AWS, such as its clock, are written as names.
- Reading creates objects of moto's and localaws's classes and of a few harmless ones, and calls nothing else.
"""

import collections
import importlib
import pickle
import re
import threading
import weakref
import zoneinfo
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import IO, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from moto.core.base_backend import AccountSpecificBackend, BackendDict

__all__ = ["SnapshotError", "dump", "load"]

#: Packages whose classes may be read.
_PACKAGES = ("moto.", "localaws.")
#: Other classes, and the functions that may be called, by module.
_LISTED = {
    "_thread": {"allocate_lock", "lock"},
    "builtins": {
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set",
        "slice", "str", "tuple",
    },
    "copyreg": {"_reconstructor"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "localaws.core.snapshots": {"_read_private_key"},
    "ipaddress": {"IPv4Address", "IPv4Network", "IPv6Address", "IPv6Network"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "pathlib": {"Path", "PosixPath"},
    "re": {"_compile"},
    "threading": {"Condition", "Event", "RLock"},
    "uuid": {"UUID"},
    "weakref": {"WeakValueDictionary"},
    "zoneinfo": {"ZoneInfo"},
}  # fmt: skip

#: How objects that pickle cannot write, or writes with a function that may not be called, are created again.
_REDUCERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    type(threading.Lock()): lambda _: (threading.Lock, ()),
    type(threading.RLock()): lambda _: (threading.RLock, ()),
    threading.Condition: lambda _: (threading.Condition, ()),
    threading.Event: lambda _: (threading.Event, ()),
    re.Pattern: lambda pattern: (re._compile, (pattern.pattern, pattern.flags)),  # type: ignore[attr-defined]  # noqa: SLF001 - as pickle does
    weakref.WeakValueDictionary: lambda weak: (type(weak), (), None, None, iter(list(weak.items()))),
    zoneinfo.ZoneInfo: lambda zone: (zoneinfo.ZoneInfo, (zone.key,)),
}


_PRIVATE_KEYS = (
    dsa.DSAPrivateKey, ec.EllipticCurvePrivateKey, ed448.Ed448PrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey,
)  # fmt: skip


class SnapshotError(Exception):
    """An object cannot be written or read; the message says which."""


def dump(value: Any, file: IO[bytes], names: Mapping[int, str]) -> None:
    """Write an object and everything that it refers to.

    Args:
        value: The object.
        file: Where to write.
        names: Names of the objects that exist in every local AWS, by their ids.

    Raises:
        SnapshotError: It refers to something that belongs to a process, such as a thread.
    """
    try:
        _Pickler(file, names).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise SnapshotError(str(error)) from error


def load(file: IO[bytes], objects: Mapping[str, Any]) -> Any:
    """Read an object.

    Args:
        file: What :func:`dump` wrote.
        objects: The objects with names.

    Raises:
        SnapshotError: The content is damaged, or names something that may not be read.
    """
    try:
        return _Unpickler(file, objects).load()
    except Exception as error:  # what damaged content raises depends on the classes
        raise SnapshotError(f"{type(error).__name__}: {error}") from error


class _Pickler(pickle.Pickler):
    def __init__(self, file: IO[bytes], names: Mapping[int, str]) -> None:
        super().__init__(file, protocol=5)
        self._names = names

    def persistent_id(self, obj: Any) -> tuple[str, ...] | None:
        name = self._names.get(id(obj))
        if name is not None:
            return "object", name
        if isinstance(obj, type | FunctionType | BuiltinFunctionType) and not _may_be_read(obj):
            raise pickle.PicklingError(f"{obj.__module__}.{obj.__qualname__} could not be read")
        if isinstance(obj, BackendDict):
            return ("service", *_service_of(obj))
        if isinstance(obj, AccountSpecificBackend):
            return ("account", *_service_of(obj), obj.account_id)
        return None

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is collections.defaultdict:
            return collections.defaultdict, (_readable_factory(obj),), None, None, iter(obj.items())
        reducer = _write_private_key if isinstance(obj, _PRIVATE_KEYS) else _REDUCERS.get(type(obj))
        return NotImplemented if reducer is None else reducer(obj)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], objects: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._objects = objects

    def persistent_load(self, pid: tuple[str, ...]) -> Any:
        kind, *parts = pid
        if kind == "object":
            return self._objects[parts[0]]
        service = _service(*parts[:2])
        return service if kind == "service" else service[parts[2]]

    def find_class(self, module_name: str, global_name: str) -> Any:
        is_listed = global_name in _LISTED.get(module_name, ())
        named = super().find_class(module_name, global_name) if is_listed or _is_ours(module_name) else None
        if named is None or not _may_be_read(named):
            raise pickle.UnpicklingError(f"{module_name}.{global_name} may not be read")
        return named


def _may_be_read(value: Any) -> bool:
    """Whether a class or function is one that may be read."""
    is_listed = value.__qualname__ in _LISTED.get(value.__module__ or "", ())
    return is_listed or (isinstance(value, type) and _is_ours(value.__module__))


def _is_ours(module_name: str) -> bool:
    return module_name.startswith(_PACKAGES)


def _service_of(backend: Any) -> tuple[str, str]:
    """The class of a service's backends: its module, such as ``moto.s3.models``, and its name."""
    return backend.backend.__module__, backend.backend.__qualname__


def _service(module_name: str, class_name: str) -> Any:
    """The backends of one class, which a module of moto defines."""
    if not module_name.startswith("moto."):
        raise pickle.UnpicklingError(f"{module_name} is not a module of moto")
    for value in vars(importlib.import_module(module_name)).values():
        if isinstance(value, BackendDict) and _service_of(value) == (module_name, class_name):
            return value
    raise pickle.UnpicklingError(f"{module_name} has no backends of {class_name}")


def _readable_factory(values: "collections.defaultdict[Any, Any]") -> Any:
    """The default factory; for a local function that returns an empty collection, the collection's class."""
    factory = values.default_factory
    if factory is None or _may_be_read(factory):
        return factory
    value = factory()
    return type(value) if value == type(value)() else factory


def _read_private_key(der: bytes) -> Any:
    return serialization.load_der_private_key(der, password=None)


def _write_private_key(key: Any) -> tuple[Any, ...]:
    encryption = serialization.NoEncryption()
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, encryption)
    return _read_private_key, (der,)
