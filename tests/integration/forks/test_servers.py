"""Programs that load an application in one process and fork workers, which are replaced now and then."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embedstack.embedders.fake import fake_vector

REQUESTS = 120


@pytest.fixture
def gunicorn(variables, tmp_path):
    """The address of an application under gunicorn, and the file that has what it says."""
    log_file = tmp_path / "gunicorn.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_file.open("wb") as log:
        options = ["--preload", "--workers=3", "--threads=4", "--max-requests=15", "--worker-class=gthread"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, f"--bind=fd://{listener.fileno()}",
             "tests.integration.forks.wsgi:application"],
            env=variables, cwd=tmp_path, stdout=log, stderr=log, pass_fds=[listener.fileno()],
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", log_file
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(60) == 0
            finally:
                process.kill()
                process.wait()


def ask(url, number):
    """The process that answered, and whether the vectors are of the texts."""
    texts = [f"request {number}, text {place}" for place in range(4)]
    with urllib.request.urlopen(url, json.dumps(texts).encode(), timeout=60) as response:
        document = json.load(response)
    expected = [fake_vector(text, 8) for text in texts]
    return document["process"], np.allclose(document["vectors"], expected, atol=1e-6)


def test_gunicorn_workers_use_the_embedder_of_their_master(gunicorn):
    url, log_file = gunicorn
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda number: ask(url, number), range(REQUESTS)))
    assert all(right for _, right in responses), log_file.read_text(encoding="utf-8")
    assert len({process for process, _ in responses}) > 3, "no worker was replaced"


def test_prefork_workers_are_replaced_while_others_work(run_program):
    done = run_program("""
        import multiprocessing, os
        import numpy as np
        from embedstack.embedders.fake import fake_vector
        from tests.integration.forks.objects import sagemaker
        embedder = sagemaker()
        def task(number):
            texts = [f"task {number}, text {place}" for place in range(4)]
            expected = [fake_vector(text, 8) for text in texts]
            return os.getpid(), bool(np.allclose(embedder.embed(texts), expected, atol=1e-6))
        task(-1)
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(3, maxtasksperchild=5) as pool:
                results = pool.map_async(task, range(60), chunksize=1)
                while not results.ready():
                    assert task(-2)[1]  # while the pool forks
                    results.wait(0.01)
                results = results.get()
            print(all(right for _, right in results), len({process for process, _ in results}) > 3)
    """)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
