"""The examples of docs/guides/ingesting.md and docs/reference/document-formats.md run."""

from pathlib import Path

from tests.support.document_files import make_pdf
from tests.support.documentation import code_blocks


def test_documents_are_ingested_and_found(database_url, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDDING_BACKEND", "local")
    monkeypatch.setenv("DATABASE_URL", database_url)
    Path("handbook.md").write_text(
        "# Pump\n\nA pump moves water.\n\n## Start\n\nOpen the valve. Then press the button."
    )
    [example] = code_blocks("test: ingesting")
    exec(example.code, {})  # noqa: S102 - the product's own document
    counts, first, *_ = capsys.readouterr().out.splitlines()
    assert counts == "2 chunks, 2 embedded"
    assert "handbook.md 1 ('Pump', 'Start')" in first


def test_a_pdf_is_read_by_page(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("handbook.pdf").write_bytes(make_pdf("A pump moves water.", "Press the button."))
    [example] = code_blocks("test: formats")
    exec(example.code, {})  # noqa: S102 - the product's own document
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2"]
