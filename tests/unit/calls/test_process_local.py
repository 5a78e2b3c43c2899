"""State that belongs to one process."""

import copy
import os
import pickle
import socket
import threading
from functools import partial

import numpy as np
import pytest

from embedstack.cache.cached_embedder import MemoryCache
from embedstack.calls.process_local import Lock, PerProcess, disconnect
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.embedders.fake import fake_vector
from embedstack.errors import ConfigurationError, EndpointUnavailable, NotPicklable
from embedstack.resilience import CircuitBreaker, TokenBucket
from embedstack.settings.settings import load_settings
from tests.support.forked import start_child


def unpickled(target):
    return pickle.loads(pickle.dumps(target))  # noqa: S301


class Held:
    """A thread that is in the middle of something for as long as the block lasts."""

    def __init__(self, enter):
        self.reached, self.ended = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=enter, args=(self.pause,))

    def pause(self, *_):
        self.reached.set()
        self.ended.wait(60)

    def __enter__(self):
        self.thread.start()
        assert self.reached.wait(60)

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def test_lock_held_by_another_thread_is_free_in_a_child():
    lock = Lock()

    def hold(pause):
        with lock:
            pause()

    def take():
        with lock:
            return "taken"

    with Held(hold):
        assert start_child(take)() == "taken"


def test_per_process_creates_its_value_once_in_each_process():
    value = PerProcess(partial(threading.local))
    assert value.get() is value.get()
    mine = value.get()
    assert start_child(lambda: str(value.get() is mine))() == "False"
    assert value.get() is mine
    assert unpickled(value).get() is not mine
    assert value.take() is mine
    assert value.take() is None


def test_per_process_creates_a_value_in_a_child_despite_another_thread():
    parent = os.getpid()

    def create():
        if os.getpid() == parent:
            held.pause()
        return os.getpid()

    value = PerProcess(create)
    held = Held(lambda pause: value.get())
    with held:
        assert start_child(lambda: str(value.get() == os.getpid()))() == "True"
    assert value.get() == parent


def test_per_process_discards_inherited_values_in_the_child():
    discarded: list[str] = []
    value = PerProcess(lambda: "parent's", discard=discarded.append)
    value.get()
    assert start_child(lambda: str(discarded))() == '["parent\'s"]'
    assert discarded == []


def test_disconnect_closes_a_socket_and_keeps_its_descriptor():
    local, remote = socket.socketpair()
    copied = local.dup()
    with local, remote, copied:
        disconnect([copied.fileno()])
        assert copied.fileno() != -1
        local.sendall(b"still open")
        assert remote.recv(20) == b"still open"
        local.close()
        assert remote.recv(20) == b""
        os.write(copied.fileno(), b"goes nowhere")


def test_concurrency_slots_of_parent_threads_are_free_in_a_child():
    parent = os.getpid()

    def fault(texts):
        if os.getpid() == parent:
            held.pause()

    embedder = FakeEmbedder(limits=Limits(max_items=1, concurrency=1), fault=fault)
    held = Held(lambda pause: embedder.embed(["parent's"]))
    with held:
        vectors = start_child(lambda: str(np.array_equal(embedder.embed(["a", "b"])[0], fake_vector("a", 8))))()
    assert vectors == "True"


def test_breaker_forgets_the_probe_of_a_parent_thread():
    breaker = CircuitBreaker(failures=1, seconds=0)
    with pytest.raises(EndpointUnavailable), breaker.guard():
        raise EndpointUnavailable("down")

    def probe(pause):
        with breaker.guard():
            pause()

    def use():
        with breaker.guard():
            pass
        return breaker.state

    with Held(probe):
        assert start_child(use)() == "closed"


def test_breaker_state_is_inherited_by_a_child():
    breaker = CircuitBreaker(failures=1, seconds=300)
    with pytest.raises(EndpointUnavailable), breaker.guard():
        raise EndpointUnavailable("down")
    assert start_child(lambda: breaker.state)() == "open"
    assert unpickled(breaker).state == "closed"


def test_stats_count_one_process():
    with FakeEmbedder() as embedder:
        embedder.embed(["a"])

        def child():
            embedder.embed_query("b")
            embedder.embed_query("c")
            return str(embedder.stats().requests)

        assert start_child(child)() == "2"
        assert embedder.stats().requests == 1
        assert unpickled(embedder).stats().requests == 0


def test_stream_continues_only_in_its_process():
    with FakeEmbedder(limits=Limits(max_items=1)) as embedder:
        stream = embedder.embed_stream(f"text {number}" for number in range(100))
        next(stream)

        def child():
            with pytest.raises(ConfigurationError, match="Embed the texts again"):
                next(stream)
            return "refused"

        assert start_child(child)() == "refused"
        assert len(list(stream)) == 99


def test_memory_cache_is_inherited_by_a_fork_and_empty_in_a_copy():
    cache = MemoryCache()
    cache.put({b"a": np.ones(8, np.float32)})
    assert start_child(lambda: str(sorted(cache.get([b"a"]))))() == "[b'a']"
    assert unpickled(cache).get([b"a"]) == {}


def test_pickle_contains_no_secret():
    settings = load_settings(database_url="postgresql://user:a-secret@host/db", embedstack_cache_key="a-secret")
    assert b"a-secret" not in pickle.dumps(settings.without_secrets())
    bucket = unpickled(TokenBucket(5, 2))
    bucket.take(2)


def test_not_picklable_is_a_configuration_and_type_error():
    assert issubclass(NotPicklable, ConfigurationError)
    assert issubclass(NotPicklable, TypeError)
    with pytest.raises(NotPicklable):
        copy.deepcopy(_Refusing())


class _Refusing:
    def __reduce__(self):
        raise NotPicklable("no")
