"""An ingesting process is killed repeatedly; the next one gives the same result as an undisturbed one."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedstack.documents.ingestion import collection_info

SENTENCE = "Paragraph {} of version {} says a few words and no more than those."
VERSIONS = [
    [SENTENCE.format(number, "one") for number in range(600)],
    [SENTENCE.format(number, "one" if number % 2 else "two") for number in range(500)],
]
# Texts that are embedded again after a kill, at most: one batch of records, and the requests in flight.
MAX_LOST = 128 + 8 * 8


@pytest.fixture
def run(database_url, minilm_folder, tmp_path):
    """Run a process that ingests a version, optionally killed after so many texts. Returns the number of texts."""
    document, counter = tmp_path / "a.txt", tmp_path / "count"
    arguments = [database_url, str(minilm_folder / "tokenizer.json"), str(document), str(counter)]
    script = Path(__file__).parent / "ingest_slowly.py"

    def run(version, kill_after=None):
        document.write_text("\n\n".join(VERSIONS[version]))
        counter.write_bytes(b"")
        process = subprocess.Popen([sys.executable, str(script), *arguments])
        try:
            if kill_after is None:
                assert process.wait(90) == 0
            while process.poll() is None and counter.stat().st_size < kill_after:
                time.sleep(0.005)
        finally:
            process.kill()
            process.wait()
        return counter.stat().st_size

    return run


def test_killed_ingestion_loses_and_duplicates_nothing(run, pgvector, embedder, chunker):
    collection = pgvector.open(collection_info("killed", embedder, chunker))
    for version, moments, needed in ((0, (1, 200), 600), (1, (100,), 251)):
        embedded = sum(run(version, moment) for moment in moments) + run(version)
        records = sorted(collection.scan(), key=lambda record: record.metadata["position"])
        assert [record.text for record in records] == VERSIONS[version]
        assert len({record.metadata["document"] for record in records}) == 1
        assert needed - 1 <= embedded <= needed + len(moments) * MAX_LOST
