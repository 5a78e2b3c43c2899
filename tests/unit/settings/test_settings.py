"""An explicit argument beats the environment, which beats .env, which beats the default."""

import re
from pathlib import Path

import pytest

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import Settings, change_settings, load_settings

FORMER_NAMES = ("ST_MODEL_NAME", "ST_MODEL_REVISION", "ST_DEVICE", "ST_BATCH_SIZE")
EXAMPLE = Path(__file__).parents[3] / ".env.example"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"^(\w+)=", EXAMPLE.read_text(), re.MULTILINE):
        monkeypatch.delenv(name, raising=False)
    for name in ("DEFAULT_AWS_REGION", "AWS_DEFAULT_REGION", "SAGEMAKER_ENDPOINT_NAME", *FORMER_NAMES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "embeddings.yaml"
    monkeypatch.setenv("EMBEDSTACK_CONFIG", str(path))
    return path


def test_settings_precedence(monkeypatch, tmp_path):
    assert load_settings().sagemaker_batch_size == 32
    (tmp_path / ".env").write_text("SAGEMAKER_BATCH_SIZE=8\nSAGEMAKER_ENDPOINT=from-file\n")
    assert load_settings().sagemaker_batch_size == 8
    monkeypatch.setenv("SAGEMAKER_BATCH_SIZE", "16")
    assert load_settings().sagemaker_batch_size == 16
    assert load_settings(sagemaker_batch_size=24).sagemaker_batch_size == 24
    assert load_settings().sagemaker_endpoint == "from-file"


@pytest.mark.parametrize("name", ["AWS_REGION", "DEFAULT_AWS_REGION", "AWS_DEFAULT_REGION"])
def test_region_is_read_from_every_alias(monkeypatch, name):
    monkeypatch.setenv(name, "eu-west-1")
    assert load_settings().aws_region == "eu-west-1"
    assert load_settings(aws_region="us-east-2").aws_region == "us-east-2"


@pytest.mark.parametrize("name", ["SAGEMAKER_ENDPOINT", "SAGEMAKER_ENDPOINT_NAME"])
def test_endpoint_is_read_from_both_names(monkeypatch, tmp_path, name):
    (tmp_path / ".env").write_text("SAGEMAKER_ENDPOINT=from-file\n")
    monkeypatch.setenv(name, "from-environment")
    assert load_settings().sagemaker_endpoint == "from-environment"
    assert load_settings(sagemaker_endpoint="explicit").sagemaker_endpoint == "explicit"


ALIASES = [
    ("ST_MODEL_NAME", "EMBEDDING_MODEL", "BAAI/bge-m3"),
    ("ST_MODEL_REVISION", "EMBEDDING_MODEL_REVISION", "main"),
    ("ST_DEVICE", "EMBEDDING_DEVICE", "cuda"),
    ("ST_BATCH_SIZE", "EMBEDDING_LOCAL_BATCH_SIZE", 7),
]


@pytest.mark.parametrize(("alias", "name", "value"), ALIASES)
def test_load_settings_reads_former_names(monkeypatch, tmp_path, file, alias, name, value):
    def loaded(**overrides):
        return getattr(load_settings(**overrides), name.lower())

    file.write_text(f"{alias.lower()}: {value}")
    assert loaded() == value
    (tmp_path / ".env").write_text(f"{name}=5\n")
    assert str(loaded()) == "5"
    monkeypatch.setenv(alias, str(value))
    assert loaded() == value
    monkeypatch.setenv(name, "6")
    assert str(loaded()) == "6"
    assert loaded(**{alias.lower(): value}) == value
    assert getattr(change_settings(load_settings(), **{alias.lower(): value}), name.lower()) == value


def test_empty_assignment_means_unset(tmp_path):
    (tmp_path / ".env").write_text("AWS_ACCOUNT_ID=\nAWS_ENDPOINT_URL=\nSAGEMAKER_ENDPOINT=\n")
    settings = load_settings()
    assert settings.aws_account_id is None
    assert settings.aws_endpoint_url is None
    with pytest.raises(ConfigurationError, match="set SAGEMAKER_ENDPOINT"):
        settings.required_endpoint()


@pytest.mark.parametrize(
    ("name", "value"), [("SAGEMAKER_BATCH_SIZE", "many"), ("SAGEMAKER_BATCH_SIZE", "0"), ("AWS_ACCOUNT_ID", "12")]
)
def test_invalid_value_names_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_env_example_is_valid_and_complete(tmp_path):
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    load_settings()
    assert all(field.upper() in EXAMPLE.read_text() for field in Settings.model_fields)


def test_yaml_file_has_the_lowest_precedence(file, tmp_path, monkeypatch):
    file.write_text("""
        embedding_backend: bedrock
        SAGEMAKER_BATCH_SIZE: 7
        embedding_concurrency: 3
        embedding_truncate: true
        aws_allowed_regions: [eu-west-1, eu-central-1]
        aws_account_id: 012345670123
        sagemaker_endpoint:
        embedding_dimensions: null
    """)
    settings = load_settings(embedding_backend="fake")
    assert settings.embedding_backend == "fake"
    assert settings.sagemaker_batch_size == 7
    assert settings.embedding_truncate
    assert settings.allowed_regions == ("eu-west-1", "eu-central-1")
    assert settings.aws_account_id == "012345670123"
    assert settings.sagemaker_endpoint is None
    assert settings.embedding_dimensions is None
    (tmp_path / ".env").write_text("SAGEMAKER_BATCH_SIZE=8\n")
    assert load_settings().sagemaker_batch_size == 8
    monkeypatch.setenv("EMBEDDING_CONCURRENCY", "4")
    assert load_settings().embedding_concurrency == 4


def test_yaml_file_can_be_an_argument(file, monkeypatch):
    monkeypatch.delenv("EMBEDSTACK_CONFIG")
    file.write_text("embedding_backend: fake")
    assert load_settings().embedding_backend == "sagemaker"
    assert load_settings(embedstack_config=file).embedding_backend == "fake"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("embeding_backend: fake", r"embeddings.yaml: unknown setting embeding_backend. Did you mean embedding_b"),
        ("qqq: 1", r"unknown setting qqq. .env.example lists all settings"),
        ("sagemaker_batch_size: many", r"SAGEMAKER_BATCH_SIZE .in .*embeddings.yaml.: Input should be a valid integer"),
        ("embedding_backend: {name: fake}", "embedding_backend takes one value, not a dict"),
        ("- embedding_backend", "is not a file of settings"),
        ("a: [", "is not YAML"),
        (None, "which cannot be read"),
    ],
)
def test_invalid_yaml_file_is_rejected(file, content, message):
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        load_settings()


def test_empty_yaml_file_sets_nothing(file):
    file.write_text("# nothing yet")
    assert load_settings().embedding_backend == "sagemaker"


def test_unknown_argument_is_rejected(monkeypatch):
    with pytest.raises(ConfigurationError, match=r"unknown setting embedding_bakend. Did you mean embedding_backend"):
        load_settings(embedding_bakend="fake")


def test_change_settings_ignores_the_environment(monkeypatch):
    settings = load_settings(sagemaker_batch_size=5, aws_region="eu-west-1")
    monkeypatch.setenv("SAGEMAKER_BATCH_SIZE", "16")
    monkeypatch.setenv("DEFAULT_AWS_REGION", "us-east-1")
    monkeypatch.setenv("SAGEMAKER_ENDPOINT_NAME", "e")
    changed = change_settings(settings, embedding_concurrency=2)
    assert (changed.sagemaker_batch_size, changed.embedding_concurrency) == (5, 2)
    assert (changed.aws_region, changed.sagemaker_endpoint) == ("eu-west-1", None)
    with pytest.raises(ConfigurationError, match="EMBEDDING_CONCURRENCY"):
        change_settings(settings, embedding_concurrency=0)
    with pytest.raises(ConfigurationError, match="Did you mean embedding_concurrency"):
        change_settings(settings, embeding_concurrency=1)


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ('EMBEDDING_QUERY_PROMPT="query: "', "query: "),
        ("EMBEDDING_QUERY_PROMPT='\"query: \"'", "query: "),
        ("EMBEDDING_QUERY_PROMPT='\"\"'", ""),
        ('EMBEDDING_QUERY_PROMPT="Instruct: find\\nQuery:"', "Instruct: find\nQuery:"),
        ("EMBEDDING_QUERY_PROMPT='\"Instruct: find\\nQuery:\"'", "Instruct: find\nQuery:"),
        # As Terraform writes it: a JSON string in single quotes.
        (
            'EMBEDDING_QUERY_PROMPT=\'"Instruct: Find the team\\\'s \\\\"answer\\\\"\\\\nQuery: "\'',
            'Instruct: Find the team\'s "answer"\nQuery: ',
        ),
        ("EMBEDDING_QUERY_PROMPT=none", "none"),
        ("EMBEDDING_QUERY_PROMPT=", None),
        ('EMBEDDING_QUERY_PROMPT=""', None),
    ],
)
def test_prompt_is_read_from_env_file(tmp_path, line, prompt):
    (tmp_path / ".env").write_text(line)
    settings = load_settings()
    assert settings.embedding_prompts == ({} if prompt is None else {"query": prompt})
    assert change_settings(settings, embedding_truncate=True).embedding_prompts == settings.embedding_prompts


def test_prompt_arguments_and_environment(monkeypatch, file):
    file.write_text("embedding_document_prompt: '\"\"'\nembedding_query_prompt: 'q: '")
    assert load_settings().embedding_prompts == {"query": "q: ", "document": ""}
    given = load_settings(embedding_query_prompt="", embedding_document_prompt="d: ")
    assert given.embedding_prompts == {"query": "", "document": "d: "}
    monkeypatch.setenv("EMBEDDING_QUERY_PROMPT", '""')
    assert load_settings().embedding_prompts == {"query": "", "document": ""}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("EMBEDDING_QUERY_PROMPT", '"open', "must be a JSON string"),
        ("EMBEDDING_DOCUMENT_PROMPT", '"a" b', "must be a JSON string"),
        ("EMBEDDING_MAX_TOKENS", "0", "greater than or equal to 1"),
        ("EMBEDDING_DIMENSIONS", "-3", "greater than or equal to 1"),
        ("EMBEDDING_MODEL", "BAAI/bge m3", "has no spaces"),
    ],
)
def test_model_settings_are_validated(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{name}: .*{message}"):
        load_settings()
