"""Packaging of a model as ``model.tar.gz`` for the Hugging Face PyTorch container, with this product's encoder.

The package includes every dependency that the container lacks, unpacked under ``code/vendor``, so that nothing is
installed when a container starts. Packages are reproducible: the same input gives the same bytes.
"""

import gzip
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

import embedstack
from embedstack.errors import ConfigurationError
from embedstack.models.archives import extract_zip
from embedstack.models.catalogue import find_model
from embedstack.models.json_files import read_object
from embedstack.models.model_info import ModelInfo
from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
from embedstack_server.model.embedding_folder import read_embedding_folder
from embedstack_server.model.manifest import (
    DESCRIPTION_FILES,
    MANIFEST,
    OF_EMBEDDINGS,
    WEIGHTS_FILES,
    Manifest,
    file_sha256,
)
from embedstack_server.model.model_kind import model_kind
from embedstack_server.model.precision import PrecisionSetting
from embedstack_server.packaging_accuracy import check_accuracy

__all__ = ["MAX_UNPACKED_BYTES", "Package", "fetch_from_hub", "make_package"]

# A serverless container has 5 GB of disk with any memory size (SageMaker developer guide, "Serverless endpoints").
MAX_UNPACKED_BYTES = 5_000_000_000
# Maximum unpacked size of one wheel, including skipped files.
_MAX_WHEEL_BYTES = 1_000_000_000

# Dependencies that the container lacks. It already has numpy, tokenizers and safetensors.
_VENDORED = ("openvino", "orjson")
# Modules of the client library that the model server imports.
_LIBRARY_MODULES = (
    "__init__.py", "py.typed", "errors.py", "lazy/__init__.py", "calls/__init__.py", "calls/process_local.py",
    "models/__init__.py", "models/json_files.py", "models/model_folder.py", "models/model_info.py",
)  # fmt: skip
# Unused parts of OpenVINO, half of its size: only the CPU plugin is needed.
_UNUSED_FILES = (
    "gpu_plugin",
    "npu_plugin",
    "_frontend.so",
    "cache.json",
    "auto_plugin",
    "hetero",
    "auto_batch",
    "/include/",
)
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

_INFERENCE = '''"""Handler functions for the Hugging Face container."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "vendor"))

from embedstack_server.sagemaker_handler import model_fn, transform_fn

__all__ = ["model_fn", "transform_fn"]
'''


@dataclass(frozen=True, slots=True)
class Package:
    """A finished package.

    Attributes:
        path: The ``model.tar.gz``.
        manifest: Its manifest.
        packed_bytes: Size of the file.
        unpacked_bytes: Size on the container's disk.
    """

    path: Path
    manifest: Manifest
    packed_bytes: int
    unpacked_bytes: int


def make_package(
    folder: Path,
    target: Path,
    *,
    model_id: str,
    revision: str | None = None,
    precision: PrecisionSetting = "auto",
    python: str = "3.12",
) -> Package:
    """Package a sentence-transformers folder: an embedding model, or a cross-encoder.

    Args:
        folder: The model's folder.
        target: Path of the ``.tar.gz`` to write.
        model_id: The model's name on the Hugging Face Hub.
        revision: The Hub's commit.
        precision: Arithmetic to compute in.
        python: Python version of the container that will run it.

    Raises:
        ConfigurationError: The model is not supported, a dependency is not available for that Python version, or the
            package exceeds the container's disk; or the target's folder does not exist.
    """
    if not target.parent.is_dir():
        raise ConfigurationError(f"The folder {target.parent} does not exist. Create it, or choose another one.")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".package-") as staging:
        root = Path(staging)
        manifest = _stage_model(folder, root, model_id, revision, precision)
        manifest = check_accuracy(manifest)
        manifest.write()
        _stage_code(root / "code", python)
        unpacked = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        if unpacked > MAX_UNPACKED_BYTES:
            raise ConfigurationError(
                f"The unpacked package has {unpacked / 1e9:.1f} GB; a serverless container's disk has "
                f"{MAX_UNPACKED_BYTES / 1e9:.0f} GB. Use a smaller model or a real-time endpoint."
            )
        finished = root.with_suffix(".tar.gz")
        _pack(root, finished)
        finished.replace(target)
    return Package(target, manifest, target.stat().st_size, unpacked)


def fetch_from_hub(model_id: str, revision: str | None) -> tuple[Path, str]:
    """Download a model from the Hugging Face Hub.

    Returns:
        The folder and the commit.

    Raises:
        ConfigurationError: The model does not exist, access is denied, or the Hub cannot be reached.
    """
    try:
        folder = Path(
            snapshot_download(model_id, revision=revision, allow_patterns=[*DESCRIPTION_FILES, *WEIGHTS_FILES])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ConfigurationError(
            f"{model_id} cannot be downloaded from the Hugging Face Hub ({error}). Check the id and HF_TOKEN, or pass "
            "a local folder with --folder."
        ) from error
    return folder, folder.name  # the Hub's cache names folders by commit


def _stage_model(
    folder: Path, root: Path, model_id: str, revision: str | None, precision: PrecisionSetting
) -> Manifest:
    read = CrossEncoderFolder.read if model_kind(folder) == "reranker" else read_embedding_folder
    model = read(folder, model_id)
    patterns = (*DESCRIPTION_FILES, WEIGHTS_FILES[model.weights.suffix == ".bin"])
    names = sorted(
        {path.relative_to(folder) for pattern in patterns for path in folder.glob(pattern)} - {Path(MANIFEST)}
    )
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, root / name)
    if not isinstance(model, CrossEncoderFolder):
        _declare_lengths(root / "config.json", find_model(model_id), model.dimensions)
    manifest = Manifest(
        folder=root,
        model_id=model_id,
        revision=revision,
        kind=model.kind,
        max_tokens=model.max_tokens,
        prompts=model.prompts,
        **{name: getattr(model, name, None) for name in OF_EMBEDDINGS},
        precision=precision,
        sha256={name.as_posix(): file_sha256(root / name) for name in names},
    )
    manifest.write()  # loading verifies it
    return manifest


def _declare_lengths(config: Path, info: ModelInfo | None, dimensions: int) -> None:
    """Add the lengths to which vectors may be cut from the catalogue, if the model's own configuration has none."""
    if info is None or info.dimensions != dimensions or not info.matryoshka_dimensions or not config.is_file():
        return
    content = read_object(config)
    if "matryoshka_dimensions" not in content:
        content["matryoshka_dimensions"] = list(info.matryoshka_dimensions)
        config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _stage_code(code: Path, python: str) -> None:
    vendor = code / "vendor"
    server, library = Path(__file__).parent, Path(embedstack.__file__).parent
    shutil.copytree(
        server,
        vendor / server.name,
        ignore=shutil.ignore_patterns("__pycache__", "golden.py", "packaging*.py", "__main__.py"),
    )
    for module in _LIBRARY_MODULES:
        target = vendor / library.name / module
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library / module, target)
    (code / "inference.py").write_text(_INFERENCE, encoding="utf-8")
    for wheel in _download(python):
        with zipfile.ZipFile(wheel) as archive:
            extract_zip(archive, vendor, _MAX_WHEEL_BYTES, lambda name: not _is_dropped(name))
        wheel.unlink()


def _is_dropped(name: str) -> bool:
    return any(part in name for part in _UNUSED_FILES)


def _download(python: str) -> Iterable[Path]:
    """Download wheels of the vendored packages for the container, in the installed versions."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                   "--implementation=cp", f"--python-version={python}", f"--dest={folder}",
                   *(f"--platform={platform}" for platform in _PLATFORMS),
                   *(f"{name}=={version(name)}" for name in _VENDORED)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConfigurationError(f"The wheels for Python {python} cannot be downloaded:\n{done.stderr.strip()}")
        yield from sorted(Path(folder).iterdir())


def _pack(root: Path, target: Path) -> None:
    """Write a reproducible tar archive of the folder."""
    with (
        target.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(root).as_posix())
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(member, content)
