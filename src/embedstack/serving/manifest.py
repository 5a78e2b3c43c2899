"""``embedstack.json``: what a packaged model is, and the checksum of every file that it is made of."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from embedstack.errors import ConfigurationError
from embedstack.models import ModelIdentity
from embedstack.serving.encoder import Encoder, PrecisionSetting

__all__ = ["MANIFEST", "Manifest", "file_sha256", "model_identity"]

MANIFEST = "embedstack.json"

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """A package's description of itself.

    Attributes:
        folder: The package's folder.
        model_id: The model's name on the Hugging Face Hub.
        revision: The Hub's commit, where it was known.
        dimensions: Length of a vector.
        max_tokens: Tokens read of one text.
        pooling: How token vectors become one vector.
        normalize: Whether vectors have unit length.
        prompts: Text put before an input, by prompt name.
        precision: Arithmetic to compute in; ``auto`` takes bfloat16 where the processor has it.
        sha256: Checksum of each of the model's files by its path in the package.
    """

    folder: Path
    model_id: str
    revision: str | None
    dimensions: int
    max_tokens: int
    pooling: str
    normalize: bool
    prompts: dict[str, str]
    precision: PrecisionSetting
    sha256: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read a package's manifest.

        Raises:
            ConfigurationError: There is none, or it is not one.
        """
        path = folder / MANIFEST
        try:
            manifest = cls(folder=folder, **json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{path} is not a package's manifest ({error}); make the package with scripts/package_model.py."
            ) from error
        if manifest.precision not in get_args(PrecisionSetting):
            raise ConfigurationError(
                f"{path}: the precision {manifest.precision!r} is not one of {get_args(PrecisionSetting)}."
            )
        return manifest

    @property
    def identity(self) -> ModelIdentity:
        """The model that is in the package."""
        return ModelIdentity(self.model_id, self.revision)

    def write(self) -> None:
        """Write the manifest into its folder."""
        document = {name: value for name, value in asdict(self).items() if name != "folder"}
        (self.folder / MANIFEST).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            ConfigurationError: A file is missing or has another content.
        """
        for name, expected in self.sha256.items():
            path = self.folder / name
            if not path.is_file():
                raise ConfigurationError(f"{path} is missing from the package; make the package anew.")
            if file_sha256(path) != expected:
                raise ConfigurationError(f"{path} is not the file that was packaged: its checksum differs.")

    def load_encoder(self) -> Encoder:
        """Check the files and load the model.

        Raises:
            ConfigurationError: A file is missing or damaged, or the model cannot be served.
        """
        self.verify()
        return Encoder.load(self.folder, model_id=self.model_id, precision=self.precision)


def file_sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def model_identity(folder: Path, model_id: str | None = None, revision: str | None = None) -> ModelIdentity | None:
    """The model in a folder: what its manifest says, or else what is given; None where nothing says so.

    A folder's own ``_name_or_path`` does not count: of a fine-tuned model it is often the base model's.
    """
    if (folder / MANIFEST).is_file():
        return Manifest.read(folder).identity
    return ModelIdentity(model_id, revision) if model_id else None
