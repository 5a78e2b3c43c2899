"""One embedder for prefork workers: gunicorn --preload, Celery and multiprocessing create it and then fork."""

import multiprocessing
import os

import numpy as np

from embedstack import load_embedder

embedder = load_embedder()  # in the parent; every worker creates its own connections, threads and locks


def embed(texts: list[str]) -> tuple[int, list[list[float]]]:
    """Run a task: returns its process and its vectors."""
    return os.getpid(), embedder.embed_documents(texts).tolist()


if __name__ == "__main__":
    tasks = [[f"task {task}, text {text}" for text in range(3)] for task in range(6)]
    expected = [embedder.embed_documents(texts) for texts in tasks]
    # A worker is replaced after two tasks, as with Celery's worker_max_tasks_per_child.
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=2) as pool:
        results = pool.map(embed, tasks, chunksize=1)
    same = all(np.allclose(result, vectors, atol=0.02) for (_, result), vectors in zip(results, expected, strict=True))
    workers = {pid for pid, _ in results} - {os.getpid()}
    print(f"{len(tasks)} tasks in {len(workers)} workers; the vectors are {'the same' if same else 'different'}.")
