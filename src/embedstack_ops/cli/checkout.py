"""The checkout that commands act on: its folders, and what Terraform has applied from it."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from dotenv import dotenv_values

from embedstack.errors import ConfigurationError, EmbedStackError
from embedstack_ops.terraform.driver import Plan, TerraformFailed, TerraformRoot

__all__ = [
    "ROOT",
    "STATE",
    "TERRAFORM",
    "applied_endpoints",
    "applied_pipeline",
    "applied_settings",
    "apply_locally",
    "client_settings",
    "deploying",
    "local_variables",
    "primary_endpoint",
    "remember_local_variables",
]


def _find_root() -> Path:
    """The checkout around the working directory, else the one that this file belongs to."""
    working_directory = Path.cwd()
    folders = (working_directory, *working_directory.parents, Path(__file__).parents[3])
    checkouts = (folder for folder in folders if (folder / "terraform" / "environments" / "local.tfvars").is_file())
    return next(checkouts, working_directory).resolve()


ROOT = _find_root()
TERRAFORM = ROOT / "terraform"
STATE = ROOT / ".local"

# Names the variables file that the local AWS was deployed with.
_VARIABLES = STATE / "variables"


@contextlib.contextmanager
def deploying(root: TerraformRoot) -> Iterator[None]:
    """Plan and apply while no other command of this checkout does."""

    def report_wait() -> None:
        click.echo("Waiting for another deployment from this checkout to end.", err=True)

    with root.locked(STATE / "deployment.lock", on_wait=report_wait):
        yield


def apply_locally(root: TerraformRoot, plan: Plan) -> str:
    """Apply a plan on the local AWS and return Terraform's output.

    Resources that a killed apply created but did not record are imported first.

    Raises:
        TerraformFailed: The local AWS rejected a change.
    """
    try:
        return root.apply(plan, show_progress=False)
    except TerraformFailed as error:
        if "already" not in str(error).lower() or not root.import_existing(plan):
            raise
    return root.apply(root.plan(plan.file), show_progress=False)


def local_variables() -> Path:
    """The variables file that the running local AWS was deployed with; ``local.tfvars`` before the first deployment."""
    if _VARIABLES.exists():
        return ROOT / _VARIABLES.read_text().strip()
    return TERRAFORM / "environments" / "local.tfvars"


def remember_local_variables(file: Path | None) -> None:
    """Use this variables file for later commands, until the local AWS is stopped; None forgets it."""
    if file is None:
        _VARIABLES.unlink(missing_ok=True)
    else:
        _VARIABLES.write_text(f"{file.relative_to(ROOT)}\n")


def applied_endpoints() -> dict[str, dict[str, Any]]:
    """The root module's output ``endpoints`` by key; empty if nothing is applied or Terraform is not installed."""
    endpoints: dict[str, dict[str, Any]] = _outputs().get("endpoints", {})
    return endpoints


def applied_pipeline() -> dict[str, Any]:
    """The root module's output ``pipeline``.

    Raises:
        ConfigurationError: No pipeline is applied from this checkout.
    """
    missing = (
        "No pipeline is applied from this checkout. Apply one (variable `pipeline`), or pass its parts as options."
    )
    try:
        pipeline: dict[str, Any] | None = TerraformRoot(TERRAFORM).outputs().get("pipeline")
    except EmbedStackError as error:
        raise ConfigurationError(f"{missing} {error}") from error
    if not pipeline:
        raise ConfigurationError(missing)
    return pipeline


def client_settings(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that the root module's output ``dotenv`` sets, by name."""
    values = dotenv_values(stream=io.StringIO(outputs["dotenv"]), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def applied_settings() -> dict[str, str]:
    """The client settings of the applied stack, without region and account; empty if nothing is applied."""
    outputs = _outputs()
    settings = client_settings(outputs) if "dotenv" in outputs else {}
    return {name: value for name, value in settings.items() if "AWS_" not in name}


def primary_endpoint() -> dict[str, Any]:
    """The entry of the output ``endpoints`` that the output ``dotenv`` names; empty if nothing is applied."""
    outputs = _outputs()
    # The root module chooses it: the pipeline's endpoint, else the one with the key "embedding", else the first.
    name = client_settings(outputs).get("SAGEMAKER_ENDPOINT") if "dotenv" in outputs else None
    endpoints: dict[str, dict[str, Any]] = outputs.get("endpoints", {})
    return next((endpoint for endpoint in endpoints.values() if endpoint["name"] == name), {})


def _outputs() -> dict[str, Any]:
    try:
        return TerraformRoot(TERRAFORM).outputs()
    except EmbedStackError:
        return {}  # an operator may know only the endpoint's name, which is enough
