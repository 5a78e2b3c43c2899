"""A program exits at once, whatever is under way, and says nothing about it."""

import time

import pytest

from conftest import MINILM

PROGRAMS = {
    "a thread waits for an endpoint to wake up": """
        embedder = RetryingEmbedder(FakeEmbedder(limits=ONE_TEXT, fault=asleep))
        threading.Thread(target=embedder.embed, args=(["a", "b"],), daemon=True).start()
        assert waits.wait(60)
    """,
    "a stream is half read": """
        embedder = sagemaker()
        stream = embedder.embed_stream(f"text {number}" for number in range(100_000))
        next(stream)
    """,
    "tasks are cancelled": """
        embedder = sagemaker()
        async def main():
            texts = [f"text {number}" for number in range(1000)]
            task = asyncio.create_task(embedder.aembed(texts))
            await embedder.aembed_query("first")
            task.cancel()
        asyncio.run(main())
    """,
    "the main thread raises": """
        embedder = sagemaker()
        def work():
            while True:
                embedder.embed(["a", "b", "c"])
        threading.Thread(target=work, daemon=True).start()
        embedder.embed(["x"])
        raise SystemExit(0)
    """,
}
PREAMBLE = """
import asyncio, threading, time
from embedstack.embedders import FakeEmbedder
from embedstack.errors import EndpointAsleep
from embedstack.resilience import RetryingEmbedder
from tests.integration.forks.objects import ONE_TEXT, sagemaker
waits = threading.Event()
def asleep(texts):
    waits.set()
    return EndpointAsleep("asleep")
"""


def unindented(program):
    return "\n".join(line.removeprefix("        ") for line in program.splitlines())


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_exit_does_not_wait_for_requests(run_program, program):
    started = time.monotonic()
    done = run_program(PREAMBLE + unindented(program))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 120  # an endpoint is waited for longer


def test_threads_embed_after_the_main_thread_has_ended(run_program):
    done = run_program(
        PREAMBLE
        + unindented("""
        embedder = sagemaker()
        def work():
            threading.main_thread().join()
            print(len(embedder.embed([f"text {number}" for number in range(20)])))
        threading.Thread(target=work).start()
    """)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "20\n", "")


@pytest.mark.parametrize("texts", [1, 200])
def test_exit_while_a_model_in_this_process_computes(run_program, minilm_folder, texts):
    done = run_program(
        """
        import sys, threading
        from pathlib import Path
        from embedstack.embedders import LocalEmbedder
        from embedstack.models.catalogue import known_model
        embedder = LocalEmbedder(known_model(sys.argv[1]), folder=Path(sys.argv[2]))
        texts = [f"a text with the number {number}" for number in range(int(sys.argv[3]))]
        computed = threading.Event()
        def work():
            while True:
                embedder.embed(texts)
                computed.set()
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        computed.wait()
        """,
        MINILM,
        str(minilm_folder),
        str(texts),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_consecutive_event_loops_share_an_embedder(run_program):
    done = run_program(
        PREAMBLE
        + unindented("""
        embedder = sagemaker()
        texts = [f"text {number}" for number in range(30)]
        async def stream():
            return [vector.tolist() async for vector in embedder.aembed_stream(texts)]
        first = asyncio.run(embedder.aembed(texts)).tolist()
        print(first == asyncio.run(embedder.aembed(texts)).tolist() == asyncio.run(stream()))
    """)
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
