"""``embedstack validate``: check that a deployed endpoint returns correct vectors, fast enough."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from embedstack.embedders import Embedder, SageMakerEmbedder
from embedstack.embedders.sagemaker.async_embedder import AsyncEmbedder, AsyncEndpoint
from embedstack.models.model_info import ModelInfo
from embedstack.settings.settings import Settings
from embedstack_ops.cli.checkout import applied_endpoints
from embedstack_ops.cli.command import endpoint_settings, exit_on_error, expected_model
from embedstack_ops.cli.target import targeted
from embedstack_ops.validation import Check, Report, Targets, validate
from embedstack_ops.validation.endpoint_description import Deployment, describe_deployment
from embedstack_ops.validation.model_description import describe_license, describe_prompts
from embedstack_ops.validation.reports import to_json, to_junit
from embedstack_ops.validation.wake_up import ScaleFromZero

_MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[yellow]-[/]"}

_EXAMPLES = """\b
Examples:
  embedstack validate
  embedstack validate alex-embedding-endpoint --region eu-west-1 --p95-ms 250
  embedstack validate --json report.json --junit report.xml
  embedstack validate --wake-minutes 0
"""

#: A GPU instance takes about ten minutes to start and to load a model.
_WAKE_MINUTES = 15
#: How long an asynchronous endpoint may take for a request while instances are running.
_RESPONSE_SECONDS = 120


@click.command(epilog=_EXAMPLES)
@click.argument("endpoint", required=False)
@click.option("--region", help="AWS region.  [default: from the environment]")
@click.option("--component", help="Inference component, if the endpoint has several.")
@click.option(
    "--model", "model_id", help="Model that it should serve.  [default: EMBEDDING_MODEL, else the endpoint's model]"
)
@click.option(
    "--p50-ms", type=float, default=Targets.p50_ms, show_default=True, help="Limit of the median latency for one text."
)
@click.option("--p95-ms", type=float, default=Targets.p95_ms, show_default=True, help="Limit of its 95th percentile.")
@click.option(
    "--texts-per-minute", type=float, default=Targets.texts_per_minute, show_default=True, help="Minimum throughput."
)
@click.option(
    "--wake-minutes",
    type=click.FloatRange(min=0),
    default=_WAKE_MINUTES,
    show_default=True,
    help="How long to wait for an endpoint that is scaled to zero. 0 does not wake it, which is reported and is not a "
    "failure.",
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

    ENDPOINT defaults to SAGEMAKER_ENDPOINT, else to the applied endpoint.

    An asynchronous endpoint receives about 20 requests through its queue. Responses are read from S3 and deleted
    there if permissions allow; its success topic receives a notification for each. Speed is not checked.

    Exits with 1 if a check fails, with 2 if the endpoint cannot be reached.
    """
    console = Console(stderr=json_file == Path("-"), highlight=False)
    report = validate_endpoint(
        console, endpoint, region, model_id, Targets(**targets), component=component, wake_minutes=wake_minutes
    )
    if json_file == Path("-"):
        click.echo(to_json(report))
    elif json_file:
        json_file.write_text(to_json(report), encoding="utf-8")
    if junit_file:
        junit_file.write_text(to_junit(report), encoding="utf-8")
    sys.exit(0 if report.passed else 1)


def validate_endpoint(
    console: Console,
    endpoint: str | None = None,
    region: str | None = None,
    model_id: str | None = None,
    targets: Targets | None = None,
    *,
    component: str | None = None,
    wake_minutes: float = _WAKE_MINUTES,
) -> Report:
    """Validate an endpoint and print each check as it finishes."""
    settings = endpoint_settings(endpoint, region, component)
    deployment = describe_deployment(settings.required_endpoint(), settings)
    model = expected_model(settings, endpoint, model_id) or deployment.model(settings)
    embedder = _embedder(model, deployment, settings, wake_minutes * 60)
    console.print(f"[bold]{deployment.endpoint}[/] serves {model.model_id}")
    for name, text in (("prompts", describe_prompts(embedder)), ("license", describe_license(model))):
        console.print(f"  {name}: {escape(text)}", soft_wrap=True)

    def print_check(check: Check) -> None:
        target = f"  [dim]{check.target}[/]" if check.target not in ("", check.figure) else ""
        console.print(f"  {_MARKS[check.status]} {check.name:<16} {check.figure}{target}", soft_wrap=True)

    def capacity() -> int | None:
        return describe_deployment(deployment.endpoint, settings, deployment.component).capacity

    if deployment.capacity == 0 and wake_minutes > 0:
        console.print(f"  [dim]scaled to zero; waking it up takes up to {wake_minutes:g} minutes[/]")
    report = validate(
        embedder,
        deployment,
        targets=targets,
        intended_config=_intended_config(deployment.endpoint),
        scale_from_zero=ScaleFromZero(wake_minutes * 60, capacity),
        models_dir=settings.embedstack_models_dir,
        on_check=print_check,
    )
    counts = [f"{report.count(status)} {status}" for status in ("passed", "failed", "skipped") if report.count(status)]
    console.print(f"  [bold {'green' if report.passed else 'red'}]{', '.join(counts)}[/]")
    return report


def _embedder(model: ModelInfo, deployment: Deployment, settings: Settings, wake_seconds: float) -> Embedder:
    """The embedder for a synchronous or an asynchronous endpoint."""
    if deployment.is_async:
        wait_seconds = max(_RESPONSE_SECONDS, wake_seconds if deployment.capacity == 0 else 0)
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
    """The configuration that Terraform applied for the endpoint; None if Terraform does not manage it."""
    applied = (entry for entry in applied_endpoints().values() if entry["name"] == endpoint)
    return next((entry["config_name"] for entry in applied), None)
