"""Checks endpoints and Bedrock models, and tells SNS and CloudWatch of outages and recoveries.

EventBridge Scheduler invokes it. The settings HEALTH_… name the targets, the bucket of the state and the topic.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from embedstack.errors import EmbedStackError
from embedstack.health import load_monitor
from embedstack.health.status import exit_code
from pipeline_functions.telemetry import create_telemetry, log_failure, redacted

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["handler"]


class CheckFailed(Exception):
    """The check could not be run; the log has the reason."""


logger, _, traced = create_telemetry("embedstack-health")
#: Keeps clients and connections between invocations; the state is read again by each check.
_monitor = cache(load_monitor)


@logger.inject_lambda_context(log_event=False)
@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Check every target once.

    Returns:
        The status; see :mod:`embedstack.health.status`.

    Raises:
        CheckFailed: The settings are not valid, the state cannot be read or written, or an event could not be sent:
            Lambda invokes the function again, and the failure counts for the alarm on failed runs.
    """
    try:
        status: dict[str, Any] = _monitor().run()
    except EmbedStackError as error:
        log_failure(logger, "the health check failed", error)
        raise CheckFailed(str(redacted(error))) from None
    for target in status["targets"]:
        logger.info("checked", target=target["name"], state=target["state"], reason=target["reason"])
    if status["undelivered"]:
        raise CheckFailed(f"{status['undelivered']} notifications could not be sent. The next check sends them again.")
    logger.info("finished", exit_code=exit_code(status))
    return status
