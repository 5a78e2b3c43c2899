"""``embedstack.json``: the description of a packaged model, with the checksum of each of its files."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, get_args

from embedstack.errors import ConfigurationError
from embedstack.models.model_info import ModelIdentity, ModelKind
from embedstack_server.model.precision import PrecisionSetting

if TYPE_CHECKING:
    from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
    from embedstack_server.model.served_model import ServedModel

__all__ = [
    "DESCRIPTION_FILES", "MANIFEST", "OF_EMBEDDINGS", "WEIGHTS_FILES", "Manifest", "file_sha256", "model_files",
    "model_identity",
]  # fmt: skip

MANIFEST = "embedstack.json"
#: Glob patterns of the files in a model's folder that the encoder reads, besides the weights.
DESCRIPTION_FILES = (
    "*.json", "*/config.json", "*/tokenizer.json", "*/model.safetensors", "*/pytorch_model.bin",
    "colbert_linear.*", "sparse_linear.*",
)  # fmt: skip
#: Glob patterns of the weights. A checkpoint in both formats is packaged once.
WEIGHTS_FILES = ("model*.safetensors", "pytorch_model*.bin")

#: Members that only an embedding model has.
OF_EMBEDDINGS = ("dimensions", "pooling", "normalize")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a package.

    Attributes:
        folder: The package's folder.
        model_id: The model's name on the Hugging Face Hub.
        revision: The Hub's commit, or None if unknown.
        dimensions: Length of a vector; None for a reranker.
        max_tokens: Tokens read of one text, or of a query and a text, including special tokens.
        pooling: How token vectors are combined into one vector; None for a reranker.
        normalize: Whether vectors have unit length; None for a reranker.
        prompts: Texts to prepend to an input, by prompt name.
        precision: Arithmetic to compute in; ``auto`` uses bfloat16 if the processor supports it.
        sha256: Checksum of each of the model's files, by path in the package.
        kind: What the model computes; always an embedding model in older packages.
        reference: Reference with which the outputs were compared during packaging; None in older packages.
        cosine: Lowest cosine to the reference over the golden texts; None for a reranker.
        determination: Coefficient of determination of a reranker's logits by the reference's, over pairs of golden
            texts: 1 if they are equal.
    """

    folder: Path
    model_id: str
    revision: str | None
    dimensions: int | None
    max_tokens: int
    pooling: str | None
    normalize: bool | None
    prompts: dict[str, str]
    precision: PrecisionSetting
    sha256: dict[str, str]
    kind: ModelKind = "embedding"
    reference: str | None = None
    cosine: float | None = None
    determination: float | None = None

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read a package's manifest.

        Raises:
            ConfigurationError: The manifest does not exist, or is damaged.
        """
        path = folder / MANIFEST
        try:
            manifest = cls(folder=folder, **json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"{path} is not a package's manifest ({error}). Create the package with `embedstack package-model`."
            ) from error
        if manifest.precision not in get_args(PrecisionSetting):
            raise ConfigurationError(
                f"{path}: the precision {manifest.precision!r} is not one of {get_args(PrecisionSetting)}."
            )
        if damaged := manifest._damaged_members():
            raise ConfigurationError(f"{path} is damaged: {', '.join(damaged)}. Create the package again.")
        return manifest

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the packaged model."""
        return ModelIdentity(self.model_id, self.revision)

    @classmethod
    def read_optional(cls, folder: Path) -> "Manifest | None":
        """Read a folder's manifest; None if it has none, like a folder from the Hub.

        Raises:
            ConfigurationError: The manifest is damaged.
        """
        return cls.read(folder) if (folder / MANIFEST).exists() else None

    def _damaged_members(self) -> list[str]:
        is_valid = {
            "model_id": isinstance(self.model_id, str) and self.model_id != "",
            "revision": self.revision is None or isinstance(self.revision, str),
            "kind": self.kind in get_args(ModelKind),
            "max_tokens": type(self.max_tokens) is int and self.max_tokens > 0,
            "prompts": isinstance(self.prompts, dict) and all(isinstance(text, str) for text in self.prompts.values()),
            "sha256": isinstance(self.sha256, dict) and bool(self.sha256) and all(map(_is_entry, self.sha256.items())),
        }
        if self.kind == "embedding":
            is_valid |= {
                "dimensions": type(self.dimensions) is int and self.dimensions > 0,
                "normalize": isinstance(self.normalize, bool),
                "pooling": isinstance(self.pooling, str),
            }
        return [name for name, valid in is_valid.items() if not valid]

    def write(self) -> None:
        """Write the manifest into its folder."""
        document = {name: value for name, value in asdict(self).items() if name != "folder"}
        (self.folder / MANIFEST).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            ConfigurationError: A file is missing, was changed, or was added after packaging.
        """
        for name, expected in self.sha256.items():
            path = self.folder / name
            if not path.is_file():
                raise ConfigurationError(f"{path} is missing from the package. Create the package again.")
            if file_sha256(path) != expected:
                raise ConfigurationError(
                    f"{path} is not the file that was packaged: its checksum differs. Create the package again."
                )
        if added := sorted(model_files(self.folder).difference(self.sha256)):
            raise ConfigurationError(
                f"{self.folder / added[0]} was not packaged, but would be read. Remove it, or create the package again."
            )

    def check_model(self, model: "ServedModel | CrossEncoderFolder") -> None:
        """Compare the manifest with the model's own description.

        Raises:
            ConfigurationError: They differ.
        """
        for name in ("kind", "max_tokens", "prompts", *(OF_EMBEDDINGS if self.kind == "embedding" else ())):
            declared, actual = getattr(self, name), getattr(model, name)
            if name == "prompts":  # older packages omit empty prompts
                declared, actual = (
                    {key: text for key, text in prompts.items() if text} for prompts in (declared, actual)
                )
            if declared != actual:
                raise ConfigurationError(
                    f"{self.folder / MANIFEST} says {name} {declared!r}, but the model's files say {actual!r}. "
                    "Create the package again."
                )


def model_files(folder: Path) -> set[str]:
    """Paths of the files in a folder that belong to a model, except the manifest."""
    patterns = (*DESCRIPTION_FILES, *WEIGHTS_FILES)
    names = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    return names - {MANIFEST}


def _is_entry(entry: tuple[str, Any]) -> bool:
    name, digest = entry
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(_SHA256.fullmatch(str(digest)))


def file_sha256(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def model_identity(folder: Path, model_id: str | None = None, revision: str | None = None) -> ModelIdentity | None:
    """The model in a folder, by its manifest or else by the arguments; None if neither names it.

    ``_name_or_path`` in ``config.json`` is ignored: for a fine-tuned model it often names the base model.
    """
    if manifest := Manifest.read_optional(folder):
        return manifest.identity
    return ModelIdentity(model_id, revision) if model_id else None
