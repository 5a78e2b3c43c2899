"""Runs the checks of an endpoint in order and collects the results."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from embedstack.errors import EmbedStackError
from embedstack_ops.validation.checks import EndpointChecks
from embedstack_ops.validation.findings import Check, Report, Targets
from embedstack_ops.validation.model_description import describe_license, describe_prompts

if TYPE_CHECKING:
    from pathlib import Path

    from embedstack.embedders.base import Embedder
    from embedstack_ops.validation.endpoint_description import Deployment
    from embedstack_ops.validation.wake_up import ScaleFromZero

__all__ = ["validate"]

# If one of these fails, every further check would fail for the same reason, after a timeout each.
_PREREQUISITES = {"status", "first call"}


def validate(
    embedder: "Embedder",
    deployment: "Deployment",
    *,
    targets: Targets | None = None,
    intended_config: str | None = None,
    scale_from_zero: "ScaleFromZero | None" = None,
    models_dir: "Path | None" = None,
    on_check: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Run every check. Requires permission to describe and to invoke the endpoint only.

    The speed of an asynchronous endpoint is not checked. For an endpoint that is scaled to zero and may not be woken
    up, the remaining checks are skipped; that is not a failure.

    Args:
        embedder: Calls the endpoint; must truncate, since some golden texts exceed the limits of models.
        deployment: The endpoint's description.
        targets: Latency and throughput targets.
        intended_config: Endpoint configuration that Terraform applied; SageMaker may have rolled back to an older one.
        scale_from_zero: How long to wait for an endpoint that is scaled to zero; without it the endpoint is not woken.
        models_dir: Folder with models, for golden vectors that ``embedstack golden`` wrote.
        on_check: Called with each result.

    Returns:
        The report. A check that received an error from the endpoint has failed.
    """
    info = embedder.info
    report = Report(
        deployment.endpoint, info.model_id, info.dimensions, describe_prompts(embedder), describe_license(info)
    )
    checks = EndpointChecks(
        embedder, deployment, targets or Targets(), intended_config, scale_from_zero, report, models_dir
    )
    for name, check in checks.all():
        started = time.perf_counter()
        try:
            status, figure, target = check()
        except EmbedStackError as error:
            status, figure, target = "failed", str(error), ""
        result = Check(name, status, figure, target, time.perf_counter() - started)
        report.checks.append(result)
        report.dimensions = embedder.info.dimensions  # which the first response may have shown
        on_check(result)
        if status != "passed" and name in _PREREQUISITES:
            break
    return report
