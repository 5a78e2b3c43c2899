"""What commands share: error handling, progress bars, and the endpoint and model that options and settings name."""

import contextlib
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn, ParamSpec

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from embedstack.errors import EmbedStackError
from embedstack.models.model_info import ModelInfo
from embedstack.models.resolution import resolve_model
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli.checkout import primary_endpoint

__all__ = ["endpoint_settings", "exit_on_error", "expected_model", "progress_bar"]

_P = ParamSpec("_P")


def exit_on_error(command: Callable[_P, None]) -> Callable[_P, None]:
    """Print an error's message and exit with status 2 instead of a traceback; clean up on SIGTERM."""

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


def progress_bar(console: Console) -> Progress:
    """A progress bar that shows the number of finished items and the elapsed time."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def endpoint_settings(endpoint: str | None, region: str | None, component: str | None = None) -> Settings:
    """The settings with an endpoint: the given one, else the configured one, else the one that Terraform applied.

    The configured inference component belongs to the configured endpoint and is not used for another one.
    """
    settings = load_settings(aws_region=region)
    name = endpoint or settings.sagemaker_endpoint or primary_endpoint().get("name")
    component = component or settings.component_of(name)
    return settings.model_copy(update={"sagemaker_endpoint": name, "sagemaker_inference_component": component})


def expected_model(settings: Settings, endpoint: str | None, model_id: str | None) -> ModelInfo | None:
    """The model that an endpoint is expected to serve; None if neither an option nor a setting names one.

    EMBEDDING_MODEL and EMBEDDING_MODEL_REVISION describe the configured endpoint and are not used for another one.

    Args:
        settings: The result of :func:`endpoint_settings`.
        endpoint: The endpoint given as an option; None for the configured one.
        model_id: The model given as an option; None for the configured one.

    Raises:
        ConfigurationError: The model's id is malformed, or it is a reranker.
    """
    if model_id:
        return resolve_model(settings.with_model(model_id))
    configured = load_settings()
    is_configured = endpoint in (None, configured.sagemaker_endpoint)
    if not is_configured or "embedding_model" not in configured.model_fields_set:
        return None
    return resolve_model(settings)
