"""Ingestion into LangChain's PGVector, for vector_search.py. Runs in a separate environment, without embedstack.

    python -m venv .venv-langchain
    .venv-langchain/bin/pip install langchain-postgres "psycopg[binary]"

usage: vector_search_langchain.py DATABASE_URL FOLDER. Prints the seconds that ingesting the folder's rows took.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_postgres import PGVector


class Unused(Embeddings):
    """Not called, since the vectors are precomputed."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError


def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    rows = json.loads((folder / "rows.json").read_text())
    vectors = np.load(folder / "vectors.npy").tolist()
    store = PGVector(
        Unused(), connection=url.replace("postgresql://", "postgresql+psycopg://"), embedding_length=len(vectors[0])
    )
    started = time.perf_counter()
    for start in range(0, len(rows), 1000):
        batch = slice(start, start + 1000)
        store.add_embeddings(
            [row["text"] for row in rows[batch]],
            vectors[batch],
            metadatas=[row["metadata"] for row in rows[batch]],
            ids=[row["id"] for row in rows[batch]],
        )
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
