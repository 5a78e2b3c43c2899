"""Outlook messages, made by hand: compound files ([MS-CFB]) with a message's properties ([MS-OXMSG])."""

import struct
from typing import Any

_SECTOR, _SMALL = 512, 64
_END, _FREE, _IS_TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_PROPERTIES = "__properties_version1.0"


def make_msg(
    texts: dict[str, str] | None = None,
    *,
    binaries: dict[str, bytes] | None = None,
    numbers: dict[int, int] | None = None,
    attachments: tuple[dict[str, Any], ...] = (),
) -> bytes:
    """A message.

    Args:
        texts: Texts by property id, such as {"0037": "the subject"}.
        binaries: Streams by property id and type, such as {"10130102": b"<p>HTML</p>"}.
        numbers: Numbers by property id, such as {0x3FFD: 1252}.
        attachments: Their storages, from :func:`message_storage` or by hand.
    """
    return make_compound_file(message_storage(texts, binaries=binaries, numbers=numbers, attachments=attachments))


def message_storage(
    texts: dict[str, str] | None = None,
    *,
    binaries: dict[str, bytes] | None = None,
    numbers: dict[int, int] | None = None,
    attachments: tuple[dict[str, Any], ...] = (),
    is_embedded: bool = False,
) -> dict[str, Any]:
    """The streams and storages of a message; the arguments are those of :func:`make_msg`."""
    entries = b"".join(
        struct.pack("<HHIQ", 0x0003 if number < 2**32 else 0x0040, identity, 6, number)
        for identity, number in (numbers or {}).items()
    )
    storage: dict[str, Any] = {_PROPERTIES: bytes(24 if is_embedded else 32) + entries}
    storage |= {f"__substg1.0_{name}001F": text.encode("utf-16-le") for name, text in (texts or {}).items()}
    storage |= {f"__substg1.0_{name}": content for name, content in (binaries or {}).items()}
    storage |= {f"__attach_version1.0_#{index:08X}": entry for index, entry in enumerate(attachments)}
    return storage


def make_compound_file(tree: dict[str, Any]) -> bytes:
    """A compound file with streams (bytes) and storages (dictionaries), each of less than 4,096 bytes."""
    entries: list[list[Any]] = [["Root Entry", _ROOT, _FREE, _FREE, 0, 0]]  # name, kind, sibling, child, start, size
    small = bytearray()
    small_table: list[int] = []

    def add(storage: dict[str, Any]) -> int:
        """Add the entries of a storage; returns the first one, which has the others as siblings."""
        first = before = _FREE
        for name, content in sorted(storage.items(), key=lambda item: (len(item[0]), item[0].upper())):
            number = len(entries)
            entries.append([name, _STREAM, _FREE, _FREE, 0, 0])
            if isinstance(content, dict):
                entries[number][1], entries[number][3] = _STORAGE, add(content)
            else:
                count = -(-len(content) // _SMALL)
                entries[number][4:] = [len(small_table) if count else _END, len(content)]
                small_table.extend([*range(len(small_table) + 1, len(small_table) + count), _END][:count])
                small.extend(content.ljust(count * _SMALL, b"\0"))
            first = number if first == _FREE else first
            if before != _FREE:
                entries[before][2] = number
            before = number
        return first

    entries[0][3] = add(tree)
    directory_sectors = -(-len(entries) // 4)
    small_table_sectors = max(1, -(-len(small_table) // 128))
    small_sectors = max(1, -(-len(small) // _SECTOR))
    used = directory_sectors + small_table_sectors + small_sectors
    table_sectors = next(count for count in range(1, 100) if count * 128 >= used + count)
    entries[0][4:] = [directory_sectors + small_table_sectors, len(small)]
    table: list[int] = []
    for count in (directory_sectors, small_table_sectors, small_sectors):
        table += [*range(len(table) + 1, len(table) + count), _END]
    table += [_IS_TABLE] * table_sectors
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack(
        "<IIIIIIIIII", 0, table_sectors, 0, 0, 4096, directory_sectors, small_table_sectors, _END, 0, used
    )
    positions = [*range(used, used + table_sectors), *[_FREE] * (109 - table_sectors)]
    header = header[:76] + struct.pack("<109I", *positions)
    return header + b"".join([
        b"".join(map(_entry, entries)).ljust(directory_sectors * _SECTOR, b"\0"),
        _numbers(small_table, small_table_sectors),
        bytes(small).ljust(small_sectors * _SECTOR, b"\0"),
        _numbers(table, table_sectors),
    ])  # fmt: skip


def _numbers(table: list[int], sectors: int) -> bytes:
    return struct.pack(f"<{sectors * 128}I", *table, *[_FREE] * (sectors * 128 - len(table)))


def _entry(entry: list[Any]) -> bytes:
    name, kind, sibling, child, start, size = entry
    encoded: bytes = name.encode("utf-16-le") + b"\0\0"
    return (
        encoded.ljust(64, b"\0")
        + struct.pack("<HBBIII", len(encoded), kind, 1, _FREE, sibling, child)
        + bytes(36)
        + struct.pack("<IQ", start, size)
    )
