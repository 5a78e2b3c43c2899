"""What this function's package was built for, and whether it is used for that."""

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
    """See that the package is for this processor and Python, before anything compiled is imported.

    Raises:
        ImportError: It is not. Lambda answers every invocation with the sentence; without it, with the name of the
            first module that does not load.
    """
    built = _manifest()
    machine = platform.machine()
    here = {"architecture": "arm64" if machine == "aarch64" else machine, "python": "{}.{}".format(*sys.version_info)}
    if built and here != {name: built[name] for name in here}:
        raise ImportError(
            f"The package was built for Python {built['python']} on {built['architecture']}, and the function runs "
            f"Python {here['python']} on {here['architecture']}: build it with --architecture {here['architecture']} "
            f"--python {here['python']}, or set the pipeline's architecture and python_version to the package's."
        )


def check_tokenizer(settings: "Settings") -> None:
    """See that the package's tokenizer is that of the model whose tokens are counted.

    Raises:
        ConfigurationError: It is not: every chunk would be cut in the wrong place, and nobody would notice.
    """
    built = _manifest()
    if not built or not built["model"] or settings.embedstack_tokenizer is not None:
        return
    if built["model"] != settings.st_model_name:
        raise ConfigurationError(
            f"The package was built with the tokenizer of {built['model']}, and the endpoint's model is "
            f"{settings.st_model_name} (ST_MODEL_NAME), whose tokens are others: build it with --model "
            f"{settings.st_model_name}."
        )
    if sha256(_in_package("tokenizer.json").read_bytes()).hexdigest() != built["tokenizer_sha256"]:
        raise ConfigurationError(
            f"The package's tokenizer.json is not the one of {built['model']} that it was built with: build it anew, "
            "with --tokenizer where the file is your own."
        )


def check_database_ca() -> None:
    """See that there is what the database's certificate is to be checked against; on a socket there is no certificate.

    Raises:
        ConfigurationError: PGSSLROOTCERT names no file.
    """
    file = os.environ.get("PGSSLROOTCERT")
    by_socket = os.environ.get("PGHOST", "").startswith("/")
    if file and not by_socket and not Path(file).is_file():
        raise ConfigurationError(
            f"The database's certificate is to be checked against {file} (PGSSLROOTCERT), which is not there: download "
            f"{_BUNDLE} and build the package with --database-ca global-bundle.pem, or leave the database unverified "
            "by vector_store.aurora.verify_server = false."
        )


def tokenizer_bytes() -> int:
    """Size of the package's ``tokenizer.json``; 0 without one."""
    try:
        return _in_package("tokenizer.json").stat().st_size
    except FileNotFoundError:
        return 0


def _manifest() -> dict[str, Any]:
    """What the package says of itself; empty where the function runs from something else."""
    try:
        found: dict[str, Any] = json.loads(_in_package("manifest.json").read_bytes())
    except FileNotFoundError:
        return {}
    return found


def _in_package(name: str) -> Path:
    # Lambda's name for the folder that a function's package is unpacked to.
    return Path(os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), name)
