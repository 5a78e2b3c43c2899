"""Models of the catalogue and unknown ones: Terraform deploys them, and they are validated, ingested and searched."""

import io

import pytest

from embedstack.documents import search
from embedstack.documents.load import load_ingestion
from embedstack.factory import load_embedder
from embedstack.models.catalogue import find_model
from embedstack.settings.settings import change_settings, load_settings
from embedstack_ops.cli.checkout import client_settings
from embedstack_ops.validation import Targets, validate
from embedstack_ops.validation.endpoint_description import describe_deployment
from localaws.config import LocalAwsConfig
from tests.support.reference_models import ReferenceModel
from tests.support.temporary_stack import temporary_stack

#: Hub id and architecture of each model, whose weights are random.
CATALOGUE = {
    "e5": ("intfloat/multilingual-e5-small", "xlm-roberta"),
    "bge": ("BAAI/bge-small-en-v1.5", "bert"),
    "qwen": ("Qwen/Qwen3-Embedding-0.6B", "qwen3"),
}
UNKNOWN = {"modern": ("our-team/modern", "modernbert"), "distilled": ("our-team/distilled", "distilbert")}
MODELS = {**CATALOGUE, **UNKNOWN}
ENDPOINTS = "".join(
    f'  {key} = {{ model = {{ hub_id = "{hub_id}" }}, serverless = {{}} }}\n' for key, (hub_id, _) in MODELS.items()
)
PATIENT = Targets(p50_ms=60_000, p95_ms=60_000, texts_per_minute=1)
TEXT = "the cat sat on the mat\n\nthe dog ran far"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for hub_id, architecture in MODELS.values():
        ReferenceModel.load(architecture).write(folder / hub_id)
    return folder


@pytest.fixture(scope="module")
def outputs(models, tmp_path_factory):
    """Terraform's outputs after the apply."""
    with temporary_stack(tmp_path_factory.mktemp("stack"), LocalAwsConfig(port=0, models_dir=models)) as stack:
        yield stack.apply(f'name = "alex"\nenvironment = "test"\nendpoints = {{\n{ENDPOINTS}}}\n').outputs()


@pytest.mark.parametrize("key", MODELS)
def test_model_is_deployed_validated_ingested_and_searched(key, outputs, models, database_url, tmp_path, monkeypatch):
    hub_id, _ = MODELS[key]
    for name, value in client_settings(outputs).items():
        monkeypatch.setenv(name, value)
    settings = load_settings(
        embedding_model=hub_id,
        sagemaker_endpoint=f"alex-{key}-endpoint",
        database_url=database_url,
        embedstack_collection=f"{key}-documents",
        # A client knows nothing of a model that is not in the catalogue, except its tokenizer.
        embedstack_models_dir=models if key in CATALOGUE else tmp_path,
        embedstack_tokenizer=models / hub_id / "tokenizer.json",
        embedstack_chunk_tokens=32,
        embedstack_cache_mb=0,
    )
    assert (find_model(hub_id) is not None) == (key in CATALOGUE)
    with load_embedder(change_settings(settings, embedding_truncate=True)) as embedder:
        assert (embedder.info.dimensions is None) == (key in UNKNOWN)
        report = validate(embedder, describe_deployment(settings.required_endpoint(), settings), targets=PATIENT)
    # Random weights have no meaning, and most texts consist of the same unknown words of the tiny vocabulary.
    assert {check.name for check in report.checks if check.status == "failed"} <= {"meaning", "order"}, report
    assert len(report.checks) > 10
    with load_ingestion(settings) as ingestion:
        assert ingestion.ingest("cat.txt", io.BytesIO(TEXT.encode())).chunks >= 1
        with load_embedder(settings) as embedder:
            hits = search(embedder, ingestion.collection, "the cat sat on the mat", k=1)
    assert hits[0].source == "cat.txt"
