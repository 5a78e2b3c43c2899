"""Runs the checks of an endpoint in their order, and gathers what they find."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from embedstack.errors import EmbedStackError
from embedstack_ops.validation.checks import EndpointChecks
from embedstack_ops.validation.findings import Check, Report, Targets

if TYPE_CHECKING:
    from embedstack.embedders.base import Embedder
    from embedstack_ops.validation.endpoint_description import Deployment
    from embedstack_ops.validation.wake_up import Waking

__all__ = ["validate"]

# Without these every further check would fail for the same reason, after a timeout each.
_PREREQUISITES = {"status", "first call"}


def validate(
    embedder: "Embedder",
    deployment: "Deployment",
    *,
    targets: Targets | None = None,
    intended_config: str | None = None,
    waking: "Waking | None" = None,
    on_check: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Run every check. Needs nothing but the right to describe and to invoke the endpoint.

    Of an asynchronous endpoint everything is checked but its speed. One that sleeps and may not be woken is found
    asleep, which is no failure, and checked no further.

    Args:
        embedder: Calls the endpoint; must truncate, since some golden texts are longer than models read.
        deployment: What AWS says of the endpoint.
        targets: What counts as fast enough.
        intended_config: Endpoint configuration that Terraform applied; SageMaker rolls back silently to an older one.
        waking: How long to wait for an endpoint that is scaled to zero; it is left asleep otherwise.
        on_check: Called with each finding as soon as it is there.

    Returns:
        The report; a check that could not run because the endpoint answered with an error has failed.
    """
    report = Report(deployment.endpoint, embedder.info.model_id, embedder.info.dimensions)
    checks = EndpointChecks(embedder, deployment, targets or Targets(), intended_config, waking, report)
    for name, check in checks.all():
        started = time.perf_counter()
        try:
            status, figure, target = check()
        except EmbedStackError as error:
            status, figure, target = "failed", str(error), ""
        finding = Check(name, status, figure, target, time.perf_counter() - started)
        report.checks.append(finding)
        on_check(finding)
        if status != "passed" and name in _PREREQUISITES:
            break
    return report
