"""The queues of endpoints, compiled: first come, first served with waiting, and slots that reject when all are busy.

Times are integers in nanoseconds. Numba compiles these functions when they are first called.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import njit

from embedstack_ops.simulation.traces import Int64

__all__ = ["NEVER", "REJECTED", "WAITING", "advance_queue", "serve_serverless", "serve_with_quotas", "wait_in_queue"]

#: Marks a request that has not started yet.
WAITING: Final = -1
#: Marks a request that was rejected: throttled, without capacity, or given up after its longest wait.
REJECTED: Final = -2
#: A time after every trace.
NEVER: Final = 2**62


def _advance_queue(
    arrivals: Int64, services: Int64, waits: Int64, head: int, until: int, free: Int64, slots: int, patience: int
) -> int:
    # ``free`` is a heap: the slot that is free first has index 0.
    count = len(arrivals)
    while head < count and arrivals[head] < until:
        arrival = arrivals[head]
        start = max(arrival, free[0])
        if start - arrival > patience and until - arrival > patience:
            waits[head] = REJECTED
            head += 1
            continue
        if start >= until:
            break  # a slot that is added later may serve it first
        waits[head] = start - arrival
        end = start + services[head]
        index = 0
        while True:
            child = 2 * index + 1
            if child >= slots:
                break
            if child + 1 < slots and free[child + 1] < free[child]:
                child += 1
            if free[child] >= end:
                break
            free[index] = free[child]
            index = child
        free[index] = end
        head += 1
    return head


def _serve_serverless(  # noqa: C901 - one loop; Numba compiles it as a whole
    arrivals: Int64,
    services: Int64,
    setups: Int64,
    waits: Int64,
    max_concurrency: int,
    provisioned: int,
    keep_alive: int,
) -> int:
    # ``idle_from`` has one entry per live container: the time from which it is idle. The first are provisioned.
    idle_from = np.zeros(max_concurrency, np.int64)
    live = provisioned
    cold = 0
    for request in range(len(arrivals)):
        now = arrivals[request]
        best = -1
        for slot in range(provisioned):
            if idle_from[slot] <= now:
                best = slot
                break
        slot = provisioned
        while best < 0 or best >= provisioned:
            if slot >= live:
                break
            since = idle_from[slot]
            if since <= now:
                if now - since > keep_alive:
                    live -= 1
                    idle_from[slot] = idle_from[live]
                    continue
                if best < 0 or since > idle_from[best]:
                    best = slot
            slot += 1
        if best >= 0:
            waits[request] = 0
            idle_from[best] = now + services[request]
        elif live < max_concurrency:
            waits[request] = setups[request]
            idle_from[live] = now + setups[request] + services[request]
            live += 1
            cold += 1
        else:
            waits[request] = REJECTED
    return cold


def _serve_with_quotas(
    arrivals: Int64, tokens: Int64, waits: Int64, requests_per_minute: float, tokens_per_minute: float
) -> None:
    # Buckets of one minute's quota; a quota below 0 is unlimited.
    request_bucket, token_bucket, before = requests_per_minute, tokens_per_minute, 0
    for request in range(len(arrivals)):
        now = arrivals[request]
        minutes = (now - before) / 60e9
        before = now
        request_bucket = min(requests_per_minute, request_bucket + minutes * requests_per_minute)
        token_bucket = min(tokens_per_minute, token_bucket + minutes * tokens_per_minute)
        has_requests = requests_per_minute < 0 or request_bucket >= 1
        has_tokens = tokens_per_minute < 0 or token_bucket >= tokens[request]
        if has_requests and has_tokens:
            waits[request] = 0
            request_bucket -= 1
            token_bucket -= tokens[request]
        else:
            waits[request] = REJECTED


_compile: Callable[[Any], Any] = njit(cache=True)

#: Start queued requests until a time, and return the index of the first that has not started. Arguments: arrivals,
#: services and waits (written) in ns; index of the queue's head; the time; heap of the times at which slots become
#: free; number of slots, at least 1; longest wait in ns.
advance_queue: Callable[[Int64, Int64, Int64, int, int, Int64, int, int], int] = _compile(_advance_queue)
#: Serve requests by containers that start when needed, the newest idle one first. Arguments: arrivals, services, cold
#: starts and waits (written) in ns; MaxConcurrency; provisioned concurrency; time in ns that an idle container lives.
#: Returns the number of cold starts.
serve_serverless: Callable[[Int64, Int64, Int64, Int64, int, int, int], int] = _compile(_serve_serverless)
#: Serve requests within quotas. Arguments: arrivals in ns, tokens, waits in ns (written), requests and tokens per
#: minute; a negative quota is unlimited.
serve_with_quotas: Callable[[Int64, Int64, Int64, float, float], None] = _compile(_serve_with_quotas)


def wait_in_queue(arrivals: Int64, services: Int64, slots: int) -> Int64:
    """Waiting times in nanoseconds of one queue, first come, first served, with a fixed number of slots.

    Args:
        arrivals: Arrival times in ns, ascending.
        services: Service times in ns.
        slots: Requests that are served at the same time.
    """
    waits = np.full(len(arrivals), WAITING, np.int64)
    advance_queue(arrivals, services, waits, 0, NEVER, np.zeros(slots, np.int64), slots, NEVER)
    return waits
