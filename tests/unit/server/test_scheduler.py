"""Micro-batching: every row is delivered once to its call, batches are limited, and calls are treated fairly."""

import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager

import pytest
from hypothesis import given, settings, strategies as st

from embedstack.errors import ModelFailed
from embedstack_server.compute.scheduler import Scheduler


class Model:
    """Returns a row's tokens; closing ``open`` blocks it, so that rows are queued."""

    def __init__(self):
        self.batches: list[list[list[int]]] = []
        self.alone: list[bool] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)

    def run(self, ids, alone):
        self.batches.append(ids)
        self.alone.append(alone)
        self.entered.release()
        assert self.open.wait(30)
        if any(tokens[0] < 0 for tokens in ids):
            raise ValueError("a row that cannot be computed")
        return ids


class Call:
    """One caller's rows and their results."""

    def __init__(self, scheduler, ids):
        self.ids = ids
        self.results: dict[int, list[int]] = {}
        self.future = scheduler.submit(ids, self.deliver)

    def deliver(self, output, position, index):
        assert index not in self.results
        self.results[index] = output[position]

    def check(self):
        self.future.result(30)
        assert [self.results[index] for index in range(len(self.ids))] == self.ids


class SteppingModel(Model):
    """Computes one batch for each step."""

    def __init__(self):
        super().__init__()
        self._steps = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self.ended = False

    def run(self, ids, alone):
        self.batches.append(ids)
        self._done.release()
        assert self.ended or self._steps.acquire(timeout=30)
        return ids

    def step(self, count):
        """Finish ``count`` batches, and wait until the next one has started, unless no rows are left."""
        for _ in range(count):
            self._steps.release()
            self._done.acquire(timeout=0.5)

    def end(self):
        self.ended = True
        self._steps.release()


@contextmanager
def stepping():
    """A scheduler with batches of 64 tokens, whose only worker is in its first batch."""
    model = SteppingModel()
    scheduler = Scheduler(model.run, workers=1, tokens_per_batch=64)
    Call(scheduler, [[0]])
    model.step(0)
    yield model, scheduler
    model.end()
    scheduler.close()


@pytest.fixture
def held():
    """A scheduler with one worker, which is blocked in its first batch."""
    model = Model()
    scheduler = Scheduler(model.run, workers=1, tokens_per_batch=64)
    model.open.clear()
    first = Call(scheduler, [[0]])
    assert model.entered.acquire(timeout=30)
    yield model, scheduler
    model.open.set()
    first.check()
    scheduler.close()


@settings(max_examples=50, deadline=None)
@given(calls=st.lists(st.lists(st.integers(1, 40), max_size=12), max_size=12), workers=st.integers(1, 3))
def test_scheduler_delivers_every_row_once_to_its_caller(calls, workers):
    model = Model()
    scheduler = Scheduler(model.run, workers, tokens_per_batch=64)
    counter = iter(range(1, 1_000_000))
    ids = [[[next(counter)] * length for length in lengths] for lengths in calls]
    with ThreadPoolExecutor(4) as pool:
        for call in list(pool.map(lambda rows: Call(scheduler, rows), ids)):
            call.check()
    scheduler.close()
    for batch in model.batches:
        assert len(batch) == 1 or len(batch) * max(map(len, batch)) <= 64
    assert sum(map(len, model.batches)) == sum(map(len, calls))


def test_queued_rows_share_a_batch(held):
    model, scheduler = held
    calls = [Call(scheduler, [[number] * 8]) for number in range(1, 9)]
    model.open.set()
    for call in calls:
        call.check()
    assert [len(batch) for batch in model.batches[1:]] == [8]


def test_single_row_is_computed_without_waiting(held):
    model, scheduler = held
    model.open.set()
    Call(scheduler, [[1]]).check()


def test_rows_of_different_lengths_do_not_share_a_batch(held):
    model, scheduler = held
    calls = [Call(scheduler, [[1] * 4]), Call(scheduler, [[2] * 16]), Call(scheduler, [[3] * 5])]
    model.open.set()
    for call in calls:
        call.check()
    assert sorted(sorted(map(len, batch)) for batch in model.batches[1:]) == [[4, 5], [16]]


def test_batches_have_round_sizes_and_start_with_the_oldest(held):
    model, scheduler = held
    calls = [Call(scheduler, [[number]]) for number in range(1, 48)]
    model.open.set()
    for call in calls:
        call.check()
    assert [len(batch) for batch in model.batches[1:]] == [40, 7]
    assert sorted(row[0] for row in model.batches[1]) == list(range(1, 41))


def test_oldest_new_call_leads_the_next_batch(held):
    model, scheduler = held
    waiting = Call(scheduler, [[1] * 30])
    later = [Call(scheduler, [[2] * 3]) for _ in range(100)]
    model.open.set()
    waiting.check()
    for call in later:
        call.check()
    assert [len(row) for row in model.batches[1]] == [30]


def test_short_call_waits_for_one_batch_of_bulk_calls():
    with stepping() as (model, scheduler):
        bulk = [Call(scheduler, [[number] * 10] * 600) for number in range(1, 5)]
        model.step(8)
        short = Call(scheduler, [[9] * 10])
        # The running batch, at most one that a bulk call leads, and its own, which contains no rows of bulk calls.
        model.step(3)
        short.check()
        assert [[9] * 10] in model.batches[-3:]
        assert not any(call.future.done() for call in bulk)


def test_bulk_batches_are_smaller_beside_short_calls():
    with stepping() as (model, scheduler):
        Call(scheduler, [[1] * 8] * 400)
        model.step(4)
        Call(scheduler, [[2] * 30])
        model.step(6)
        assert [len(batch) for batch in model.batches[1:4]] == [8, 8, 8]
        assert [len(batch) for batch in model.batches[7:10]] == [4, 4, 4]


def test_bulk_calls_take_turns():
    with stepping() as (model, scheduler):
        bulk = [Call(scheduler, [[number] * 16] * 100) for number in range(1, 5)]
        model.step(52)
        leads = [batch[0][0] for batch in model.batches[12:52]]
        assert {number: leads.count(number) for number in range(1, 5)} == dict.fromkeys(range(1, 5), 10)
        assert not any(call.future.done() for call in bulk)


def test_bulk_calls_share_tokens_equally():
    with stepping() as (model, scheduler):
        for number, length in ((1, 8), (2, 256)):
            Call(scheduler, [[number] * length] * 500)
        model.step(51)
        tokens = {1: 0, 2: 0}
        for batch in model.batches[1:51]:
            tokens[batch[0][0]] += sum(map(len, batch))
        assert tokens[1] == pytest.approx(tokens[2], rel=0.25)


def test_bulk_call_progresses_under_endless_short_calls():
    with stepping() as (model, scheduler):
        bulk = Call(scheduler, [[1] * 10] * 60)  # twenty batches of half the size
        steps = 0
        while not bulk.future.done():
            for length in (10, 20, 40):
                Call(scheduler, [[2] * length])
            model.step(1)
            steps += 1
        assert steps <= 2 * 20 + 3


def test_short_calls_share_batches_beside_a_bulk_call():
    with stepping() as (model, scheduler):
        Call(scheduler, [[1] * 8] * 400)
        model.step(2)
        short = [Call(scheduler, [[2] * 8]) for _ in range(8)]
        model.step(3)
        for call in short:
            call.check()
        assert [[2] * 8] * 8 in model.batches


def test_error_fails_the_calls_of_its_batch_only(held):
    model, scheduler = held
    failing, beside, apart = (Call(scheduler, [[first] * size]) for first, size in ((-1, 8), (1, 8), (2, 40)))
    model.open.set()
    for call in (failing, beside):
        with pytest.raises(ValueError, match="cannot be computed"):
            call.future.result(30)
    apart.check()


def test_cancelled_call_is_not_computed(held):
    model, scheduler = held
    cancelled = Call(scheduler, [[1] * 8, [2] * 30])
    other = Call(scheduler, [[3] * 8])
    assert cancelled.future.cancel()
    model.open.set()
    other.check()
    with pytest.raises(CancelledError):
        cancelled.future.result()
    assert [30] not in [[len(row) for row in batch] for batch in model.batches]


def test_submit_without_rows_is_done():
    scheduler = Scheduler(Model().run, 1, 64)
    assert scheduler.submit([], lambda *_: None).done()
    scheduler.close()


def test_close_stops_the_workers():
    before = threading.active_count()
    scheduler = Scheduler(Model().run, 2, 64)
    assert threading.active_count() == before + 2
    scheduler.close()
    assert threading.active_count() == before


def test_claim_succeeds_once_while_idle(held):
    model, scheduler = held
    assert not scheduler.claim(1)
    model.open.set()
    assert _claims(scheduler)
    assert not scheduler.claim(1)
    scheduler.release()
    assert scheduler.claim(1)
    scheduler.release()


def test_batch_is_alone_only_without_concurrent_calls():
    model = Model()
    scheduler = Scheduler(model.run, workers=2, tokens_per_batch=64)
    for number in (1, 2):
        Call(scheduler, [[number]]).check()
    assert model.alone == [True, True]
    model.open.clear()
    both = [Call(scheduler, [[3] * 3]), Call(scheduler, [[4] * 30])]  # too different in length for one batch
    for _ in range(4):
        assert model.entered.acquire(timeout=30)
    assert not all(model.alone[2:])
    model.open.set()
    for call in both:
        call.check()
    scheduler.close()


def test_short_row_alone_runs_on_all_cores_undisturbed():
    model = Model()
    scheduler = Scheduler(model.run, workers=2, tokens_per_batch=64)
    model.open.clear()
    first = Call(scheduler, [[1]])
    assert model.entered.acquire(timeout=30)
    # Too different in length for one batch; on a free core, they would slow down the first.
    later = [Call(scheduler, [[2] * 3]), Call(scheduler, [[3] * 30])]
    assert not model.entered.acquire(timeout=0.2)
    model.open.set()
    for call in (first, *later):
        call.check()
    assert model.alone[:2] == [True, False]
    scheduler.close()


def test_long_row_alone_does_not_delay_others():
    model = Model()
    scheduler = Scheduler(model.run, workers=2, tokens_per_batch=64)
    model.open.clear()
    long = Call(scheduler, [[1] * 65])
    assert model.entered.acquire(timeout=30)
    short = Call(scheduler, [[2]])
    assert model.entered.acquire(timeout=30)
    model.open.set()
    for call in (long, short):
        call.check()
    scheduler.close()


def test_rows_queued_during_a_claim_are_computed_after_it():
    model = Model()
    scheduler = Scheduler(model.run, workers=2, tokens_per_batch=64)
    assert scheduler.claim(1)
    queued = [Call(scheduler, [[2] * 3]), Call(scheduler, [[3] * 30])]
    assert not model.entered.acquire(timeout=0.2)
    scheduler.release()
    for call in queued:
        call.check()
    scheduler.close()


def test_failed_batch_leaves_the_processor_idle():
    scheduler = Scheduler(Model().run, workers=1, tokens_per_batch=64)
    with pytest.raises(ValueError, match="cannot be computed"):
        Call(scheduler, [[-1]]).future.result(30)
    assert scheduler.claim(1)
    scheduler.release()
    scheduler.close()


def _claims(scheduler):
    """Claim the processor as soon as its last batch is finished."""
    until = time.monotonic() + 30
    while not scheduler.claim(1):
        assert time.monotonic() < until
        time.sleep(0.001)
    return True


@pytest.fixture
def frequent_thread_switches():
    """Switch threads after every few instructions, so that races become likely."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_cancelling_at_any_time_stops_no_worker():
    scheduler = Scheduler(lambda ids, alone: ids, workers=2, tokens_per_batch=64)

    def submit_and_cancel(number):
        for _ in range(150):
            calls = [Call(scheduler, [[number] * 3, [number] * 5]) for _ in range(4)]
            for call in calls:
                call.future.cancel()
            wait([call.future for call in calls], 30)
            assert all(call.future.done() for call in calls)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit_and_cancel, range(1, 5)))
    assert scheduler.is_healthy
    assert all(thread.is_alive() for thread in threading.enumerate() if thread.name.startswith("encoder-"))
    Call(scheduler, [[1]] * 50).check()
    scheduler.close()


@pytest.mark.parametrize("error", [ValueError("failed"), StopIteration(), CancelledError(), SystemExit(), KeyError()])
def test_failed_delivery_fails_its_own_call_only(held, error):
    model, scheduler = held

    def fail(*_):
        raise error

    failing = scheduler.submit([[1] * 8] * 3, fail)
    beside = Call(scheduler, [[2] * 8])
    model.open.set()
    beside.check()
    with pytest.raises(type(error) if isinstance(error, (ValueError, KeyError)) else ModelFailed):
        failing.result(30)
    assert scheduler.is_healthy


@pytest.mark.parametrize("error", [MemoryError(), StopIteration(), CancelledError(), SystemExit()])
def test_engine_error_is_raised_to_its_caller(error):
    def run(ids, alone):
        raise error

    scheduler = Scheduler(run, workers=1, tokens_per_batch=64)
    for _ in range(2):
        with pytest.raises((MemoryError, ModelFailed)):
            Call(scheduler, [[1]]).future.result(30)
    assert scheduler.is_healthy
    scheduler.close()


class UnreadableRow(list[int]):
    """A row that cannot be read in a worker, which simulates a bug in the scheduler."""

    def __len__(self):
        if threading.current_thread().name.startswith("encoder-"):
            raise IndexError
        return super().__len__()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failed_worker_makes_the_scheduler_unhealthy(held):
    model, scheduler = held
    Call(scheduler, [UnreadableRow([1])])
    waiting = Call(scheduler, [[1] * 30])
    model.open.set()
    with pytest.raises(ModelFailed, match="Restart the server"):
        waiting.future.result(30)
    assert not scheduler.is_healthy
    with pytest.raises(ModelFailed, match="Restart the server"):
        Call(scheduler, [[1]]).future.result(30)


def test_close_fails_waiting_calls(held):
    model, scheduler = held
    waiting = Call(scheduler, [[1]])
    closing = threading.Thread(target=scheduler.close)
    closing.start()
    with pytest.raises(ModelFailed, match="closed"):
        waiting.future.result(30)
    model.open.set()
    closing.join(30)
