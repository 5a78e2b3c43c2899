"""The schema of Terraform's AWS provider, without the types of resources that nothing here names.

It describes 1,500 types in 5 MB, and every command of Terraform asks for it: to read it takes Terraform two seconds of
processor time, half of all that a command takes, and to write it takes the provider almost one. Those that are named
here, some fifty, are 80 KB of it.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["named_types", "narrowed"]

_REPOSITORY = Path(__file__).parents[2]
#: Terraform's code, and where tests find or write more of it: a type that only a test names is kept, too.
_FILES = ("README.md", "docs/**/*.md", "terraform/**/*.hcl", "terraform/**/*.md", "terraform/**/*.tf", "tests/**/*.py")
_TYPE = re.compile(r"\baws_[a-z0-9_]+")
#: The maps by type in the Response of GetProviderSchema, as tfplugin5.proto numbers them: resource_schemas,
#: data_source_schemas, ephemeral_resource_schemas, list_resource_schemas.
_BY_TYPE = frozenset({2, 3, 8, 9})
_KEY = 1


@cache
def named_types() -> frozenset[str]:
    """All words in Terraform's code that could be types of the AWS provider."""
    files = (file for pattern in _FILES for file in _REPOSITORY.glob(pattern))
    return frozenset(name for file in files for name in _TYPE.findall(file.read_text()))


def narrowed(schema: bytes, types: frozenset[str]) -> bytes:
    """A schema without all types but some; these stay as they are.

    Args:
        schema: What a provider answers GetSchema, in protobuf's encoding.
        types: Those to keep.
    """
    return b"".join(raw for number, value, raw in _fields(schema) if number not in _BY_TYPE or _key(value) in types)


def _key(entry: bytes) -> str:
    return next(value.decode() for number, value, _ in _fields(entry) if number == _KEY)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """A message's fields: their number, their value, and both as they are encoded. All have a length."""
    start = 0
    while start < len(message):
        tag, after_tag = _number(message, start)
        length, after_length = _number(message, after_tag)
        assert tag & 7 == 2, "a field without a length"
        end = after_length + length
        yield tag >> 3, message[after_length:end], message[start:end]
        start = end


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    number = shift = 0
    while message[at] >= 0x80:
        number |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
    return number | message[at] << shift, at + 1
