"""The local AWS's clock: speed, advancing, waiting."""

import threading

import pytest

from localaws.core.clock import SimulatedTime


class RealSeconds:
    """A machine's clock that a test moves."""

    def __init__(self) -> None:
        self.value = 100.0

    def __call__(self) -> float:
        return self.value


def test_clock_runs_at_its_speed() -> None:
    machine = RealSeconds()
    time = SimulatedTime(60, clock=machine)
    start = time.now()
    machine.value += 2
    assert (time.now() - start).total_seconds() == pytest.approx(120)


def test_set_speed_keeps_the_time_that_passed() -> None:
    machine = RealSeconds()
    time = SimulatedTime(60, clock=machine)
    machine.value += 1
    time.set_speed(1)
    machine.value += 1
    assert time.seconds() == pytest.approx(61)


def test_advance_wakes_waiting_threads() -> None:
    time = SimulatedTime(0)
    woken = threading.Event()

    def wait() -> None:
        if not time.wait(660, threading.Event(), poll=60):
            woken.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.advance(659)
    assert not woken.wait(0.05)
    time.advance(1)
    assert woken.wait(10)
    thread.join()


def test_wait_ends_with_the_event() -> None:
    stopped = threading.Event()
    stopped.set()
    assert SimulatedTime(0).wait(60, stopped)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_clock_rejects_an_invalid_speed(speed: float) -> None:
    with pytest.raises(ValueError, match="not a number of at least 0"):
        SimulatedTime(speed)
