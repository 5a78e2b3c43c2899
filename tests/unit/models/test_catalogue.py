"""The built-in catalogue: known rows, its consistency, and suggestions for near misses."""

import json
import runpy
from pathlib import Path

import pytest
import yaml

from embedstack.errors import ConfigurationError
from embedstack.models import KNOWN_MODELS, ModelInfo, find_model, known_model
from embedstack.models.catalogue import suggest_model

ROOT = Path(__file__).parents[3]
CATALOGUE = ROOT / "src" / "embedstack" / "models" / "catalogue.json"
QWEN_PROMPT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@pytest.mark.parametrize(
    "expected",
    [
        ModelInfo(
            "sentence-transformers/all-MiniLM-L6-v2", dimensions=384, max_tokens=256, pooling="mean", normalized=True,
            architecture="bert", license="apache-2.0", non_commercial=False, uses_prompts=False,
        ),
        ModelInfo(
            "intfloat/multilingual-e5-small", dimensions=384, max_tokens=512, pooling="mean", normalized=True,
            architecture="bert", license="mit", non_commercial=False, uses_prompts=True,
            prompts={"query": "query: ", "document": "passage: "},
        ),
        ModelInfo(
            "Qwen/Qwen3-Embedding-0.6B", dimensions=1024, max_tokens=32768, pooling="last_token", normalized=True,
            architecture="qwen3", license="apache-2.0", non_commercial=False, uses_prompts=True,
            prompts={"query": QWEN_PROMPT, "document": ""}, matryoshka_dimensions=(32, 64, 128, 256, 512, 768),
        ),
        ModelInfo(
            "BAAI/bge-reranker-v2-m3", max_tokens=8192, normalized=None, kind="reranker", architecture="xlm-roberta",
            license="apache-2.0", non_commercial=False, uses_prompts=False,
        ),
        ModelInfo(
            "amazon.nova-2-multimodal-embeddings-v1:0", dimensions=3072, max_tokens=8192, normalized=None,
            matryoshka_dimensions=(256, 384, 1024), uses_prompts=False,
        ),
    ],
    ids=lambda info: info.model_id,
)  # fmt: skip
def test_known_model_returns_exact_facts(expected):
    assert known_model(expected.model_id) == expected
    assert dict(known_model(expected.model_id).prompts) == dict(expected.prompts)


def test_catalogue_has_no_duplicate_and_a_dated_source():
    content = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    ids = [row["model_id"] for row in content["models"]]
    assert len(ids) == len({name.casefold() for name in ids}) == len(KNOWN_MODELS) >= 150
    assert list(KNOWN_MODELS) == ids
    assert content["source"] == {"package": "mteb-core", "version": "2.26.24"}
    assert content["generated"] > "2026"
    assert CATALOGUE.stat().st_size < 80_000


def test_catalogue_rows_are_plausible():
    for info in KNOWN_MODELS.values():
        assert set(info.prompts) <= {"query", "document"}
        assert bool(info.prompts) <= bool(info.uses_prompts), info.model_id
        assert (info.dimensions is None) == (info.kind == "reranker"), info.model_id
        assert all(length < info.require_dimensions() for length in info.matryoshka_dimensions), info.model_id
        if info.license and "-nc" in info.license:
            assert info.non_commercial, info.model_id
        if info.non_commercial is False:
            assert info.license, info.model_id


def test_non_commercial_licenses_are_flagged():
    flagged = {info.model_id for info in KNOWN_MODELS.values() if info.non_commercial}
    assert flagged > {"jinaai/jina-embeddings-v3", "nvidia/NV-Embed-v2", "jinaai/jina-reranker-v2-base-multilingual"}
    # A license behind an address needs a person's judgement.
    assert known_model("LiquidAI/LFM2.5-Embedding-350M").non_commercial is None


def test_catalogue_contains_the_reviewed_facts():
    script = runpy.run_path(str(ROOT / "scripts" / "generate_model_catalogue.py"))
    reviewed = yaml.safe_load((ROOT / "scripts" / "model_catalogue.yaml").read_text(encoding="utf-8"))
    rows = {row["model_id"]: row for row in json.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]}
    expected = {row["model_id"]: row for row in script["catalogue_rows"](reviewed, {})}
    assert rows.keys() == expected.keys()
    for model_id, row in expected.items():
        assert row.items() <= rows[model_id].items(), f"{model_id}: run scripts/generate_model_catalogue.py"


class Meta:
    """A model of the registry."""

    model_type = ("dense",)
    embed_dim: object = 768
    max_tokens: float | None = 512.0
    license: str | None = "mit"
    use_instructions = False

    def __init__(self, **facts):
        vars(self).update(facts)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"embed_dim": [768, 256]}, {"dimensions": 768, "matryoshka_dimensions": [256]}),
        ({"embed_dim": [64, 128, 1024]}, {"dimensions": 1024, "matryoshka_dimensions": [64, 128]}),
        ({"embed_dim": None, "max_tokens": float("inf")}, {}),
        ({"license": "cc-by-nc-4.0"}, {"license": "cc-by-nc-4.0", "non_commercial": True}),
        ({"license": "cc-by-nc-sa-4.0"}, {"license": "cc-by-nc-sa-4.0", "non_commercial": True}),
        ({"license": "https://example.com/license"}, {"license": "https://example.com/license"}),
        ({"license": "not specified"}, {}),
        ({"license": None}, {}),
        ({"model_type": ["cross-encoder"]}, {"kind": "reranker"}),
    ],
)
def test_script_converts_registry_facts(facts, expected):
    script = runpy.run_path(str(ROOT / "scripts" / "generate_model_catalogue.py"))
    registry = {"a/b": script["registry_facts"](Meta(**facts))}
    (row,) = script["catalogue_rows"]({"prompts": {}, "models": {"a/b": {}}}, registry)
    assert expected.items() <= row.items()
    for name in ("dimensions", "max_tokens", "license", "non_commercial"):
        if name in facts and name not in expected:
            assert name not in row
    assert row.get("non_commercial") == expected.get("non_commercial", False if row.get("license") == "mit" else None)


@pytest.mark.parametrize("row", [{"colour": "red"}, {"prompts": "absent"}])
def test_script_rejects_unknown_reviewed_facts(row):
    script = runpy.run_path(str(ROOT / "scripts" / "generate_model_catalogue.py"))
    with pytest.raises(ValueError, match="a/b: unknown"):
        script["catalogue_rows"]({"prompts": {}, "models": {"a/b": row}}, {})


@pytest.mark.parametrize(
    ("model_id", "suggested"),
    [
        ("baai/BGE-M3", "BAAI/bge-m3"),
        ("BAAI/bge-m3@main", "BAAI/bge-m3"),
        ("BAAI/bge-m3", None),
        ("my-org/my-model", None),
        ("bge-m3", None),
    ],
)
def test_suggest_model_finds_near_misses(model_id, suggested):
    assert suggest_model(model_id) == suggested


@pytest.mark.parametrize("name", ["baai/bge-m3", "BAAI/bge-m4", "BAAI/bge-m3@main"])
def test_known_model_suggests_similar_ids(name):
    with pytest.raises(ConfigurationError, match=rf"Unknown model '{name}'\. Did you mean .*BAAI/bge-m3"):
        known_model(name)
    assert find_model(name) is None


def test_former_place_of_the_catalogue_still_works():
    from embedstack.models import model_info  # noqa: PLC0415

    assert model_info.known_model is known_model
    assert model_info.KNOWN_MODELS is KNOWN_MODELS
