"""Checks that a function's package matches the function it is deployed to."""

import json
import os
import platform
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["check_database_ca", "check_runtime", "check_tokenizer", "tokenizer_bytes"]

_BUNDLE = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


def check_runtime() -> None:
    """Check that the package was built for this architecture and Python version, before compiled modules are imported.

    Raises:
        ImportError: It was not. Lambda returns this message on every invocation; without the check, it returns the
            name of the first module that cannot be loaded.
    """
    manifest = _read_manifest()
    machine = platform.machine()
    runtime = {
        "architecture": "arm64" if machine == "aarch64" else machine,
        "python": "{}.{}".format(*sys.version_info),
    }
    if manifest and runtime != {name: manifest[name] for name in runtime}:
        raise ImportError(
            f"The package was built for Python {manifest['python']} on {manifest['architecture']}, but the function "
            f"runs Python {runtime['python']} on {runtime['architecture']}. Build it with --architecture "
            f"{runtime['architecture']} --python {runtime['python']}, or set the pipeline's architecture and "
            "python_version to the package's."
        )


def check_tokenizer(settings: "Settings") -> None:
    """Check that the package's tokenizer belongs to the configured model.

    Raises:
        ConfigurationError: It does not. Every chunk would be cut at the wrong place, without an error.
    """
    manifest = _read_manifest()
    if not manifest or not manifest["model"] or settings.embedstack_tokenizer is not None:
        return
    if manifest["model"] != settings.embedding_model:
        raise ConfigurationError(
            f"The package contains the tokenizer of {manifest['model']}, but the endpoint's model is "
            f"{settings.embedding_model} (EMBEDDING_MODEL). Build the package with --model {settings.embedding_model}."
        )
    if sha256(_in_package("tokenizer.json").read_bytes()).hexdigest() != manifest["tokenizer_sha256"]:
        raise ConfigurationError(
            f"The package's tokenizer.json was changed since the package was built for {manifest['model']}. Build the "
            "package again; pass --tokenizer for a custom file."
        )


def check_database_ca() -> None:
    """Check that the CA bundle for the database's certificate exists. Unix sockets use no certificate.

    Raises:
        ConfigurationError: The file that PGSSLROOTCERT names does not exist.
    """
    file = os.environ.get("PGSSLROOTCERT")
    uses_socket = os.environ.get("PGHOST", "").startswith("/")
    if file and not uses_socket and not Path(file).is_file():
        raise ConfigurationError(
            f"The CA bundle {file} (PGSSLROOTCERT) for the database's certificate does not exist. Download {_BUNDLE} "
            "and build the package with --database-ca global-bundle.pem, or skip verification: "
            "vector_store.aurora.verify_server = false."
        )


def tokenizer_bytes() -> int:
    """Size of the package's ``tokenizer.json`` in bytes; 0 without one."""
    try:
        return _in_package("tokenizer.json").stat().st_size
    except FileNotFoundError:
        return 0


def _read_manifest() -> dict[str, Any]:
    """The package's manifest; empty if the function does not run from a built package."""
    try:
        manifest: dict[str, Any] = json.loads(_in_package("manifest.json").read_bytes())
    except FileNotFoundError:
        return {}
    return manifest


def _in_package(name: str) -> Path:
    # Lambda sets LAMBDA_TASK_ROOT to the folder that a function's package is unpacked to.
    return Path(os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), name)
