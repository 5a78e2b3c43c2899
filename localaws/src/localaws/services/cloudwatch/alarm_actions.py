"""What alarms set off: messages to SNS topics, and whatever others have registered for."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localaws.services.cloudwatch.alarm_notifications import notification, subject_of
from localaws.services.cloudwatch.topic_delivery import publish

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AlarmAction:
    """One action of an alarm that is to be taken."""

    action_arn: str
    account_id: str
    region: str
    alarm: Any
    """moto's alarm."""
    state: str
    """The state that the alarm is in: ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``."""
    previous_state: str
    """The state that it was in before; the same where the action is repeated."""
    at: datetime
    """The simulated moment of the evaluation."""
    value: float | None = None
    """The latest datapoint that it was evaluated by; None where there was none."""
    triggers: tuple[dict[str, Any], ...] = ()
    """Of a composite alarm, the children whose change it was: ``{"Arn", "State": {"Value", "Timestamp"}}``."""


ActionHandler = Callable[[AlarmAction], None]


class ActionDispatcher:
    """Takes actions by what their ARN begins with."""

    def __init__(self) -> None:
        """Start with SNS."""
        self._handlers: dict[str, ActionHandler] = {"arn:aws:sns:": _publish}
        self._repeated: list[str] = []

    def register(self, prefix: str, handler: ActionHandler) -> None:
        """Hand on actions whose ARN begins so, on the change of state and on every evaluation after it.

        "For an alarm with an Auto Scaling action, the alarm continues to invoke the action once per minute that
        the alarm remains in the new state" (API reference of PutMetricAlarm).
        """
        self._handlers[prefix] = handler
        self._repeated.append(prefix)

    def repeats(self, action_arn: str) -> bool:
        """Whether an action is taken again while the state lasts."""
        return action_arn.startswith(tuple(self._repeated))

    def take(self, action: AlarmAction) -> dict[str, Any]:
        """Take an action.

        Returns:
            The history's data: ``actionState`` is ``Succeeded`` or ``Failed``, the latter with an ``error``.
        """
        result: dict[str, Any] = {"actionState": "Succeeded", "notificationResource": action.action_arn}
        handler = next(
            (taken for prefix, taken in self._handlers.items() if action.action_arn.startswith(prefix)), None
        )
        if handler is None:
            return {**result, "actionState": "Failed", "error": "The local AWS does not take actions of this kind"}
        try:
            handler(action)
        except Exception as error:
            _logger.warning("action %s of alarm %s failed", action.action_arn, action.alarm.name, exc_info=True)
            return {**result, "actionState": "Failed", "error": str(error)}
        return result


def _publish(action: AlarmAction) -> None:
    message = json.dumps(notification(action), separators=(",", ":"))
    publish(action.action_arn, message, subject_of(action))
