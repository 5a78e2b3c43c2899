"""Alerts when a budget's threshold or limit is reached, or when the forecast exceeds the limit."""

import functools
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.calls.process_local import PerProcess, keep_forever
from embedstack.costs.budget_limits import BudgetLimits
from embedstack.costs.budget_status import BudgetsReport, BudgetStatus, read_budgets
from embedstack.costs.budget_store import Alert, BudgetStore
from embedstack.costs.money import format_dollars, to_dollars
from embedstack.errors import EmbedStackError

if TYPE_CHECKING:
    from embedstack.costs.ledger import Ledger
    from embedstack.settings.settings import Settings

__all__ = ["CHECK_SECONDS", "BudgetAlerts"]

_logger = logging.getLogger(__name__)

#: Time between two checks of a process, in seconds.
CHECK_SECONDS = 60.0
# After this time an alert is sent again if the process that sends it has not confirmed it.
_CLAIM_SECONDS = 120.0
# Longest wait for SNS.
_SNS_SECONDS = 10.0
_SUBJECT_CHARACTERS = 100


class BudgetAlerts:
    """Notes crossings in the store, where each is noted once, and sends them to an SNS topic until that succeeds."""

    def __init__(
        self,
        limits: BudgetLimits,
        ledger: "Ledger",
        store: BudgetStore,
        *,
        settings: "Settings",
        now: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is read or sent.

        Args:
            limits: The configured budgets.
            ledger: What is spent.
            store: Where crossings are noted.
            settings: The topic (COSTS_ALERT_TOPIC_ARN) and how to reach AWS. Without a topic, alerts are logged.
            now: Seconds since the epoch.
        """
        self._limits = limits
        self._ledger = ledger
        self._store = store
        self._topic = settings.costs_alert_topic_arn
        self._now = now
        self._client = PerProcess(functools.partial(_sns_client, settings.without_secrets(), self._topic or ""))
        self._checker = PerProcess(_Checker, discard=keep_forever)

    def start(self) -> None:
        """Check every minute in a thread of this process."""
        checker = self._checker.get()
        if checker.thread is None:
            with checker.lock:
                if checker.thread is None:
                    checker.thread = threading.Thread(
                        target=_check_regularly,
                        args=(weakref.ref(self), checker),
                        name="embedstack-alerts",
                        daemon=True,
                    )
                    checker.thread.start()

    def close(self) -> None:
        """End the thread. A later :meth:`start` starts another one."""
        checker = self._checker.take()
        if checker is not None:
            checker.closed.set()

    def check(self) -> BudgetsReport:
        """Read all budgets, and send the alerts that are due.

        Raises:
            EmbedStackError: The ledger or the store cannot be read.
        """
        now = self._now()
        self._ledger.flush()
        report = read_budgets(self._limits, self._ledger, self._store, now)
        due = [alert for status in report.budgets for alert in self._crossings(status, report, now)]
        with self._store.exclusive() as transaction:
            for alert in due:
                transaction.add_alert(alert)
            claimed = transaction.claim_alerts(now, _CLAIM_SECONDS)
        for alert in claimed:
            if self._send(alert):
                with self._store.exclusive() as transaction:
                    transaction.mark_sent(alert, self._now())
        return report

    def _crossings(self, status: BudgetStatus, report: BudgetsReport, now: float) -> list[Alert]:
        kinds = []
        if status.limit and status.spend * 100 >= self._limits.alert_percent * status.limit:
            kinds.append("threshold")
        if status.limit and status.spend >= status.limit:
            kinds.append("limit")
        if status.limit and (status.forecast.best or 0) > status.limit:
            kinds.append("forecast")
        month = report.month.label
        return [
            Alert(status.budget, month, kind, status.limit, self._text(kind, status, report), now) for kind in kinds
        ]

    def _text(self, kind: str, status: BudgetStatus, report: BudgetsReport) -> str:
        budget = str(status.budget).capitalize()
        headline = {
            "threshold": f"{budget} has reached {self._limits.alert_percent:f} % of its limit.",
            "limit": f"{budget} is spent.",
            "forecast": f"{budget} will be exceeded if calls continue as in the last days.",
        }[kind]
        consequence = {
            "warn": "COSTS_BUDGET_POLICY is warn: requests continue.",
            "limit": f"COSTS_BUDGET_POLICY is limit: once it is spent, {self._limits.requests_per_minute:g} requests "
            "per minute are sent.",
            "refuse": "COSTS_BUDGET_POLICY is refuse: once it is spent, requests are refused (BudgetExceeded).",
        }[self._limits.policy]
        spent = f"${_dollars(status.spend)} of ${_dollars(status.limit)} ({status.percent:.1f} %)"
        lines = (
            headline,
            "",
            f"Spent since {report.month.label}-01: {spent}.",
            f"Forecast for {report.month.label}: {_forecast_text(status)}.",
            f"It resets at {report.month.resets_at:%Y-%m-%d %H:%M %Z}.",
            consequence,
            "Details: embedstack costs budget",
        )
        return "\n".join(lines)

    def _send(self, alert: Alert) -> bool:
        headline = alert.message.partition("\n")[0]
        if self._topic is None:
            _logger.warning("%s COSTS_ALERT_TOPIC_ARN is empty, so this is only logged.", headline)
            return True
        subject = headline.encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]
        try:
            self._client.get().call(
                lambda client: client.publish(TopicArn=self._topic, Subject=subject, Message=alert.message)
            )
        except (BotoCoreError, ClientError, EmbedStackError) as error:
            _logger.warning(
                "An alert cannot be sent (attempt %d) and will be sent again: %s. %s",
                alert.attempts + 1, type(error).__name__, headline,
            )  # fmt: skip
            return False
        return True


class _Checker:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.thread: threading.Thread | None = None


def _check_regularly(alerts: "weakref.ref[BudgetAlerts]", checker: _Checker) -> None:
    wait = 1.0  # a short process should alert too
    while not checker.closed.wait(wait):
        wait = CHECK_SECONDS
        owner = alerts()
        if owner is None:
            return
        try:
            owner.check()
        except EmbedStackError as error:
            _logger.warning("The budgets cannot be checked for alerts, and will be checked again: %s", error)
        del owner


def _sns_client(settings: "Settings", topic: str) -> AwsClient:
    # The topic may be in another region than the endpoints.
    region = topic.split(":")[3]
    client = AwsClient(
        "sns", settings.model_copy(update={"aws_region": region}), max_connections=1, read_timeout=_SNS_SECONDS
    )
    client.disable_retries()
    return client


def _dollars(picodollars: int) -> str:
    return format_dollars(to_dollars(picodollars))


def _forecast_text(status: BudgetStatus) -> str:
    kinds = (("by weekday", status.forecast.weekday), ("linear", status.forecast.linear))
    parts = [f"${_dollars(amount)} ({kind})" for kind, amount in kinds if amount is not None]
    return ", ".join(parts) or status.forecast.reason
