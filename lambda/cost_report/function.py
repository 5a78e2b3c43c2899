"""Sends the costs of the day before to an SNS topic.

EventBridge Scheduler invokes it once a day. The settings COSTS_REPORT_… name the topic, the endpoints and the tag.
"""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from embedstack.aws.clients import create_client
from embedstack.costs.ledger import open_ledger
from embedstack.costs.periods import Period
from embedstack.costs.report import CostReport, make_report
from embedstack.costs.report_text import report_subject, report_text
from embedstack.errors import ConfigurationError, EmbedStackError
from embedstack.settings.settings import Settings, load_settings
from pipeline_functions.telemetry import create_telemetry, log_failure, redacted

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["handler"]

# Cost Explorer completes a day after 48 hours, so that the third day before today is the first to be judged.
_COMPARED_DAYS = 4
#: Limit of an SNS message's subject.
_SUBJECT_CHARACTERS = 100


class ReportFailed(Exception):
    """The report could not be made or sent; the log has the reason."""


logger, _, traced = create_telemetry("embedstack-cost-report")


@logger.inject_lambda_context(log_event=False)
@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Send the report of yesterday, or of ``{"day": "2026-11-30"}``.

    Returns:
        ``{"subject", "total_usd", "message_id"}``.

    Raises:
        ReportFailed: The settings are not valid, or a service failed. Lambda invokes the function again, and the
            failure counts for the alarm on failed runs.
    """
    try:
        return _send(load_settings(), _day(event))
    except EmbedStackError as error:
        log_failure(logger, "the cost report failed", error)
        raise ReportFailed(str(redacted(error))) from None


def _day(event: dict[str, Any]) -> date:
    try:
        return date.fromisoformat(event["day"]) if "day" in event else _today() - timedelta(days=1)
    except (TypeError, ValueError):
        raise ConfigurationError(
            'The event has no valid "day". Pass one such as 2026-11-30, or an empty event.'
        ) from None


def _today() -> date:
    return datetime.now(UTC).date()


def _send(settings: Settings, day: date) -> dict[str, Any]:
    if settings.costs_report_topic_arn is None:
        raise ConfigurationError("COSTS_REPORT_TOPIC_ARN is not set. Set it to the topic's ARN.")
    report = _report(settings, day)
    subject = report_subject(report)[:_SUBJECT_CHARACTERS]
    response = create_client("sns", settings).publish(
        TopicArn=settings.costs_report_topic_arn, Subject=subject, Message=report_text(report)
    )
    total = f"{report.total.normalize():f}"
    logger.info("sent the cost report", day=day.isoformat(), total_usd=total)
    return {"subject": subject, "total_usd": total, "message_id": response["MessageId"]}


def _report(settings: Settings, day: date) -> CostReport:
    endpoints = [name.strip() for name in settings.costs_report_endpoints.split(",") if name.strip()] or None
    ledger = open_ledger(settings)
    try:
        report = make_report(settings, ledger, Period.days(day, day), endpoints=endpoints)
        if settings.costs_report_tag is None:
            return report
        key, _, value = settings.costs_report_tag.partition("=")
        days = Period.days(day - timedelta(days=_COMPARED_DAYS - 1), day)
        compared = make_report(settings, ledger, days, endpoints=endpoints, tag=(key, value))
        return dataclasses.replace(report, comparisons=compared.comparisons)
    finally:
        if ledger is not None:
            ledger.close()
