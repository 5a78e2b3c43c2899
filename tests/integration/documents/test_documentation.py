"""What docs/documents.md shows runs."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "documents.md"


def test_the_example_runs(database_url, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDDING_BACKEND", "local")
    monkeypatch.setenv("DATABASE_URL", database_url)
    Path("handbook.md").write_text(
        "# Pump\n\nA pump moves water.\n\n## Start\n\nOpen the valve. Then press the button."
    )
    [example] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    exec(example, {})  # noqa: S102 - the product's own document
    counts, first, *_ = capsys.readouterr().out.splitlines()
    assert counts == "2 chunks, 2 embedded"
    assert "handbook.md 1 ('Pump', 'Start')" in first
