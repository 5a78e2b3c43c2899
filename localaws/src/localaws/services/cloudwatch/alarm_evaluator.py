"""Evaluates every alarm by the local AWS's time."""

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from localaws.services.cloudwatch.alarm_actions import AlarmAction
from localaws.services.cloudwatch.alarm_notifications import stamp
from localaws.services.cloudwatch.alarm_readings import AlarmReadings, condition_of, has_low_samples, period_of
from localaws.services.cloudwatch.alarm_state import Reading, Verdict, evaluate
from localaws.services.cloudwatch.alarm_states import (
    AlarmStates,
    PlacedAlarm,
    StateChange,
    actions_for,
    all_alarms,
)
from localaws.services.cloudwatch.metric_math import ExpressionError

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime
    from localaws.services.cloudwatch.metric_store import MetricStore

_logger = logging.getLogger(__name__)

#: Alarms of a high-resolution period are evaluated every ten seconds, the others every minute, whatever their period
#: (CloudWatch user guide, "Alarm evaluation").
_TICK = 10
_MINUTE = 60


class AlarmEvaluator(AlarmStates):
    """The alarms of a local AWS, and the clock by which they are evaluated."""

    def __init__(self, store: "MetricStore", time: "SimulatedTime") -> None:
        """Prepare; alarms are evaluated by :meth:`evaluate_due`, which :meth:`start` does in the background."""
        super().__init__(time)
        self._readings = AlarmReadings(store)
        self._turn = threading.Lock()
        self._samplers: list[Callable[[datetime], None]] = []
        self._next = _tick_after(time.now())
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def on_minute(self, sample: Callable[[datetime], None]) -> None:
        """Call ``sample`` with each full minute before its alarms are evaluated, also of those that time skips.

        It records what is measured by the minute and not by request: a minute that time was moved over has data too.
        """
        self._samplers.append(sample)

    def start(self) -> None:
        """Evaluate in the background until :meth:`close`."""
        self._thread = threading.Thread(target=self._run, name="alarm-evaluator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop evaluating, and wait until the last evaluation has finished."""
        self._stopped.set()
        self._time.advance(0)  # wakes the thread
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def evaluate_due(self) -> None:
        """Evaluate what has become due, in the order of simulated time: time may have been moved on by hours."""
        with self._turn:
            now = self._time.now()
            while self._next <= now and not self._stopped.is_set():
                moment, self._next = self._next, self._next + timedelta(seconds=_TICK)
                self._evaluate_at(moment)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.evaluate_due()
            except Exception:
                # The next evaluation may succeed; without this thread no alarm would ever again.
                _logger.exception("evaluating alarms failed")
            self._time.wait((self._next - self._time.now()).total_seconds(), self._stopped)

    def _evaluate_at(self, moment: datetime) -> None:
        full_minute = moment.second == 0
        for sample in self._samplers if full_minute else ():
            try:
                sample(moment)
            except Exception:
                # Other metrics and the alarms do not depend on this one.
                _logger.exception("sampling metrics failed")
        for placed in all_alarms():
            alarm = placed.alarm
            if alarm.rule is None and (full_minute or period_of(alarm) < _MINUTE):
                self._evaluate(placed, moment)
            if full_minute:
                self._repeat(placed, moment)

    def _evaluate(self, placed: PlacedAlarm, moment: datetime) -> None:
        alarm = placed.alarm
        verdict = evaluate(condition_of(alarm), self._read(placed, moment))
        if verdict is None or has_low_samples(alarm, verdict.readings) or verdict.state == alarm.state_value:
            return
        latest = verdict.readings[0].value if verdict.readings else None
        data = _reason_data(alarm, verdict, moment)
        self._take(self._change(placed, StateChange(verdict.state, verdict.reason, data, moment, latest)))

    def _repeat(self, placed: PlacedAlarm, moment: datetime) -> None:
        """Take the actions again that are taken for as long as a state lasts."""
        account_id, region, alarm = placed
        state = alarm.state_value
        arns = [arn for arn in actions_for(alarm, state) if self._actions.repeats(arn)]
        if not arns or alarm.state_updated_timestamp >= moment:
            return
        periods = self._read(placed, moment) if alarm.rule is None else []
        latest = next((reading.value for reading in periods if reading is not None), None)
        self._take([AlarmAction(arn, account_id, region, alarm, state, state, moment, latest) for arn in arns])

    def _read(self, placed: PlacedAlarm, moment: datetime) -> list[Reading | None]:
        try:
            return self._readings.before(*placed, moment)
        except (ExpressionError, NotImplementedError) as error:
            _logger.warning("alarm %s reads no data: %s", placed.alarm.name, error)
            return []


def _reason_data(alarm: Any, verdict: Verdict, moment: datetime) -> str:
    data: dict[str, Any] = {"version": "1.0", "queryDate": stamp(moment)}
    if verdict.readings:
        data["startDate"] = stamp(verdict.readings[-1].start)
    if alarm.unit:
        data["unit"] = alarm.unit
    statistic = alarm.extended_statistic or alarm.statistic
    if statistic:
        data["statistic"] = statistic
    evaluated = [
        {"timestamp": stamp(reading.start), "value": reading.value}
        | ({} if reading.samples is None else {"sampleCount": reading.samples})
        for reading in verdict.readings
    ]
    data |= {
        "period": period_of(alarm),
        "recentDatapoints": [reading.value for reading in reversed(verdict.readings)],
        "threshold": alarm.threshold,
        "evaluatedDatapoints": evaluated,
    }
    return json.dumps(data, separators=(",", ":"))


def _tick_after(moment: datetime) -> datetime:
    return datetime.fromtimestamp((int(moment.timestamp()) // _TICK + 1) * _TICK, UTC)
