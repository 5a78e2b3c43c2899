"""A function's code on this machine: each package unpacked once, and what Lambda's runtime brings along."""

import base64
import importlib.util
import io
import shutil
import threading
import zipfile
from pathlib import Path

from embedstack.models.archives import ArchiveRefused, check_zip, extract_zip
from localaws.services.lambda_.native_modules import find_misfit

__all__ = ["MAX_UNZIPPED_BYTES", "CodeFolders", "CodeRefused", "check_package"]

#: "Deployment package (.zip file archive) size" in the Lambda developer guide's quotas, layers included.
MAX_UNZIPPED_BYTES = 262_144_000
#: What the managed Python runtimes carry: the runtime interface client and the SDK with what it needs.
_RUNTIME_MODULES = (
    "awslambdaric", "boto3", "botocore", "dateutil", "jmespath", "runtime_client", "s3transfer", "simplejson", "six",
    "snapshot_restore_py", "urllib3",
)  # fmt: skip


class CodeRefused(Exception):
    """A package that Lambda does not take; the message is Lambda's."""


def check_package(content: bytes, architecture: str, runtime: str) -> None:
    """Check a .zip file archive.

    Args:
        content: The archive.
        architecture: The processor of the function that it is for.
        runtime: That function's runtime.

    Raises:
        CodeRefused: It is none, or too large once unpacked; or, which AWS would say of every invocation only, it has
            modules of another processor or Python.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unzipped = sum(member.file_size for member in archive.infolist())
            if unzipped <= MAX_UNZIPPED_BYTES:
                check_zip(archive, MAX_UNZIPPED_BYTES)
                misfit = find_misfit(archive, architecture, runtime)
    except ArchiveRefused as error:
        raise CodeRefused(f"The local AWS does not unpack this archive. {error}") from error
    except Exception as error:  # a damaged archive may raise nearly anything
        message = "Could not unzip uploaded file. Please check your file, then try to upload again."
        raise CodeRefused(message) from error
    if unzipped > MAX_UNZIPPED_BYTES:
        raise CodeRefused(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
    if misfit is not None:
        raise CodeRefused(misfit)


class CodeFolders:
    """Unpacked packages by their content, below one folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when something is unpacked."""
        self._folder = folder
        self._lock = threading.Lock()

    def code(self, sha256: str, content: bytes) -> Path:
        """The folder with a package's files.

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
        """The folder that environments have their own /tmp in."""
        folder = self._folder / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def runtime(self) -> Path:
        """A folder with nothing but the modules that Lambda's own runtime has.

        A function that forgets to package a library must not find it because this machine has it.
        """
        folder = self._folder / "runtime"
        with self._lock:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _RUNTIME_MODULES:
                found = importlib.util.find_spec(name)
                if found is None or found.origin is None:
                    continue
                origin = Path(found.origin)
                source = origin.parent if found.submodule_search_locations else origin
                link = folder / source.name
                if not link.is_symlink():
                    link.symlink_to(source)
        return folder
