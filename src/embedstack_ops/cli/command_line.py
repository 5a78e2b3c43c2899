"""What the commands in this folder share: how they fail, and what they know of the deployed infrastructure."""

import contextlib
import functools
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, ParamSpec

import click
from botocore.exceptions import BotoCoreError, ClientError
from dotenv import dotenv_values
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from embedstack.errors import ConfigurationError, EmbedStackError
from embedstack.models.model_info import ModelInfo, known_model
from embedstack.settings.settings import Settings, load_settings
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
    "endpoint_settings",
    "exit_on_error",
    "expected_model",
    "local_variables",
    "primary_endpoint",
    "progress_bar",
    "remember_local_variables",
]


def _find_root() -> Path:
    """The checkout that commands act on: the one around the working directory, else the one that holds this file."""
    here = Path.cwd()
    checkouts = (folder for folder in (here, *here.parents, Path(__file__).parents[3]) if _is_checkout(folder))
    return next(checkouts, here).resolve()


def _is_checkout(folder: Path) -> bool:
    return (folder / "terraform" / "environments" / "local.tfvars").is_file()


ROOT = _find_root()
TERRAFORM = ROOT / "terraform"
STATE = ROOT / ".local"

# Which variables the local AWS was deployed with.
_VARIABLES = STATE / "variables"

_P = ParamSpec("_P")


def exit_on_error(command: Callable[_P, None]) -> Callable[_P, None]:
    """End with the error's sentence and status 2 instead of a traceback, and clear up when told to end by SIGTERM."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            with _exit_on_sigterm():
                command(*args, **kwargs)
        except (EmbedStackError, OSError, BotoCoreError, ClientError) as error:
            click.secho(f"error: {error}", fg="red", err=True)
            sys.exit(2)

    return wrapped


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # a shell's status for a command that a signal ended


@contextlib.contextmanager
def deploying(root: TerraformRoot) -> Iterator[None]:
    """Plan and apply while no other command of this checkout does."""

    def say_so() -> None:
        click.echo("Another command is deploying from here. Waiting for it to end.", err=True)

    with root.locked(STATE / "deployment.lock", on_wait=say_so):
        yield


def apply_locally(root: TerraformRoot, plan: Plan) -> str:
    """Apply a plan on the local AWS, after taking over what an apply that was killed has left; what Terraform printed.

    Raises:
        TerraformFailed: The local AWS refused a change.
    """
    try:
        return root.apply(plan, show_progress=False)
    except TerraformFailed as error:
        if "already" not in str(error).lower() or not root.adopt(plan):
            raise
    return root.apply(root.plan(plan.file), show_progress=False)


def local_variables() -> Path:
    """The variables that the local AWS which runs was deployed with; those of `make up` where none was yet."""
    if _VARIABLES.exists():
        return ROOT / _VARIABLES.read_text().strip()
    return TERRAFORM / "environments" / "local.tfvars"


def remember_local_variables(file: Path | None) -> None:
    """Have whatever comes go on with these variables, until the local AWS is stopped; None forgets them."""
    if file is None:
        _VARIABLES.unlink(missing_ok=True)
    else:
        _VARIABLES.write_text(f"{file.relative_to(ROOT)}\n")


def progress_bar(console: Console) -> Progress:
    """A bar for each task, with what is done of it and how long it has taken."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def applied_endpoints() -> dict[str, dict[str, Any]]:
    """The root module's output ``endpoints`` by key; empty where nothing is applied or Terraform is not there."""
    endpoints: dict[str, dict[str, Any]] = _outputs().get("endpoints", {})
    return endpoints


def _outputs() -> dict[str, Any]:
    try:
        return TerraformRoot(TERRAFORM).outputs()
    except EmbedStackError:
        return {}  # an operator may have no more than the endpoint's name, and need no more


def applied_pipeline() -> dict[str, Any]:
    """The root module's output ``pipeline``.

    Raises:
        ConfigurationError: None is applied here.
    """
    missing = "No pipeline is applied from here: apply one with a `pipeline`, or name its parts."
    try:
        pipeline: dict[str, Any] | None = TerraformRoot(TERRAFORM).outputs().get("pipeline")
    except EmbedStackError as error:
        raise ConfigurationError(f"{missing} {error}") from error
    if not pipeline:
        raise ConfigurationError(missing)
    return pipeline


def client_settings(outputs: Mapping[str, Any]) -> dict[str, str]:
    """What the root module's output ``dotenv`` sets, by name: clients' environment variables."""
    values = dotenv_values(stream=io.StringIO(outputs["dotenv"]))
    return {name: value for name, value in values.items() if value is not None}


def applied_settings() -> dict[str, str]:
    """The clients' settings of what is applied, without region and account; empty where nothing is applied."""
    outputs = _outputs()
    settings = client_settings(outputs) if "dotenv" in outputs else {}
    return {name: value for name, value in settings.items() if "AWS_" not in name}


def primary_endpoint() -> dict[str, Any]:
    """The entry of the output ``endpoints`` that the output ``dotenv`` names; empty where nothing is applied."""
    outputs = _outputs()
    # Which one it is, the root module alone decides: that of the pipeline, or the one called embedding, or the first.
    name = client_settings(outputs).get("SAGEMAKER_ENDPOINT") if "dotenv" in outputs else None
    endpoints: dict[str, dict[str, Any]] = outputs.get("endpoints", {})
    return next((endpoint for endpoint in endpoints.values() if endpoint["name"] == name), {})


def endpoint_settings(endpoint: str | None, region: str | None, component: str | None = None) -> Settings:
    """The settings, with the endpoint that was named, else the configured one, else the one Terraform applied.

    The configured inference component counts for the configured endpoint only, not for another that was named.
    """
    settings = load_settings(aws_region=region)
    name = endpoint or settings.sagemaker_endpoint or primary_endpoint().get("name")
    component = component or settings.component_of(name)
    return settings.model_copy(update={"sagemaker_endpoint": name, "sagemaker_inference_component": component})


def expected_model(settings: Settings, endpoint: str | None, model_id: str | None) -> ModelInfo | None:
    """The model that an endpoint is expected to serve; None where nothing names one.

    ST_MODEL_NAME and ST_MODEL_REVISION count for the configured endpoint only, not for another that was named.

    Args:
        settings: Those of :func:`endpoint_settings`.
        endpoint: The endpoint that was named; None for the configured one.
        model_id: The model that was named; None for the configured one.

    Raises:
        ConfigurationError: Nothing is recorded of the model.
    """
    if model_id:
        return known_model(model_id)
    configured = load_settings()
    is_configured = endpoint in (None, configured.sagemaker_endpoint)
    if not is_configured or "st_model_name" not in configured.model_fields_set:
        return None
    return replace(known_model(settings.st_model_name), revision=settings.st_model_revision)
