"""Micro-batching: every row once, in its own call, within the batch's size, and the oldest first."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from hypothesis import given, settings, strategies as st

from embedstack.serving.scheduler import Scheduler


class Model:
    """Echoes a row's tokens, and can be held up so that rows gather."""

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
    """One caller's rows and what came back for each."""

    def __init__(self, scheduler, ids):
        self.ids = ids
        self.found: dict[int, list[int]] = {}
        self.future = scheduler.submit(ids, self.deliver)

    def deliver(self, output, position, index):
        assert index not in self.found
        self.found[index] = output[position]

    def check(self):
        self.future.result(30)
        assert [self.found[index] for index in range(len(self.ids))] == self.ids


@pytest.fixture
def held():
    """A scheduler with one worker that is held up in a first batch."""
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
def test_every_caller_gets_its_own_rows_once(calls, workers):
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


def test_rows_that_gathered_share_a_batch(held):
    model, scheduler = held
    calls = [Call(scheduler, [[number] * 8]) for number in range(1, 9)]
    model.open.set()
    for call in calls:
        call.check()
    assert [len(batch) for batch in model.batches[1:]] == [8]


def test_a_row_alone_does_not_wait(held):
    model, scheduler = held
    model.open.set()
    Call(scheduler, [[1]]).check()


def test_unlike_lengths_do_not_share_a_batch(held):
    model, scheduler = held
    calls = [Call(scheduler, [[1] * 4]), Call(scheduler, [[2] * 16]), Call(scheduler, [[3] * 5])]
    model.open.set()
    for call in calls:
        call.check()
    assert sorted(sorted(map(len, batch)) for batch in model.batches[1:]) == [[4, 5], [16]]


def test_batches_are_of_few_sizes_and_begin_with_the_oldest(held):
    model, scheduler = held
    calls = [Call(scheduler, [[number]]) for number in range(1, 48)]
    model.open.set()
    for call in calls:
        call.check()
    assert [len(batch) for batch in model.batches[1:]] == [40, 7]
    assert sorted(row[0] for row in model.batches[1]) == list(range(1, 41))


def test_the_oldest_row_leads_the_next_batch(held):
    model, scheduler = held
    waiting = Call(scheduler, [[1] * 30])
    later = [Call(scheduler, [[2] * 3]) for _ in range(100)]
    model.open.set()
    waiting.check()
    for call in later:
        call.check()
    assert [len(row) for row in model.batches[1]] == [30]


def test_an_error_fails_the_calls_of_its_batch_only(held):
    model, scheduler = held
    failing, beside, apart = (Call(scheduler, [[first] * size]) for first, size in ((-1, 8), (1, 8), (2, 40)))
    model.open.set()
    for call in (failing, beside):
        with pytest.raises(ValueError, match="cannot be computed"):
            call.future.result(30)
    apart.check()


def test_a_cancelled_call_is_not_computed(held):
    model, scheduler = held
    cancelled = Call(scheduler, [[1] * 8, [2] * 30])
    kept = Call(scheduler, [[3] * 8])
    assert cancelled.future.cancel()
    model.open.set()
    kept.check()
    with pytest.raises(CancelledError):
        cancelled.future.result()
    assert [30] not in [[len(row) for row in batch] for batch in model.batches]


def test_no_rows_are_done_at_once():
    scheduler = Scheduler(Model().run, 1, 64)
    assert scheduler.submit([], lambda *_: None).done()
    scheduler.close()


def test_close_ends_the_workers():
    before = threading.active_count()
    scheduler = Scheduler(Model().run, 2, 64)
    assert threading.active_count() == before + 2
    scheduler.close()
    assert threading.active_count() == before


def test_an_idle_processor_is_claimed_by_one(held):
    model, scheduler = held
    assert not scheduler.claim()
    model.open.set()
    scheduler.close()
    assert scheduler.claim()
    assert not scheduler.claim()
    scheduler.release()
    assert scheduler.claim()
    scheduler.release()


def test_a_row_is_alone_only_while_callers_take_turns():
    model = Model()
    scheduler = Scheduler(model.run, workers=2, tokens_per_batch=64)
    for number in (1, 2):
        Call(scheduler, [[number]]).check()
    assert model.alone == [True, True]
    model.open.clear()
    both = [Call(scheduler, [[3] * 3]), Call(scheduler, [[4] * 30])]  # too unlike for one batch
    for _ in range(4):
        assert model.entered.acquire(timeout=30)
    assert not all(model.alone[2:])
    model.open.set()
    for call in both:
        call.check()
    scheduler.close()


def test_a_failed_batch_leaves_the_processor_idle():
    scheduler = Scheduler(Model().run, workers=1, tokens_per_batch=64)
    with pytest.raises(ValueError, match="cannot be computed"):
        Call(scheduler, [[-1]]).future.result(30)
    scheduler.close()
    assert scheduler.claim()
