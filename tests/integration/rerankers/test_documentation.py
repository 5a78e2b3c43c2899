"""The examples of docs/guides/reranking.md run."""

import io
import shlex

from click.testing import CliRunner

from embedstack.documents import load_ingestion
from embedstack_ops.cli import search
from tests.integration.stores.conftest import database_url
from tests.support.documentation import code_blocks

__all__ = ["database_url"]


def test_reranking_page_examples_run(database_url, minilm_folder, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    variables = {
        "EMBEDDING_BACKEND": "fake", "RERANKER_BACKEND": "fake", "DATABASE_URL": database_url,
        "EMBEDSTACK_TOKENIZER": str(minilm_folder / "tokenizer.json"), "COLUMNS": "200",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    texts, documents, command = (block.code for block in code_blocks("test: reranking"))
    exec(texts, {})  # noqa: S102 - the product's own document
    assert capsys.readouterr().out.splitlines()[0] == "0.80 The invoice is due in May."
    with load_ingestion() as ingestion:
        ingestion.ingest("terms.txt", io.BytesIO(b"The invoice is due in May."))
        ingestion.ingest("cat.txt", io.BytesIO(b"The cat sleeps."))
    exec(documents, {})  # noqa: S102
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("0.80 (")
    assert first.endswith("terms.txt: The invoice is due in May.")
    assert second.endswith("cat.txt: The cat sleeps.")
    _, _, *arguments = shlex.split(command)
    done = CliRunner().invoke(search.main, arguments)
    assert done.exit_code == 0, done.output
    assert "0.80 (" in done.output
