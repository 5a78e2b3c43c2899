"""Deployment packages: validation, unpacking, and the modules of Lambda's runtime."""

import base64
import importlib.util
import io
import platform
import re
import shutil
import sys
import threading
import venv
import zipfile
from pathlib import Path

from embedstack.models.archives import ArchiveRefused, check_zip, extract_zip

__all__ = ["MAX_UNZIPPED_BYTES", "CodeFolders", "CodeRefused", "check_package"]

#: "Deployment package (.zip file archive) size" in the Lambda developer guide's quotas, layers included.
MAX_UNZIPPED_BYTES = 262_144_000
#: The modules of the managed Python runtimes: the runtime interface client, and the SDK with its dependencies.
_RUNTIME_MODULES = (
    "awslambdaric", "boto3", "botocore", "dateutil", "jmespath", "runtime_client", "s3transfer", "simplejson", "six",
    "snapshot_restore_py", "urllib3",
)  # fmt: skip

_SHARED_OBJECT = re.compile(r"\.so(\.[\d.]+)?$")
_TAG = re.compile(r"\.cpython-3(\d+)-")
#: Lambda's names of processors, by ELF's e_machine.
_PROCESSORS = {0x3E: "x86_64", 0xB7: "arm64"}
_HEADER_BYTES = 20
#: The newest runtime that Terraform's AWS provider 5 accepts. On a machine with a newer Python, functions use it.
_NEWEST_RUNTIME = 13


class CodeRefused(Exception):
    """An invalid package; the message is Lambda's."""


def check_package(content: bytes, architecture: str, runtime: str) -> None:
    """Check a .zip file archive.

    Args:
        content: The archive.
        architecture: The function's processor architecture.
        runtime: The function's runtime.

    Raises:
        CodeRefused: It is not an archive, is too large when unpacked, or has compiled modules for another processor or
            Python. For the latter, AWS would accept the package and fail every invocation.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unzipped = sum(member.file_size for member in archive.infolist())
            if unzipped <= MAX_UNZIPPED_BYTES:
                check_zip(archive, MAX_UNZIPPED_BYTES)
                mismatch = _find_mismatch(archive, architecture, runtime)
    except ArchiveRefused as error:
        raise CodeRefused(f"The local AWS cannot unpack this archive. {error}") from error
    except Exception as error:  # a damaged archive may raise nearly anything
        message = "Could not unzip uploaded file. Please check your file, then try to upload again."
        raise CodeRefused(message) from error
    if unzipped > MAX_UNZIPPED_BYTES:
        raise CodeRefused(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
    if mismatch is not None:
        raise CodeRefused(mismatch)


class CodeFolders:
    """Unpacked packages in one folder, by their content."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is created on first use."""
        self._folder = folder
        self._lock = threading.Lock()
        self._interpreter: Path | None = None

    def code(self, sha256: str, content: bytes) -> Path:
        """Unpack a package, and return the folder with its files.

        Args:
            sha256: The package's CodeSha256.
            content: The .zip file archive.
        """
        folder = self._folder / "code" / base64.b64decode(sha256).hex()
        with self._lock:
            if not folder.is_dir():
                partial = folder.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    extract_zip(archive, partial, MAX_UNZIPPED_BYTES)
                partial.rename(folder)
        return folder

    def scratch(self) -> Path:
        """The parent folder of the temporary folders of environments."""
        folder = self._folder / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def interpreter(self) -> Path:
        """A Python without packages: a virtual environment in which nothing is installed.

        Processes that a function starts with ``sys.executable`` find no libraries of this machine either.
        """
        with self._lock:
            if self._interpreter is None:
                folder = self._folder / "python"
                # Re-created: an earlier local AWS may have had another Python.
                venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(folder)
                self._interpreter = folder / "bin" / "python"
        return self._interpreter

    def runtime(self) -> Path:
        """A folder with only the modules of Lambda's runtime.

        A function that lacks a library must not find it on this machine.
        """
        folder = self._folder / "runtime"
        with self._lock:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _RUNTIME_MODULES:
                spec = importlib.util.find_spec(name)
                if spec is None or spec.origin is None:
                    continue
                origin = Path(spec.origin)
                source = origin.parent if spec.submodule_search_locations else origin
                link = folder / source.name
                if not link.is_symlink():
                    link.symlink_to(source)
        return folder


def _find_mismatch(archive: zipfile.ZipFile, architecture: str, runtime: str) -> str | None:
    """Why a package's compiled modules cannot be loaded by a function; None if they can.

    Args:
        archive: The package.
        architecture: The function's processor.
        runtime: Its runtime, ``python3.13``.
    """
    here = ("arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64", f"python3.{sys.version_info.minor}")
    is_newest = runtime == f"python3.{_NEWEST_RUNTIME}" and sys.version_info.minor > _NEWEST_RUNTIME
    expected = here[1] if is_newest else runtime
    for member in archive.infolist():
        if not _SHARED_OBJECT.search(member.filename):
            continue
        processor, python = _target_of(archive, member)
        if processor not in (None, architecture) or python not in (None, expected):
            return (
                f"{member.filename} is for {python or runtime} on {processor}, but the function is {runtime} on "
                f"{architecture}. AWS would accept the package and fail every invocation with "
                "Runtime.ImportModuleError. Build it for the function, or change Runtime and Architectures."
            )
        if processor not in (None, here[0]) or python not in (None, here[1]):
            return (
                f"{member.filename} is for {python or runtime} on {processor}, but the local AWS runs functions with "
                f"this machine's {here[1]} on {here[0]}. Build the package for this machine "
                "(make package-functions), and set Runtime and Architectures accordingly."
            )
    return None


def _target_of(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str | None, str | None]:
    """The processor and the runtime of a module; None for unknown ones."""
    with archive.open(member) as file:
        header = file.read(_HEADER_BYTES)
    processor = _PROCESSORS.get(int.from_bytes(header[18:20], "little")) if header.startswith(b"\x7fELF") else None
    tag = _TAG.search(member.filename)
    return processor, f"python3.{tag[1]}" if tag else None
