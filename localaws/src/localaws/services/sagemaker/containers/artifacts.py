"""Unpacks model artifacts, ``s3://…/model.tar.gz`` in the local S3, into folders."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from embedstack.models.archives import ArchiveRefused, extract_tar_gz
from localaws.services.sagemaker.containers.images import LaunchError, ProvisioningError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moto.s3.models import FakeKey

__all__ = ["Artifact", "artifact_exists", "unpack_artifact"]

#: The file that marks a model's folder: every packaging of a text model has a tokenizer.
_MODEL_FILE = "tokenizer.json"
#: What the handler of a package imports.
_OWN_HANDLER = b"embedstack_server.sagemaker_handler"


@dataclass(frozen=True, slots=True)
class Artifact:
    """An unpacked artifact.

    Attributes:
        root: The folder that SageMaker mounts at ``/opt/ml/model``.
        url: The artifact's URL.
    """

    root: Path
    url: str

    def model_folder(self) -> Path:
        """The folder with the model: the root, or the only folder in it with a tokenizer.

        Raises:
            LaunchError: There is none.
        """
        if (self.root / _MODEL_FILE).is_file():
            return self.root
        folders = sorted({path.parent for path in self.root.glob(f"*/{_MODEL_FILE}")})
        if len(folders) != 1:
            raise LaunchError(f'The model data archive at "{self.url}" holds no model folder: no {_MODEL_FILE} in it.')
        return folders[0]

    def has_handler(self, environment: "Mapping[str, str]") -> bool:
        """Whether it has a handler for the Hugging Face container.

        Raises:
            LaunchError: It is not this project's, so the local AWS cannot run it.
        """
        handler = self.root / "code" / (environment.get("SAGEMAKER_PROGRAM") or "inference.py")
        if not handler.is_file():
            return False
        if _OWN_HANDLER not in handler.read_bytes():
            raise LaunchError(
                f"The local AWS runs no other handler than that of `embedstack package-model`, and code/{handler.name} "
                f'in "{self.url}" is another one.'
            )
        return True

    @property
    def architectures(self) -> list[str]:
        """The model's architectures; empty if its config.json does not say."""
        try:
            config = json.loads((self.root / "config.json").read_bytes())
        except (OSError, ValueError):
            return []
        return [str(name) for name in config.get("architectures") or []] if isinstance(config, dict) else []


def artifact_exists(url: str, account_id: str) -> bool:
    """Whether the S3 object exists."""
    return _find_object(url, account_id) is not None


def unpack_artifact(url: str, account_id: str, parent: Path, limit: int) -> Artifact:
    """Unpack an artifact into a new folder under ``parent``.

    Args:
        url: ``s3://bucket/key`` of a gzipped tar archive.
        account_id: The account of the bucket.
        parent: Folder for the new one; the caller removes it.
        limit: Largest sum of the files' sizes in bytes.

    Raises:
        ProvisioningError: There is no object, or it is not an archive, unsafe or too large; with SageMaker's message.
    """
    stored = _find_object(url, account_id)
    if stored is None:
        raise ProvisioningError(
            f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that there '
            "is an object located at the URL and that the role passed to CreateModel has permissions to download "
            "the object."
        )
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix="model-"))
    with tempfile.TemporaryFile(dir=parent) as archive:
        archive.write(stored.value)
        archive.seek(0)
        try:
            extract_tar_gz(archive, folder, limit)
        except ArchiveRefused as error:
            raise ProvisioningError(
                f'Failed to extract model data archive from URL "{url}". Please ensure that the object located at '
                f"the URL is a valid tar.gz archive. ({error})"
            ) from error
    return Artifact(folder, url)


def _find_object(url: str, account_id: str) -> "FakeKey | None":
    parts = urlsplit(url)
    try:
        return s3_backends[account_id]["aws"].get_object(parts.netloc, parts.path.lstrip("/"))
    except S3ClientError:
        return None
