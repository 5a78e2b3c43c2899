"""Unpacks tar and zip archives from untrusted sources.

Only regular files and folders are written, below one folder, with nothing but their content: no links, owners, modes or
times. ``TarFile.extract`` is not used: its ``filter`` is missing before Python
3.11.4, and up to 3.11.12, 3.12.10 and 3.13.3 it lets an archive write elsewhere (CVE-2025-4517).
"""

import gzip
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from embedstack.errors import ConfigurationError

__all__ = ["ArchiveRefused", "check_zip", "extract_tar_gz", "extract_zip"]

#: Files and folders in one archive, at most. A function package has a few thousand, a model package a few hundred.
MAX_MEMBERS = 50_000
_CHUNK_BYTES = 1024 * 1024
# The longest key of an S3 object, the source of most archives. Every folder of a path is stored: a name of 64 KB of
# slashes would take a gigabyte.
_MAX_PATH_CHARACTERS = 1024
# An extended header contains a name; tarfile reads all of it, so a larger one would only take memory.
_MAX_HEADER_BYTES = 1024 * 1024
# ext4, APFS and NTFS: "NAME_MAX".
_MAX_NAME_BYTES = 255
_TAR_KINDS = {
    tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link", tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a named pipe", tarfile.GNUTYPE_SPARSE: "a sparse file",
}  # fmt: skip


class ArchiveRefused(ConfigurationError):
    """An archive is damaged, too large, or would write anything other than plain files below its folder."""


def extract_tar_gz(archive: BinaryIO, folder: Path, max_bytes: int) -> None:
    """Unpack a gzipped tar archive.

    Args:
        archive: The archive, read once from its current position.
        folder: Existing, empty folder to unpack into. Unpacked files remain after an error.
        max_bytes: Largest sum of the files' sizes.

    Raises:
        ArchiveRefused: It is damaged, contains links, devices, sparse or set-uid files, absolute, duplicate or
            colliding names or names with "..", has over 50,000 members, or is larger than ``max_bytes``.
        OSError: A file cannot be written.
    """
    names = _Names(max_bytes)
    with gzip.GzipFile(fileobj=archive) as content:
        stream = _ForwardReader(content)
        for member in _tar_members(stream):
            path = folder / _checked(names, member)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                _write(path, stream.read, member.size)
        _readable(stream.read_zeros)


def extract_zip(
    archive: zipfile.ZipFile, folder: Path, max_bytes: int, keep: Callable[[str], bool] | None = None
) -> None:
    """Unpack a zip archive.

    Args:
        archive: The archive.
        folder: Existing folder to unpack into. Unpacked files remain after an error.
        max_bytes: Largest sum of the files' sizes.
        keep: Whether to unpack a member, by its name; by default all are unpacked.

    Raises:
        ArchiveRefused: It is damaged, encrypted, contains links, devices, absolute, duplicate or colliding names or
            names with "..", has over 50,000 members, or is larger than ``max_bytes``.
        OSError: A file cannot be written.
    """
    for member, name in check_zip(archive, max_bytes):
        if keep is not None and not keep(member.filename):
            continue
        path = folder / name
        if member.is_dir():
            path.mkdir(parents=True, exist_ok=True)
        else:
            with _readable(archive.open, member) as content:
                _write(path, content.read, member.file_size)


def check_zip(archive: zipfile.ZipFile, max_bytes: int) -> list[tuple[zipfile.ZipInfo, str]]:
    """The members of a zip archive, each with the relative path that it is unpacked to.

    Raises:
        ArchiveRefused: See :func:`extract_zip`.
    """
    names = _Names(max_bytes, archive.filename)
    members = []
    for member in archive.infolist():
        kind, plain = stat.S_IFMT(member.external_attr >> 16), stat.S_IFDIR if member.is_dir() else stat.S_IFREG
        name = names.add(member.orig_filename, member.file_size, is_folder=member.is_dir())
        if kind not in (0, plain):
            what = "a symbolic link" if kind == stat.S_IFLNK else "not a plain file"
            raise ArchiveRefused(
                f"{_display_name(member.filename)} is {what}. Pack the file that it points to instead."
            )
        if member.flag_bits & 0x1:
            raise ArchiveRefused(f"{_display_name(member.filename)} is encrypted. Pack it without a password.")
        members.append((member, name))
    return members


class _Names:
    """The names of an archive's members so far."""

    def __init__(self, max_bytes: int, archive: str | None = None) -> None:
        self._archive = archive or "The archive"
        self._max_bytes = max_bytes
        self._bytes = 0
        self._members = 0
        self._files: set[str] = set()
        self._folders: set[str] = set()
        # By the name that they have on a case-insensitive file system.
        self._spellings: dict[str, str] = {}

    def add(self, name: str, size: int, *, is_folder: bool) -> str:
        """Check a member.

        Returns:
            Relative path of the member.

        Raises:
            ArchiveRefused: The member must not be unpacked.
        """
        self._members += 1
        self._check_count()
        if len(name) > _MAX_PATH_CHARACTERS:
            raise ArchiveRefused(
                f"The name {_display_name(name)} is too long: {len(name)} characters; the limit is "
                f"{_MAX_PATH_CHARACTERS}. Pack a folder's content with relative names."
            )
        if size < 0:
            raise ArchiveRefused(f"{_display_name(name)} has a negative size. The archive is damaged; create it again.")
        self._bytes += size
        if self._bytes > self._max_bytes:
            raise ArchiveRefused(
                f"{self._archive} is larger than {self._max_bytes} bytes when unpacked. Pack only what is needed."
            )
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or any(map(_is_unsafe, parts)) or not (parts or is_folder):
            raise ArchiveRefused(
                f"{_display_name(name)} is not a plain relative path. Pack a folder's content with relative names."
            )
        for depth in range(1, len(parts) + 1):
            self._take("/".join(parts[:depth]), is_folder=is_folder or depth < len(parts))
        return "/".join(parts)

    def _take(self, path: str, *, is_folder: bool) -> None:
        key = unicodedata.normalize("NFC", path).casefold()
        same = self._spellings.setdefault(key, path)
        taken = path in self._files or (not is_folder and path in self._folders)
        if same != path or taken:
            raise ArchiveRefused(
                f"{_display_name(path)} occurs twice, or collides with {_display_name(same)}. Pack each file once, "
                "under names that differ by more than case."
            )
        (self._folders if is_folder else self._files).add(path)
        self._check_count()

    def _check_count(self) -> None:
        if max(self._members, len(self._files) + len(self._folders)) > MAX_MEMBERS:
            raise ArchiveRefused(f"{self._archive} has over {MAX_MEMBERS} files and folders. Pack only what is needed.")


def _is_unsafe(part: str) -> bool:
    # A colon is a drive or a stream on Windows, and a backslash a separator.
    if any(character in "\\:" or ord(character) < 32 for character in part):
        return True
    try:
        return len(part.encode()) > _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return True


def _checked(names: _Names, member: tarfile.TarInfo) -> str:
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
        kind = "a sparse file" if member.issparse() else _TAR_KINDS.get(member.type, "not a plain file")
        raise ArchiveRefused(f"{_display_name(member.name)} is {kind}. Pack plain files only (tar --dereference).")
    if member.isfile() and member.mode & (stat.S_ISUID | stat.S_ISGID):
        raise ArchiveRefused(f"{_display_name(member.name)} is a set-uid or set-gid file. Pack it without these bits.")
    return names.add(member.name, member.size, is_folder=member.isdir())


def _tar_members(stream: "_ForwardReader") -> Iterator[tarfile.TarInfo]:
    archive = _readable(tarfile.TarFile, None, "r", stream)
    while (member := _readable(archive.next)) is not None:
        archive.members.clear()  # it would keep all members in memory
        yield member


class _ForwardReader:
    """The unpacked stream for tarfile, which reads an undamaged archive forward and in small parts."""

    def __init__(self, content: gzip.GzipFile) -> None:
        self._content = content
        self._position = 0
        self._last = b""

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= _MAX_HEADER_BYTES:
            raise ArchiveRefused("A header of the archive is too large. It is damaged; create it again.")
        self._last = self._content.read(count)
        self._position += len(self._last)
        return self._last

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise ArchiveRefused("A header of the archive points backwards. It is damaged; create it again.")
        while position > self._position and self.read(min(position - self._position, _CHUNK_BYTES)):
            pass

    def read_zeros(self) -> None:
        """Read the zeros at the end of the archive, and with them the checksum that follows.

        tarfile treats a damaged header as the end.
        """
        while not self._last.strip(b"\0") and self.read(_CHUNK_BYTES):
            pass
        if self._last.strip(b"\0"):
            raise ArchiveRefused("The archive does not end after its last file. It is damaged; create it again.")


def _write(path: Path, read: Callable[[int], bytes], size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while size > 0:
            chunk = _readable(read, min(size, _CHUNK_BYTES))
            if not chunk:
                raise ArchiveRefused(
                    f"{_display_name(path.name)} is cut short. The archive is damaged; create it again."
                )
            file.write(chunk)
            size -= len(chunk)


def _readable(read: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a reader.

    Raises:
        ArchiveRefused: The reader raised another exception: the archive is damaged.
    """
    try:
        return read(*arguments)
    except ArchiveRefused:
        raise
    except Exception as error:  # a damaged archive may raise nearly any exception
        raise ArchiveRefused(f"The archive cannot be read: {error!r}. It is damaged; create it again.") from error


def _display_name(name: str) -> str:
    """The name of a member, for a message."""
    return ascii(name if len(name) <= 100 else name[:97] + "...")
