"""The compiled modules in a package: for which processor and Python they are."""

import platform
import re
import sys
import zipfile

__all__ = ["find_misfit"]

_SHARED_OBJECT = re.compile(r"\.so(\.[\d.]+)?$")
_TAG = re.compile(r"\.cpython-3(\d+)-")
#: ELF's e_machine, by Lambda's names of processors.
_PROCESSORS = {0x3E: "x86_64", 0xB7: "arm64"}
_HEADER_BYTES = 20
#: Terraform's AWS provider 5 knows no newer runtime. On a machine with a newer Python, functions name this one.
_NEWEST_RUNTIME = 13


def find_misfit(archive: zipfile.ZipFile, architecture: str, runtime: str) -> str | None:
    """Why a package's compiled modules do not load in a function, as a sentence; None where they do.

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
        processor, python = _built_for(archive, member)
        if processor not in (None, architecture) or python not in (None, expected):
            return (
                f"{member.filename} is for {python or runtime} on {processor}, and the function is {runtime} on "
                f"{architecture}. AWS takes the package, and fails every invocation with Runtime.ImportModuleError: "
                "build it for what the function is, or set Runtime and Architectures to what it was built for."
            )
        if processor not in (None, here[0]) or python not in (None, here[1]):
            return (
                f"{member.filename} is for {python or runtime} on {processor}, which AWS has and the local AWS has "
                f"not: it runs functions by this machine's {here[1]} on {here[0]}. Build the package for this machine "
                "(make package-functions), and set Runtime and Architectures to that."
            )
    return None


def _built_for(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[str | None, str | None]:
    """The processor and the runtime; None for one that it does not tell, or that Lambda has not."""
    with archive.open(member) as file:
        header = file.read(_HEADER_BYTES)
    processor = _PROCESSORS.get(int.from_bytes(header[18:20], "little")) if header.startswith(b"\x7fELF") else None
    tag = _TAG.search(member.filename)
    return processor, f"python3.{tag[1]}" if tag else None
