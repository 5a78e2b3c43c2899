"""Recovery actions: which one a check calls for, how often it may run, and its log."""

import logging
from typing import TYPE_CHECKING

from embedstack.errors import EmbedStackError
from embedstack.health.probes import describe_error
from embedstack.health.states import Observation, State, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from embedstack.health.checks import Checker
    from embedstack.health.records import Record
    from embedstack.resilience import CircuitBreaker

__all__ = ["Recovery"]

_logger = logging.getLogger(__name__)

_HOUR = 3600.0


class Recovery:
    """Runs recovery actions. Each is logged and remembered, with its error if it failed."""

    def __init__(
        self,
        checker: "Checker",
        *,
        actions: frozenset[str] = frozenset(),
        per_hour: int = 3,
        breakers: "Mapping[str, CircuitBreaker] | None" = None,
    ) -> None:
        """Prepare.

        Args:
            checker: Wakes up and redeploys endpoints.
            actions: Allowed actions: ``wake``, ``redeploy``.
            per_hour: Actions of a target in an hour, at most; closing and opening a breaker is not counted.
            breakers: Circuit breakers of this process by name of the target.
        """
        self._checker = checker
        self._actions = actions
        self._per_hour = per_hour
        self._breakers = breakers or {}

    def act(self, target: Target, record: "Record", observation: Observation, now: float) -> None:
        """Run the action that a check calls for, if the policy and the limit allow it."""
        self._set_breaker(target, record, observation, now)
        if "wake" in self._actions and record.state == State.ASLEEP and record.waking_since is None:
            self._run("wake", target, record, now, lambda: self._checker.wake(target, record, now))
        config = record.last_good_config
        if (
            "redeploy" in self._actions
            and record.incident == "outage"
            and observation.state is State.UNHEALTHY
            and config is not None
            and config != observation.config
        ):
            action = f"redeploy {config}"
            self._run(action, target, record, now, lambda: self._checker.reader.redeploy(target.name, config))

    def _set_breaker(self, target: Target, record: "Record", observation: Observation, now: float) -> None:
        breaker = self._breakers.get(target.name)
        if breaker is None:
            return
        if observation.count("wrong") and breaker.state == "closed":
            breaker.open()
            _note(target, record, now, "open the breaker", "done")
        elif observation.state in (State.HEALTHY, State.DEGRADED) and breaker.state != "closed":
            breaker.close()
            _note(target, record, now, "close the breaker", "done")

    def _run(self, action: str, target: Target, record: "Record", now: float, run: "Callable[[], None]") -> None:
        counted = [entry for entry in record.actions if entry[0] > now - _HOUR and "breaker" not in entry[1]]
        if len(counted) >= self._per_hour:
            return
        try:
            run()
        except EmbedStackError as error:
            _note(target, record, now, action, f"failed: {describe_error(error)}")
        else:
            _note(target, record, now, action, "done")


def _note(target: Target, record: "Record", now: float, action: str, result: str) -> None:
    record.note_action(now, action, result)
    _logger.warning("Recovery action for %s: %s: %s", target.name, action, result)
