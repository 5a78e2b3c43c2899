"""Configuration: an explicit argument beats the environment, which beats ``.env``, which beats the default."""

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, ValidationError
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
        sagemaker_endpoint: Name of the endpoint.
        sagemaker_batch_size: Texts per request at most. 32 is what Text Embeddings Inference accepts.
        st_batch_size: Texts per pass of a model in this process at most.
        embedstack_models_dir: Folder with models as ``<org>/<name>/``.
        ollama_host: Where Ollama is.
        ollama_model: Ollama's name of the model.
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
    sagemaker_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("sagemaker_endpoint", "sagemaker_endpoint_name")
    )
    sagemaker_batch_size: int = Field(default=32, ge=1)
    st_batch_size: int = Field(default=64, ge=1)
    embedstack_models_dir: Path = Path("models")
    ollama_host: str = "http://127.0.0.1:11434"
    ollama_model: str = "all-minilm"

    @property
    def allowed_regions(self) -> tuple[str, ...]:
        """``aws_allowed_regions``, split."""
        return tuple(pattern.strip() for pattern in self.aws_allowed_regions.split(",") if pattern.strip())

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
