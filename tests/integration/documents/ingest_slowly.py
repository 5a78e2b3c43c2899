"""Ingests a document with a slow embedder. A test kills this process at random moments.

Arguments: the database URL, the tokenizer, the document, and a file to which a byte is written for each embedded text.
"""

import sys
import time
from pathlib import Path

from embedstack.documents import Chunker, Ingestion
from embedstack.documents.ingestion import collection_info
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.models.model_info import ModelInfo
from embedstack.stores.pgvector import PgVectorStore

MODEL = ModelInfo("embedstack/fake", dimensions=8, max_tokens=64, pooling="mean")


def main(url: str, tokenizer: str, document: str, counter: str) -> None:
    with Path(counter).open("ab", buffering=0) as counted:

        def fault(texts) -> None:
            time.sleep(0.01)
            counted.write(b"." * len(texts))

        with FakeEmbedder(MODEL, limits=Limits(max_items=8, concurrency=2), fault=fault) as embedder:
            chunker = Chunker(Path(tokenizer), 24)
            collection = PgVectorStore(url).open(collection_info("killed", embedder, chunker))
            with Path(document).open("rb") as content:
                Ingestion(embedder, collection, chunker).ingest("a.txt", content)


if __name__ == "__main__":
    main(*sys.argv[1:])
