"""Unpacks model artifacts, ``s3://…/model.tar.gz`` in the local S3, into folders."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends

from embedstack.models.archives import ArchiveRefused, extract_tar_gz
from localaws.services.sagemaker.containers.images import LaunchError

if TYPE_CHECKING:
    from moto.s3.models import FakeKey

#: The file that marks a model's folder: every packaging of a text model has a tokenizer.
_MODEL_FILE = "tokenizer.json"


def artifact_exists(url: str, account_id: str) -> bool:
    """Whether the S3 object exists."""
    return _find_object(url, account_id) is not None


def unpack_artifact(url: str, account_id: str, parent: Path, limit: int) -> Path:
    """Unpack an artifact into a new folder under ``parent``.

    Args:
        url: ``s3://bucket/key`` of a gzipped tar archive.
        account_id: The account of the bucket.
        parent: Folder for the new one; the caller removes it.
        limit: Largest sum of the files' sizes in bytes.

    Returns:
        The folder with the model: the archive's root, or the only folder in it with a tokenizer.

    Raises:
        LaunchError: There is no object, or it is not an archive, unsafe, too large, or without a model; with
            SageMaker's message.
    """
    stored = _find_object(url, account_id)
    if stored is None:
        raise LaunchError(
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
            raise LaunchError(
                f'Failed to extract model data archive from URL "{url}". Please ensure that the object located at '
                f"the URL is a valid tar.gz archive. ({error})"
            ) from error
    return _model_folder(folder, url)


def _find_object(url: str, account_id: str) -> "FakeKey | None":
    parts = urlsplit(url)
    try:
        return s3_backends[account_id]["aws"].get_object(parts.netloc, parts.path.lstrip("/"))
    except S3ClientError:
        return None


def _model_folder(folder: Path, url: str) -> Path:
    if (folder / _MODEL_FILE).is_file():
        return folder
    folders = sorted({path.parent for path in folder.glob(f"*/{_MODEL_FILE}")})
    if len(folders) != 1:
        raise LaunchError(f'The model data archive at "{url}" holds no model folder: no {_MODEL_FILE} in it.')
    return folders[0]
