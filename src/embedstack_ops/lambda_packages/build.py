"""Builds the packages of the Lambda functions: a zip with the handler, this library and all wheels it needs.

Builds are reproducible: the same input gives the same bytes, so the hash tells whether a deployment changes anything.
"""

import hashlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import embedstack
from embedstack.errors import ConfigurationError
from embedstack.models.archives import check_zip
from embedstack_ops.lambda_packages.wheels import Target, download_wheels, read_lock, read_requirements

__all__ = [
    "FUNCTIONS",
    "MAX_ZIP_BYTES",
    "PIPELINE_FUNCTIONS",
    "FunctionContents",
    "FunctionPackage",
    "PackagePart",
    "build_function",
    "pack",
]

#: Limit of a zip without the model's tokenizer, which may add about 5 MB. Smaller packages have shorter cold starts.
MAX_ZIP_BYTES = 30_000_000
#: Lambda's limit for an upload in a request (quota "Deployment package").
MAX_UPLOAD_BYTES = 50_000_000
#: Lambda's limit for an unzipped package, including layers (quota "Deployment package").
MAX_UNZIPPED_BYTES = 250_000_000
# Limit of one wheel, above the largest one; parts that the functions do not need are omitted.
_MAX_WHEEL_BYTES = 1_000_000_000

# The botocore services that are called. All of its 400 services have 25 MB.
_PIPELINE_SERVICES = frozenset(
    {"bedrock-runtime", "kms", "s3", "s3vectors", "sagemaker-runtime", "secretsmanager", "sqs", "sts", "xray"}
)
_HEALTH_SERVICES = frozenset(
    {"bedrock-runtime", "cloudwatch", "logs", "s3", "sagemaker", "sagemaker-runtime", "sns", "sts", "xray"}
)
_REPORT_SERVICES = frozenset({"ce", "cloudwatch", "sagemaker", "secretsmanager", "sns", "sts", "xray"})


@dataclass(frozen=True, slots=True)
class FunctionContents:
    """What a function's package contains besides this library.

    Attributes:
        extras: Extras of this library.
        services: botocore's services.
    """

    extras: tuple[str, ...]
    services: frozenset[str] = _PIPELINE_SERVICES


#: The contents of each function's package; the name is that of its folder in ``lambda/``.
FUNCTIONS = {
    "cost_report": FunctionContents(("lambda", "postgres"), _REPORT_SERVICES),
    "health_check": FunctionContents(("lambda",), _HEALTH_SERVICES),
    "ingest": FunctionContents(("lambda", "documents", "postgres")),
    "search": FunctionContents(("lambda", "postgres")),
}
#: The functions of the document pipeline.
PIPELINE_FUNCTIONS = ("ingest", "search")

# Files of a wheel's .dist-info that are needed: name, version and entry points; licences are kept as well.
_METADATA = {"METADATA", "entry_points.txt"}
_NOT_LOADED = {".a", ".c", ".h", ".pxd", ".pyi", ".pyx", ".pyc"}
_TESTS = {"tests", "testing", "_examples", "examples"}
# numpy.testing is part of numpy's public API.
_NEEDED_TESTS = ("numpy/testing/",)
# The functions import none of these. Only the backend "fake", which is for tests, imports numpy.random.
_NOT_LOADED_FOLDERS = (
    "aws_lambda_powertools/event_handler/",
    *(f"aws_lambda_powertools/utilities/{name}/" for name in (
        "auth_alpha", "circuit_breaker", "data_masking", "feature_flags", "idempotency", "kafka", "parameters",
        "streaming", "validation",
    )),
    "boto3/data/", "click/", "dateutil/zoneinfo/", "numpy/distutils/", "numpy/f2py/", "numpy/fft/", "numpy/ma/",
    "numpy/polynomial/", "numpy/random/", "numpy/testing/tests/", "olefile/doc/", "olefile/olefile2.py",
    "pydantic/v1/", "pypdfium2_cli/",
)  # fmt: skip
# Extension modules for numpy's own tests, and PyYAML's optional one: 0.8 MB of the zip to read two small files faster.
_OMITTED_MODULE = re.compile(r"numpy/_core/(_simd|_\w+_tests)\.|yaml/_yaml\.")

# The earliest date in a zip.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class PackagePart:
    """A part of a package.

    Attributes:
        name: A top-level folder or file.
        packed_bytes: Its compressed size in bytes.
    """

    name: str
    packed_bytes: int


@dataclass(frozen=True, slots=True)
class FunctionPackage:
    """A finished zip.

    Attributes:
        path: The zip file.
        sha256: Its SHA-256 in hexadecimal digits.
        packed_bytes: Its size in bytes.
        tokenizer_bytes: The tokenizer's compressed size in bytes.
        unpacked_bytes: The unzipped size in bytes.
        largest: Its largest parts, largest first.
    """

    path: Path
    sha256: str
    packed_bytes: int
    tokenizer_bytes: int
    unpacked_bytes: int
    largest: tuple[PackagePart, ...]


def build_function(
    name: str,
    repository: Path,
    target_file: Path,
    *,
    target: Target,
    model: str | None = None,
    tokenizer: Path | None = None,
    database_ca: Path | None = None,
    wheels: Path | None = None,
) -> FunctionPackage:
    """Build a function's package.

    Args:
        name: One of :data:`FUNCTIONS`.
        repository: The folder with ``lambda/``, ``pyproject.toml`` and ``locks/``.
        target_file: The ``.zip`` to write.
        target: The architecture and Python version.
        model: Hub id of the endpoint's model. The function refuses to run with another one.
        tokenizer: The model's ``tokenizer.json``, for a function that chunks documents.
        database_ca: CA bundle for the database's certificate, PEM; ``/var/task/rds-ca.pem`` on Lambda.
        wheels: A folder in which to cache wheels by target; None to cache none.

    Raises:
        ConfigurationError: A wheel cannot be downloaded, or the package exceeds a limit.
    """
    with tempfile.TemporaryDirectory(dir=target_file.parent, prefix=".function-") as staging:
        root = Path(staging, "root")
        root.mkdir()
        cache = (wheels or Path(staging, "wheels")) / f"{target.python}-{target.architecture}"
        cache.mkdir(parents=True, exist_ok=True)
        requirements = read_requirements(repository / "pyproject.toml", FUNCTIONS[name].extras)
        for wheel in download_wheels(requirements, read_lock(repository / "locks" / "dev.txt", target), target, cache):
            _unpack(wheel, root, FUNCTIONS[name].services)
        _stage_sources(repository / "lambda", name, root)
        if tokenizer is not None:
            shutil.copyfile(tokenizer, root / "tokenizer.json")
        if database_ca is not None:
            shutil.copyfile(database_ca, root / "rds-ca.pem")
        _write_manifest(root, name, target, model if tokenizer else None)
        finished = Path(staging, "finished.zip")
        pack(root, finished)
        package = _describe(finished, target_file)
        _check_size(package)
        finished.replace(target_file)
    return package


def pack(root: Path, target_file: Path) -> None:
    """Zip a folder's files reproducibly: sorted, without timestamps."""
    with zipfile.ZipFile(target_file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in sorted((path.relative_to(root).as_posix(), path) for path in _files(root)):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, for the file modes
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _unpack(wheel: Path, root: Path, services: frozenset[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member, name in check_zip(archive, _MAX_WHEEL_BYTES):
            install_path = _install_path(name)
            if install_path is not None and not member.is_dir() and is_needed(install_path, services):
                path = root / install_path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(member))


def _install_path(name: str) -> str | None:
    """Where a wheel's file is installed; None for scripts and headers (wheel format, "The .data directory")."""
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return name
    scheme, _, inner = rest.partition("/")
    return inner if scheme in ("purelib", "platlib") else None


def is_needed(name: str, services: frozenset[str] = _PIPELINE_SERVICES) -> bool:
    """Whether the package needs a file of an installed wheel: it is loaded, or is metadata or a licence."""
    path = PurePosixPath(name)
    top = path.parts[0]
    if top.endswith(".dist-info"):
        return path.name in _METADATA or "licen" in name.lower() or path.name.upper().startswith(("NOTICE", "COPYING"))
    if name.startswith("botocore/data/") and len(path.parts) > 3:
        return path.parts[2] in services and not path.name.startswith(("examples-", "waiters-"))
    if path.suffix in _NOT_LOADED or name.startswith(_NOT_LOADED_FOLDERS) or _OMITTED_MODULE.match(name):
        return False
    return name.startswith(_NEEDED_TESTS) or not _TESTS.intersection(path.parts[:-1])


def _stage_sources(sources: Path, name: str, root: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(embedstack.__file__).parent, root / "embedstack", ignore=ignored)
    shutil.copytree(sources / "pipeline_functions", root / "pipeline_functions", ignore=ignored)
    shutil.copyfile(sources / name / "function.py", root / "function.py")


def _write_manifest(root: Path, name: str, target: Target, model: str | None) -> None:
    """Write the manifest, by which the function checks its package at run time."""
    tokenizer = root / "tokenizer.json"
    manifest = {
        "architecture": target.architecture,
        "function": name,
        "model": model,
        "python": target.python,
        "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest() if tokenizer.is_file() else None,
    }
    (root / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file())


def _describe(file: Path, target_file: Path) -> FunctionPackage:
    parts: dict[str, int] = {}
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    for entry in entries:
        top = entry.filename.partition("/")[0]
        parts[top] = parts.get(top, 0) + entry.compress_size
    largest = sorted((PackagePart(top, size) for top, size in parts.items()), key=lambda part: -part.packed_bytes)
    return FunctionPackage(
        path=target_file,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        packed_bytes=file.stat().st_size,
        tokenizer_bytes=parts.get("tokenizer.json", 0),
        unpacked_bytes=sum(entry.file_size for entry in entries),
        largest=tuple(largest[:5]),
    )


def _check_size(package: FunctionPackage) -> None:
    own = package.packed_bytes - package.tokenizer_bytes
    sizes = (
        (own, MAX_ZIP_BYTES),
        (package.packed_bytes, MAX_UPLOAD_BYTES),
        (package.unpacked_bytes, MAX_UNZIPPED_BYTES),
    )
    if any(size > limit for size, limit in sizes):
        parts = ", ".join(f"{part.name} {part.packed_bytes / 1e6:.1f} MB" for part in package.largest)
        raise ConfigurationError(
            f"The package {package.path.name} has {own / 1e6:.1f} MB, {package.packed_bytes / 1e6:.1f} MB with its "
            f"tokenizer, and unzipped {package.unpacked_bytes / 1e6:.0f} MB; "
            f"the limits are {' and '.join(f'{limit / 1e6:.0f}' for _, limit in sizes)}. Its largest parts: {parts}."
        )
