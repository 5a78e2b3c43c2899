"""Configuration: an explicit argument beats the environment, which beats ``.env``, which beats the default."""

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedstack.errors import ConfigurationError

__all__ = ["Settings", "load_settings"]


class Settings(BaseSettings):
    """The settings that the client and the scripts read; ``.env.example`` explains each.

    Attributes:
        aws_region: Region of the endpoint; None leaves it to the AWS configuration files.
        aws_account_id: Account that the endpoint is expected in; None checks nothing.
        aws_endpoint_url: Where AWS is; None is AWS itself.
        aws_allowed_regions: Regions that texts may be sent to, separated by commas, ``eu-*`` for all of a geography;
            empty allows every one.
        embedding_backend: Where vectors come from: ``sagemaker``, ``bedrock``, ``ollama``, ``local``, ``fake`` or the
            name of an entry point.
        embedding_fallbacks: Backends of the same model that take over, separated by commas.
        embedding_dimensions: A shorter length that the model was trained to be cut to; None for its own.
        embedding_truncate: Cut texts that are longer than the model reads instead of refusing them.
        embedding_concurrency: Requests in flight at once.
        embedding_deadline_seconds: How long a call may take; None for ever.
        embedding_requests_per_second: Requests at most; None for any.
        embedding_texts_per_second: Texts at most; None for any.
        embedstack_cache_mb: Memory for vectors that are known already; 0 for no cache.
        embedstack_cache_file: SQLite file behind it; None for none.
        embedstack_cache_key: 32 bytes in base64 that the file is encrypted with.
        embedstack_cache_ttl_seconds: How long a vector is kept; None for ever.
        st_model_name: The model's Hugging Face Hub id, for every backend but Bedrock.
        bedrock_embedding_model_id: Bedrock's id of the embedding model.
        bedrock_model_id: Bedrock's id of the model that generates text, or of an inference profile of it.
        bedrock_max_tokens: Tokens of an answer at most.
        bedrock_temperature: Randomness of an answer, 0 to 1; None leaves it to the model.
        bedrock_timeout: Seconds to wait for an answer.
        sagemaker_endpoint: Name of the endpoint.
        sagemaker_batch_size: Texts per request at most. 32 is what Text Embeddings Inference accepts.
        st_batch_size: Texts per pass of a model in this process at most.
        embedstack_models_dir: Folder with models as ``<org>/<name>/``.
        ollama_host: Where Ollama is.
        ollama_model: Ollama's name of the model.
        vector_store: Where vectors go: ``postgres`` or ``s3vectors``.
        database_url: A Postgres that runs; None starts one on this machine.
        embedstack_postgres_dir: Folder of that one.
        vector_bucket: S3 Vectors' bucket.
    """

    # An empty assignment such as the ones in .env.example means "not set".
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    aws_region: str | None = Field(
        default=None, validation_alias=AliasChoices("aws_region", "default_aws_region", "aws_default_region")
    )
    aws_account_id: str | None = Field(default=None, pattern=r"^\d{12}$")
    aws_endpoint_url: str | None = None
    aws_allowed_regions: str = ""
    embedding_backend: str = "sagemaker"
    embedding_fallbacks: str = ""
    embedding_dimensions: int | None = Field(default=None, ge=1)
    embedding_truncate: bool = False
    embedding_concurrency: int = Field(default=8, ge=1)
    embedding_deadline_seconds: float | None = Field(default=None, gt=0)
    embedding_requests_per_second: float | None = Field(default=None, gt=0)
    embedding_texts_per_second: float | None = Field(default=None, gt=0)
    embedstack_cache_mb: int = Field(default=256, ge=0)
    embedstack_cache_file: Path | None = None
    embedstack_cache_key: SecretStr | None = None
    embedstack_cache_ttl_seconds: float | None = Field(default=None, gt=0)
    st_model_name: str = "sentence-transformers/all-MiniLM-L6-v2"
    bedrock_embedding_model_id: str = "amazon.titan-embed-text-v2:0"
    bedrock_model_id: str | None = None
    bedrock_max_tokens: int = Field(default=2000, ge=1)
    bedrock_temperature: float | None = Field(default=None, ge=0, le=1)
    bedrock_timeout: float = Field(default=30, gt=0)
    sagemaker_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("sagemaker_endpoint", "sagemaker_endpoint_name")
    )
    sagemaker_batch_size: int = Field(default=32, ge=1)
    st_batch_size: int = Field(default=64, ge=1)
    embedstack_models_dir: Path = Path("models")
    ollama_host: str = "http://127.0.0.1:11434"
    ollama_model: str = "all-minilm"
    vector_store: Literal["postgres", "s3vectors"] = "postgres"
    # A secret: it may hold a password.
    database_url: SecretStr | None = None
    embedstack_postgres_dir: Path = Path(".local/postgres")
    vector_bucket: str | None = None

    @property
    def allowed_regions(self) -> tuple[str, ...]:
        """``aws_allowed_regions``, split."""
        return _split(self.aws_allowed_regions)

    @property
    def fallback_backends(self) -> tuple[str, ...]:
        """``embedding_fallbacks``, split."""
        return _split(self.embedding_fallbacks)

    def required_endpoint(self) -> str:
        """The endpoint's name.

        Raises:
            ConfigurationError: None is set.
        """
        if self.sagemaker_endpoint is None:
            raise ConfigurationError(
                "No endpoint is named: set SAGEMAKER_ENDPOINT in the environment or in .env "
                "(`terraform output -raw dotenv` prints the line), or pass its name."
            )
        return self.sagemaker_endpoint


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; an override that is None counts as not given.

    Raises:
        ConfigurationError: A value is not of its type or out of its range; the message names the variable.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}" for problem in error.errors()
        )
        raise ConfigurationError(f"A setting cannot be used. {problems}.") from None
