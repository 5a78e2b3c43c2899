"""The examples of docs/guides/vector-stores.md run."""

from embedstack.embedders import FakeEmbedder
from embedstack.models.catalogue import known_model
from embedstack.stores import load_store
from tests.support.documentation import code_blocks


def test_stores_page_examples_run(database_url, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDDING_BACKEND", "fake")
    monkeypatch.setenv("DATABASE_URL", database_url)
    opening, searching, reembedding = (block.code for block in code_blocks("test: stores"))
    names: dict[str, object] = {}
    exec(opening, names)  # noqa: S102 - the product's own document
    assert sorted(line.split()[1] for line in capsys.readouterr().out.splitlines()) == ["note-0:", "note-1:"]
    with load_store() as store, FakeEmbedder(known_model("BAAI/bge-m3")) as new:
        names |= {"store": store, "new_embedder": new}
        exec(reembedding, names)  # noqa: S102
        notes = store.open(store.describe("notes"))
        assert (notes.info.dimensions, notes.count()) == (1024, 2)
        where = eval(searching, {})  # noqa: S307
        assert notes.count(where) == 0
