"""Say whether a deployed endpoint gives right vectors, fast enough."""

import sys
from pathlib import Path

import click
from rich.console import Console

from embedstack.embedders import Embedder, SageMakerEmbedder
from embedstack.embedders.sagemaker.async_embedder import AsyncEmbedder, AsyncEndpoint
from embedstack.models.model_info import ModelInfo
from embedstack.settings.settings import Settings
from embedstack_ops.cli.command_line import applied_endpoints, endpoint_settings, exit_on_error, expected_model
from embedstack_ops.cli.target import targeted
from embedstack_ops.validation import Check, Report, Targets, validate
from embedstack_ops.validation.endpoint_description import Deployment, describe_deployment
from embedstack_ops.validation.reports import to_json, to_junit
from embedstack_ops.validation.wake_up import Waking

_MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[yellow]-[/]"}

_EXAMPLES = """\b
Examples:
  embedstack validate
  embedstack validate alex-embedding-endpoint --region eu-west-1 --p95-ms 250
  embedstack validate --json report.json --junit report.xml
  embedstack validate --wake-minutes 0
"""

#: An instance with a GPU takes about ten minutes to start and to load a model.
_WAKE_MINUTES = 15
#: For how long an endpoint's queue may keep a request while instances run.
_ANSWER_SECONDS = 120


@click.command(epilog=_EXAMPLES)
@click.argument("endpoint", required=False)
@click.option("--region", help="AWS region; the environment's otherwise.")
@click.option("--component", help="Inference component, on an endpoint with several of them.")
@click.option(
    "--model", "model_id", help="The model it should serve; ST_MODEL_NAME, or what the endpoint says, otherwise."
)
@click.option("--p50-ms", type=float, default=Targets.p50_ms, show_default=True, help="Median of a one-text call.")
@click.option("--p95-ms", type=float, default=Targets.p95_ms, show_default=True, help="95th percentile of the same.")
@click.option("--texts-per-minute", type=float, default=Targets.texts_per_minute, show_default=True)
@click.option(
    "--wake-minutes",
    type=click.FloatRange(min=0),
    default=_WAKE_MINUTES,
    show_default=True,
    help="How long to wait for an endpoint that is scaled to zero and that the first request wakes. 0 leaves it "
    "asleep, which is reported and is no failure.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the report as JSON; - for stdout.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write the report as JUnit XML.")
@exit_on_error
@targeted()
def main(
    endpoint: str | None,
    region: str | None,
    component: str | None,
    model_id: str | None,
    wake_minutes: float,
    json_file: Path | None,
    junit_file: Path | None,
    **targets: float,
) -> None:
    """Check ENDPOINT's state, vectors and speed.

    Without ENDPOINT: the one that SAGEMAKER_ENDPOINT names, else the one that Terraform applied.

    An asynchronous endpoint is asked through its queue, some 20 requests, and its answers are read from S3 and removed
    there where that is allowed; its speed is not checked. Its success topic is told of each.

    Exits with 1 when a check fails, with 2 when the endpoint could not be asked.
    """
    console = Console(stderr=json_file == Path("-"), highlight=False)
    report = run(
        console, endpoint, region, model_id, Targets(**targets), component=component, wake_minutes=wake_minutes
    )
    if json_file == Path("-"):
        click.echo(to_json(report))
    elif json_file:
        json_file.write_text(to_json(report), encoding="utf-8")
    if junit_file:
        junit_file.write_text(to_junit(report), encoding="utf-8")
    sys.exit(0 if report.passed else 1)


def run(
    console: Console,
    endpoint: str | None = None,
    region: str | None = None,
    model_id: str | None = None,
    targets: Targets | None = None,
    *,
    component: str | None = None,
    wake_minutes: float = _WAKE_MINUTES,
) -> Report:
    """Validate an endpoint and print each finding as it comes."""
    settings = endpoint_settings(endpoint, region, component)
    deployment = describe_deployment(settings.required_endpoint(), settings)
    model = expected_model(settings, endpoint, model_id) or deployment.model()
    console.print(f"[bold]{deployment.endpoint}[/] serves {model.model_id}")

    def show(check: Check) -> None:
        target = f"  [dim]{check.target}[/]" if check.target not in ("", check.figure) else ""
        console.print(f"  {_MARKS[check.status]} {check.name:<16} {check.figure}{target}", soft_wrap=True)

    def capacity() -> int | None:
        return describe_deployment(deployment.endpoint, settings, deployment.component).capacity

    if deployment.capacity == 0 and wake_minutes > 0:
        console.print(f"  [dim]asleep: a request wakes it, which may take some of {wake_minutes:g} minutes[/]")
    report = validate(
        _embedder(model, deployment, settings, wake_minutes * 60),
        deployment,
        targets=targets,
        intended_config=_intended_config(deployment.endpoint),
        waking=Waking(wake_minutes * 60, capacity),
        on_check=show,
    )
    counts = [f"{report.count(status)} {status}" for status in ("passed", "failed", "skipped") if report.count(status)]
    console.print(f"  [bold {'green' if report.passed else 'red'}]{', '.join(counts)}[/]")
    return report


def _embedder(model: ModelInfo, deployment: Deployment, settings: Settings, wake_seconds: float) -> Embedder:
    """Who calls the endpoint, in the way that it takes requests."""
    if deployment.is_async:
        wait_seconds = max(_ANSWER_SECONDS, wake_seconds if deployment.capacity == 0 else 0)
        return AsyncEmbedder(
            model, AsyncEndpoint(deployment.endpoint, settings, wait_seconds=wait_seconds), truncate=True
        )
    return SageMakerEmbedder(
        model,
        endpoint=deployment.endpoint,
        inference_component=deployment.component,
        settings=settings,
        truncate=True,
    )


def _intended_config(endpoint: str) -> str | None:
    """The configuration that Terraform last applied for the endpoint; None where it does not manage it."""
    return next((found["config_name"] for found in applied_endpoints().values() if found["name"] == endpoint), None)
