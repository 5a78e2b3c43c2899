"""An endpoint on instances over time: its queue, alarms, policies, schedules and launches as discrete events."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import numpy as np

from embedstack_ops.simulation.configurations import Alarm, Instances, TrackingPolicy
from embedstack_ops.simulation.queues import NEVER, REJECTED, WAITING, advance_queue
from embedstack_ops.simulation.scaling_rules import EXTRA_PERIODS, Cooldown, PolicyState, alarm_is_raised
from embedstack_ops.simulation.schedules import moments
from embedstack_ops.simulation.service_times import ServiceProfile
from embedstack_ops.simulation.traces import NANOSECONDS, Int64, Trace

__all__ = ["Fleet"]

_T = TypeVar("_T")
#: How long after the trace's end its queue may take to drain.
_LONGEST_DRAIN: Final = 7 * 86_400 * NANOSECONDS


@dataclass(slots=True)
class _Watch:
    """An alarm of a policy with its datapoints, latest first."""

    alarm: Alarm
    state: PolicyState
    values: deque[float | None]
    arrived: int = 0
    failed: int = 0
    is_raised: bool = False


@dataclass(slots=True)
class _Change:
    """A change of capacity in progress: its policy, if any, and the capacity before it."""

    desired: int
    state: PolicyState | None
    base: int


@dataclass(slots=True)
class Fleet:
    """The instances of an endpoint and their queue.

    One queue feeds all instances, first come, first served: an idle slot serves the next request. That is what the
    routing strategy LEAST_OUTSTANDING_REQUESTS comes close to, and what an asynchronous queue is.

    Attributes:
        configuration: The endpoint.
        trace: The requests.
        services: Their service times in ns.
        profile: The start times.
        generator: Draws start times and launch failures.
        waits: Waiting time of each request in ns, or REJECTED; complete after :meth:`run`.
        capacity: Time in ns and number of serving instances after each change.
        billed: Time in ns and change of the number of billed instances.
        launches: Instances that were launched after the start.
    """

    configuration: Instances
    trace: Trace
    services: Int64
    profile: ServiceProfile
    generator: np.random.Generator
    waits: Int64 = field(init=False)
    capacity: list[tuple[int, int]] = field(init=False)
    billed: list[tuple[int, int]] = field(init=False)
    launches: int = 0
    _free: Int64 = field(init=False)
    _head: int = 0
    _slots: int = 0
    _serving: int = 0
    _low: int = 0
    _high: int = 0
    _failed: int = 0
    _change: _Change | None = None
    _pending: int | None = None
    _releases: list[int] = field(default_factory=list)
    _watches: list[_Watch] = field(default_factory=list)
    _events: list[tuple[int, int, Callable[[int, Any], None], Any]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Start with the initial capacity, all of it idle."""
        configuration = self.configuration
        self.waits = np.full(len(self.trace), WAITING, np.int64)
        largest = max([configuration.maximum, *(schedule.maximum or 0 for schedule in configuration.schedules)])
        largest = max([largest, *(schedule.minimum or 0 for schedule in configuration.schedules)])
        self._free = np.zeros(largest * configuration.concurrency, np.int64)
        self._serving = configuration.start
        self._slots = self._serving * configuration.concurrency
        self._low, self._high = configuration.minimum, configuration.maximum
        self.capacity = [(0, self._serving)]
        self.billed = [(0, self._serving)]

    def run(self) -> int:
        """Serve the trace.

        Returns:
            The time in ns at which the trace and its last request have ended.
        """
        self._watch_policies()
        self._plan_schedules()
        end = self.trace.length
        while self._events and (self._events[0][0] <= end or self._is_open(end)):
            now, _, act, payload = heapq.heappop(self._events)
            if now > end + _LONGEST_DRAIN:
                break
            self._serve_until(now)
            act(now, payload)
        self._serve_until(NEVER)
        served = self.waits >= 0
        if np.any(served):
            ends = self.trace.arrivals[served] + self.waits[served] + self.services[served]
            end = max(end, int(ends.max()))
        return end

    def _is_open(self, end: int) -> bool:
        """Whether queued requests remain after the trace."""
        return self.configuration.longest_wait_s is None and self._head < len(self.trace) and end >= self.trace.length

    def _watch_policies(self) -> None:
        for tracking in self.configuration.tracking:
            state = PolicyState(tracking)
            self._watch(tracking.high, state)
            if tracking.scales_in:
                self._watch(tracking.low, state)
        for step in self.configuration.steps:
            self._watch(step.alarm, PolicyState(step))

    def _watch(self, alarm: Alarm, state: PolicyState) -> None:
        watch = _Watch(alarm, state, deque(maxlen=alarm.periods + EXTRA_PERIODS))
        self._watches.append(watch)
        self._push(alarm.period_s * NANOSECONDS, self._measure, watch)

    def _plan_schedules(self) -> None:
        # The queue of an asynchronous endpoint may outlast the trace.
        last = self.trace.length + (_LONGEST_DRAIN if self.configuration.longest_wait_s is None else 0)
        for schedule in self.configuration.schedules:
            until = self.trace.start + timedelta(seconds=last / NANOSECONDS)
            for moment in moments(schedule, self.trace.start, until):
                self._push(_since(self.trace.start, moment), self._set_range, (schedule.minimum, schedule.maximum))

    def _push(self, time: int, act: "Callable[[int, _T], None]", payload: _T) -> None:
        """Call a method at a time, with that time and a payload."""
        heapq.heappush(self._events, (time, next(self._order), act, payload))

    def _serve_until(self, until: int) -> None:
        limit = self.configuration.longest_wait_s
        patience = NEVER if limit is None else round(limit * NANOSECONDS)
        if self._slots:
            self._head = advance_queue(
                self.trace.arrivals, self.services, self.waits, self._head, until, self._free, self._slots, patience
            )
        elif limit is not None:
            tail = int(np.searchsorted(self.trace.arrivals, until))
            self.waits[self._head : tail] = REJECTED
            self._failed += tail - self._head
            self._head = max(self._head, tail)

    def _measure(self, now: int, watch: _Watch) -> None:
        """Read a datapoint at the end of its period."""
        alarm = watch.alarm
        arrived = int(np.searchsorted(self.trace.arrivals, now))
        requests, watch.arrived = arrived - watch.arrived, arrived
        failures, watch.failed = self._failed - watch.failed, self._failed
        in_service = int(np.count_nonzero(self._free[: self._slots] > now))
        inside = arrived - self._head + in_service
        value: float | None
        match alarm.metric:
            case "invocations":
                served = requests - failures
                is_published = served > 0 or self.configuration.publishes_zero
                value = served / self._serving if is_published and self._serving else None
            case "concurrency":
                value = inside / self._serving if self._serving else None
            case "backlog":
                value = inside / max(self._serving, 1)
            case "backlog_without_capacity":
                value = float(inside > 0 and self._serving == 0)
            case "no_capacity_failures":
                value = float(failures) if failures else None
        # What is visible now is older by the delay of the metrics.
        self._push(now + round(self.configuration.metric_delay_s * NANOSECONDS), self._evaluate, (watch, value))
        self._push(now + alarm.period_s * NANOSECONDS, self._measure, watch)

    def _evaluate(self, now: int, datapoint: tuple[_Watch, float | None]) -> None:
        watch, value = datapoint
        watch.values.appendleft(value)
        watch.is_raised = alarm_is_raised(watch.alarm, watch.values)
        if not watch.is_raised or self._change is not None:
            return
        tracks = isinstance(watch.state.policy, TrackingPolicy)
        if tracks and self._serving == (self._high if watch.alarm.above else self._low):
            return  # already at the bound
        values = [reading for reading in watch.values if reading is not None][: watch.alarm.periods]
        proposal = watch.state.propose(values, self._serving, now)
        if proposal < self._serving and tracks:
            proposal = self._agreed(proposal, now)
        desired = min(max(proposal, self._low), self._high)
        # A range that does not contain the capacity was set by a schedule, which changes the capacity itself.
        if (desired > self._serving) == (proposal > self._serving) and desired != self._serving:
            self._begin_change(desired, watch.state, now)

    def _agreed(self, proposal: int, now: int) -> int:
        """The largest capacity that target tracking policies propose, if all of them scale in; else the current one."""
        for watch in self._watches:
            if not isinstance(watch.state.policy, TrackingPolicy) or watch.alarm.above:
                continue
            values = [reading for reading in watch.values if reading is not None]
            if not watch.is_raised or not values:
                return self._serving
            proposal = max(proposal, watch.state.propose(values, self._serving, now))
        return proposal

    def _set_range(self, now: int, bounds: tuple[int | None, int | None]) -> None:
        minimum, maximum = bounds
        low = self._low if minimum is None else minimum
        high = self._high if maximum is None else maximum
        if low > high:
            return  # the action sets only one bound, which contradicts the other one: AWS rejects it
        self._low, self._high = low, high
        planned = self._serving if self._change is None else self._change.desired
        desired = min(max(planned, low), high)
        if desired == planned:
            return
        if self._change is None:
            self._begin_change(desired, None, now)
        else:
            self._pending = desired  # SageMaker rejects an update during another one; Auto Scaling retries

    def _begin_change(self, desired: int, state: PolicyState | None, now: int) -> None:
        added = desired - self._serving
        change = self._change = _Change(desired, state, self._serving)
        if added < 0:
            self._remove(-added, now)
            self._end_change(now, (change, True))
            return
        self.launches += added
        start = self.profile.instance_start_s
        seconds = self.generator.uniform(start.low, start.high) if start.low < start.high else start.low
        fails = self.configuration.launch_failures
        if fails and self.generator.random() < fails:
            # An instance that cannot be launched is not billed.
            failure = round(self.configuration.launch_failure_s * NANOSECONDS)
            self._push(now + failure, self._end_change, (change, False))
            return
        if self.configuration.bills_startup:
            self._bill_launch(now, added)
        self._push(now + round(seconds * NANOSECONDS), self._end_change, (change, True))

    def _end_change(self, now: int, ended: tuple[_Change, bool]) -> None:
        change, succeeded = ended
        self._change = None
        added = change.desired - self._serving
        if succeeded and added > 0:
            if not self.configuration.bills_startup:
                self._bill_launch(now, added)
            slots = self._slots + added * self.configuration.concurrency
            self._free[self._slots : slots] = now
            self._slots = slots
            self._free[:slots].sort()
            self._serving = change.desired
            self.capacity.append((now, self._serving))
        if change.state is not None and succeeded:
            cooldown = Cooldown(now, change.base)
            if change.desired > change.base:
                change.state.scaled_out = cooldown
                for watch in self._watches:
                    watch.state.scaled_in = Cooldown()  # a scale-out ends the cooldown of a scale-in
            else:
                change.state.scaled_in = cooldown
        pending, self._pending = self._pending, None
        if pending is not None and min(max(pending, self._low), self._high) != self._serving:
            self._begin_change(min(max(pending, self._low), self._high), None, now)

    def _remove(self, count: int, now: int) -> None:
        """Remove instances. Requests in progress on them end, the idle slots go first."""
        removed = count * self.configuration.concurrency
        free = self._free[: self._slots]
        free.sort()
        free[: self._slots - removed] = free[removed:].copy()
        self._slots -= removed
        self._serving -= count
        self.capacity.append((now, self._serving))
        released = now + round(self.configuration.release_s * NANOSECONDS)
        self._releases += [released] * count
        self.billed.append((released, -count))

    def _bill_launch(self, now: int, count: int) -> None:
        """Bill new instances. One that is not released yet is used again, and billed only beyond its release."""
        self._releases = [released for released in self._releases if released > now]
        for _ in range(count):
            self.billed.append((self._releases.pop() if self._releases else now, 1))


def _since(start: datetime, moment: datetime) -> int:
    return round((moment - start).total_seconds()) * NANOSECONDS
