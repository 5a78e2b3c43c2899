"""Which model and protocol run for a container definition."""

from pathlib import Path

import pytest

from localaws.services.sagemaker.containers.images import ContainerDefinition, LaunchError, model_source
from localaws.services.sagemaker.containers.instance_types import has_gpu

TEI = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.9.3-cpu-py310-ubuntu24.04"
TEI_GPU = "683313688378.dkr.ecr.us-east-1.amazonaws.com/tei:2.0.1-tei1.8.2-gpu-py310-cu122-ubuntu22.04"
DLC = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/{}:1"
HUGGINGFACE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def container(image: str, url: str | None = None, **environment: str) -> ContainerDefinition:
    return ContainerDefinition(image, environment, url)


@pytest.mark.parametrize(
    ("image", "environment", "protocol"),
    [
        (TEI, {"HF_MODEL_ID": MINILM}, "tei-1.9"),
        (TEI_GPU, {}, "tei-1.8"),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.2.3-cpu-py310-ubuntu22.04", {}, "tei-1.8"),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-tei1.10.0-cpu-py310-ubuntu24.04", {}, "tei-1.9"),
        ("683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu@sha256:0a", {}, "tei-1.9"),
        (HUGGINGFACE, {"HF_MODEL_ID": MINILM}, "huggingface"),
        (HUGGINGFACE, {}, "embedstack"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/embeddings@sha256:0a", {}, "embedstack"),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/my-tei:1", {}, "embedstack"),
    ],
)
def test_protocol_depends_on_the_image(image: str, environment: dict[str, str], protocol: str) -> None:
    assert container(image, **environment).protocol == protocol


def test_model_source_finds_installed_weights(tmp_path: Path, minilm_folder: Path) -> None:
    source = model_source(container(TEI, HF_MODEL_ID=MINILM), tmp_path)
    assert source.folder == minilm_folder
    assert source.artifact_url is None


def test_model_source_prefers_the_models_folder(tmp_path: Path) -> None:
    folder = tmp_path / MINILM
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert model_source(container(TEI, HF_MODEL_ID=MINILM), tmp_path).folder == folder


@pytest.mark.parametrize("environment", [{}, {"HF_MODEL_ID": "/opt/ml/model"}])
def test_model_source_uses_the_artifact(tmp_path: Path, environment: dict[str, str]) -> None:
    source = model_source(container(HUGGINGFACE if not environment else TEI, "s3://b/k", **environment), tmp_path)
    assert source.artifact_url == "s3://b/k"
    assert source.folder is None


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (container(TEI_GPU, HF_MODEL_ID=MINILM), "is built for GPUs"),
        (container(TEI), "HF_MODEL_ID must be set"),
        (container(TEI, HF_MODEL_ID=MINILM, AUTO_TRUNCATE="1"), "invalid value '1' for '--auto-truncate'"),
        (container(TEI, HF_MODEL_ID="BAAI/bge-m3"), "BAAI/bge-m3 is not on this machine: download it to"),
        (container(TEI, HF_MODEL_ID="../secrets"), "is not a Hugging Face Hub id"),
        (container(TEI, HF_MODEL_ID="a/..b"), "is not a Hugging Face Hub id"),
        (container(TEI, HF_MODEL_ID="/etc"), "is not a Hugging Face Hub id"),
        (container(TEI, HF_MODEL_ID="/opt/ml/model"), "has no ModelDataUrl"),
        (container(HUGGINGFACE, HF_MODEL_ID=MINILM), "HF_TASK is not set"),
        (container(HUGGINGFACE, HF_MODEL_ID=MINILM, HF_TASK="text-generation"), "'text-generation' is not supported"),
        (container(HUGGINGFACE), "no model to serve"),
        (container(DLC.format("pytorch-inference")), "has no server for image"),
        (container(DLC.format("djl-inference")), "has no server for image"),
        (container(DLC.format("huggingface-pytorch-tgi-inference")), "has no server for image"),
        (container(DLC.format("huggingface-pytorch-inference-neuronx")), "has no server for image"),
    ],
)
def test_model_source_rejects_containers_that_would_not_start(
    tmp_path: Path, definition: ContainerDefinition, message: str
) -> None:
    with pytest.raises(LaunchError, match=message):
        model_source(definition, tmp_path)


@pytest.mark.parametrize(
    ("definition", "feature"),
    [
        ({"Image": TEI, "ModelDataSource": {"S3DataSource": {}}}, "uncompressed ModelDataSource"),
        ({"Image": TEI, "Mode": "MultiModel"}, "multi-model"),
        ({"ModelPackageName": "p"}, "model package"),
    ],
)
def test_container_definition_names_unsupported_features(definition: dict[str, object], feature: str) -> None:
    with pytest.raises(NotImplementedError, match=feature):
        ContainerDefinition.from_request(definition)


@pytest.mark.parametrize(
    ("tag", "environment", "url", "is_refused"),
    [
        ("tei1.4.0", {}, None, True),
        ("tei1.4.0", {"HUGGINGFACE_HUB_CACHE": "/tmp/hub"}, None, False),  # noqa: S108
        ("tei1.6.0", {}, None, False),
        ("tei1.9.3", {}, None, False),
        ("tei1.9.3", {}, "s3://b/k", True),
        ("tei1.9.3", {"HUGGINGFACE_HUB_CACHE": "/opt/ml/models"}, None, True),
        ("tei1.9.3", {"HUGGINGFACE_HUB_CACHE": "/tmp/"}, "s3://b/k", False),  # noqa: S108
    ],
)
def test_tei_needs_a_writable_cache_on_serverless(
    tmp_path: Path, tag: str, environment: dict[str, str], url: str | None, *, is_refused: bool
) -> None:
    image = f"683313688378.dkr.ecr.us-east-1.amazonaws.com/tei-cpu:2.0.1-{tag}-cpu-py310-ubuntu22.04"
    definition = container(image, url, HF_MODEL_ID=MINILM, **environment)
    assert model_source(definition, tmp_path).folder is not None  # on an instance, the container may write anywhere
    if is_refused:
        with pytest.raises(LaunchError, match="cannot write to its cache"):
            model_source(definition, tmp_path, is_serverless=True)
    else:
        assert model_source(definition, tmp_path, is_serverless=True).folder is not None


def test_gpu_image_needs_an_instance_with_a_gpu(tmp_path):
    definition = container(TEI_GPU, HF_MODEL_ID=MINILM)
    with pytest.raises(LaunchError, match="built for GPUs"):
        model_source(definition, tmp_path)
    assert model_source(definition, tmp_path, has_gpu=True).folder is not None


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [("ml.g4dn.xlarge", True), ("ml.p5.48xlarge", True), ("ml.c7i.xlarge", False), ("ml.inf2.xlarge", False)],
)
def test_has_gpu_knows_the_instance_families(instance_type, expected):
    assert has_gpu(instance_type) is expected
