"""Settings, in order of precedence: explicit arguments, the environment, ``.env``, a YAML file, defaults."""

import json
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from embedstack.errors import ConfigurationError
from embedstack.settings.budget_values import Policy, parse_limit, parse_named_limits, parse_threshold, parse_time_zone
from embedstack.settings.yaml_file import check_env_file, check_names, read_settings_file

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "LocalAwsSettings",
    "Settings",
    "change_settings",
    "load_local_aws_settings",
    "load_settings",
    "parse_prompt",
]

_ENV_FILE = Path(".env")
#: Name of a region, such as us-east-1 or us-gov-west-1.
_REGION = r"^[a-z]{2,}(-[a-z]+)+-\d+$"
_TOPIC_ARN = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$"
#: Names of SageMaker's quotas that the local AWS checks.
_QUOTA_NAME = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+ for endpoint usage|Memory size in MB per serverless endpoint")
_SECRETS = ("costs_ledger", "database_url", "embedstack_cache_key")
#: Texts that are put before others.
_PREFIXES = ("embedding_document_prompt", "embedding_query_prompt", "embedstack_document_context")
#: What the settings say of EMBEDDING_MODEL.
_MODEL_FACTS = (
    "embedding_dimensions", "embedding_document_prompt", "embedding_max_tokens", "embedding_model_revision",
    "embedding_query_prompt",
)  # fmt: skip
_HEALTH_ACTIONS = frozenset({"redeploy", "wake"})
#: Characters of a value that an error quotes, at most.
_QUOTED_CHARACTERS = 80

_AnySettings = TypeVar("_AnySettings", bound="_BaseSettings")


class _BaseSettings(BaseSettings):
    """Sources and types that all settings share."""

    # An empty assignment, as in .env.example, means "not set". A byte order mark is not part of a name.
    model_config = SettingsConfigDict(
        env_file=_ENV_FILE,
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        allow_inf_nan=False,
    )

    embedstack_config: Path | None = None
    aws_region: str | None = Field(
        default=None,
        pattern=_REGION,
        validation_alias=AliasChoices("aws_region", "default_aws_region", "aws_default_region", "sagemaker_region"),
    )
    embedstack_models_dir: Path = Path("models")

    @field_validator("*", mode="before")
    @classmethod
    def _strip(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or not value:
            return value
        if not value.strip():
            raise ValueError("is blank")
        # The trailing space of a prefix separates it from the text.
        return value if info.field_name in _PREFIXES else value.strip()


class Settings(_BaseSettings):
    """Settings of the client and the commands; ``.env.example`` explains each.

    Attributes:
        embedstack_config: YAML file with settings of these names; None for no file.
        aws_region: Region of the endpoint; None leaves it to the AWS configuration files.
        aws_account_id: Expected account of the endpoint; None disables the check.
        aws_endpoint_url: Address of AWS; None for AWS itself.
        aws_allowed_regions: Regions that texts may be sent to, separated by commas, ``eu-*`` for all of a geography;
            empty for all regions.
        embedding_backend: Backend: ``sagemaker``, ``sagemaker-async``, ``bedrock``, ``ollama``, ``local``, ``fake`` or
            the name of an entry point.
        embedding_fallbacks: Fallback backends of the same model, separated by commas.
        embedding_dimensions: A shorter vector length that the model was trained for; None for its full length. For a
            model that is not in the catalogue, its full length, which responses are checked against.
        embedding_max_tokens: Tokens that the model reads of one text; None for the number in the model's folder or in
            the catalogue.
        embedding_query_prompt: Text put before every query; None for the model's own. A value that begins with a double
            quote is a JSON string, so ``""`` is the empty prompt.
        embedding_document_prompt: Text put before every document, written in the same way; None for the model's own.
        embedding_truncate: Truncate texts that are longer than the model reads instead of rejecting them.
        embedding_concurrency: Requests in flight at the same time.
        embedding_deadline_seconds: Deadline of a call in seconds; None for no deadline.
        embedding_timeout_seconds: Timeout of each read of a response in seconds, and longest wait for a response of an
            asynchronous endpoint; None for the backend's default.
        embedding_requests_per_second: Requests per second, at most; None for no limit.
        embedding_texts_per_second: Texts per second, at most; None for no limit.
        embedstack_cache_mb: Memory of the vector cache in MB; 0 for no cache.
        embedstack_cache_file: SQLite file of the cache; None for no file.
        embedstack_cache_key: 32 bytes in base64 that encrypt the file.
        embedstack_cache_kms_key: Id, ARN or alias of a KMS key that wraps the file's key, instead of the former.
        embedstack_cache_ttl_seconds: Age at which a vector expires in seconds; None for never.
        embedding_model: Hugging Face Hub id of the model, for every backend except Bedrock.
        embedding_model_revision: Revision of the model that is served; None if it is not pinned. A collection records
            it and rejects vectors of another one.
        bedrock_embedding_model_id: Bedrock's id of the embedding model.
        reranker_backend: Backend of the reranker: ``sagemaker``, ``bedrock``, ``local`` or ``fake``.
        reranker_fallbacks: Fallback backends of the same reranking model, separated by commas.
        reranker_endpoint: Name of the reranker's endpoint.
        reranker_inference_component: The inference component of that endpoint to call, if it has any.
        reranker_model: Hugging Face Hub id of the reranking model, for every backend except Bedrock.
        reranker_model_revision: Revision of that model; None if it is not pinned.
        reranker_truncate: Truncate pairs of query and text that are longer than the reranking model reads.
        bedrock_rerank_model_id: Bedrock's id of the reranking model.
        bedrock_model_id: Bedrock's id of the model that generates text, or of an inference profile of it.
        bedrock_api_format: ``converse``, or ``claude``, ``llama3`` or ``llama2`` for a model that Converse does not
            support.
        bedrock_max_tokens: Tokens of a response, at most.
        bedrock_temperature: Randomness of a response, 0 to 1; None for the model's default.
        bedrock_timeout: Timeout of a response in seconds.
        sagemaker_endpoint: Name of the endpoint.
        sagemaker_inference_component: The inference component to call, if the endpoint has any, as one that scales to
            zero does.
        sagemaker_serverless_memory_mb: Memory of a serverless endpoint in MB, by which its calls are priced; None reads
            it from SageMaker.
        sagemaker_verify_model: Compare the endpoint's description in SageMaker with the configured model, once, if its
            responses do not name the model.
        sagemaker_batch_size: Texts per request, at most. Text Embeddings Inference accepts 32.
        embedding_device: Device of a model in this process: ``cpu`` for this project's own engine, or a torch device.
        embedding_local_batch_size: Texts per pass of a model in this process, at most.
        embedstack_models_dir: Folder with models as ``<org>/<name>/``.
        ollama_host: Address of Ollama.
        ollama_model: Ollama's name of the model.
        vector_store: ``postgres`` or ``s3vectors``.
        costs_ledger: SQLite file or ``postgresql://…`` in which calls and their costs are added up; None for no ledger.
        cloudwatch_metrics_enabled: Publish metrics of the calls in CloudWatch, once a minute.
        database_url: Address of a Postgres server; None starts one on this machine.
        embedstack_postgres_dir: Folder of that server.
        database_secret_arn: Secret in Secrets Manager that describes a Postgres server, instead of its address.
        database_reader_secret_arn: Secret of the database user that may only read; an ingestion creates the user.
        vector_bucket: Vector bucket of S3 Vectors.
        embedstack_collection: Collection of the documents.
        collection_language: Language of a new collection's texts for keyword search, as an ISO 639-1 code; None for
            several languages.
        embedstack_chunk_tokens: Tokens of a chunk, at most; None for the number that the model reads.
        embedstack_chunk_overlap: Tokens that a chunk repeats from the previous one, at most.
        embedstack_late_chunking: Compute each chunk's vector with the whole document as context.
        embedstack_document_context: Template of the text put before each chunk; None for no text.
        embedstack_ocr: Read images and scanned pages of PDF files with Tesseract.
        ocr_languages: Their languages by Tesseract's names, separated by plus signs.
        embedstack_tokenizer: The served model's ``tokenizer.json``; None uses the one of the model's folder, or of the
            function's package.
        costs_prices_file: Price file that takes precedence over the packaged prices; None for none.
        aws_cost_budget_limit: Budget of a calendar month in US dollars; None for no budget.
        aws_billing_alert_threshold: Percentage of a budget at which an alert is sent.
        costs_budget_policy: What happens to calls of a spent budget: ``warn``, ``limit`` or ``refuse``.
        costs_budget_requests_per_minute: Requests per minute of a spent budget under the policy ``limit``.
        costs_key_budgets: Monthly budgets of keys in US dollars, as a JSON object; ``*`` is for every other key.
        costs_context_budgets: Monthly budgets of contexts, in the same form.
        costs_time_zone: Time zone in which months begin.
        costs_alert_topic_arn: SNS topic for alerts of budgets; None logs them only.
        costs_report_topic_arn: SNS topic that the daily report's function sends to.
        costs_report_endpoints: Endpoints whose instances it reports, separated by commas; empty for all of the region.
        costs_report_tag: Cost allocation tag, as ``Project=alex``, by which it reads Cost Explorer; None leaves it out.
        health_endpoints: Endpoints that the health check probes, separated by commas; empty for SAGEMAKER_ENDPOINT.
        health_rerankers: Endpoints with reranking models that it probes; empty for RERANKER_ENDPOINT.
        health_bedrock_models: Bedrock's ids of the embedding models that it probes, separated by commas.
        health_state: Folder, or ``s3://bucket/prefix``, of the health check's state and history.
        health_topic_arn: SNS topic that is told of outages and recoveries; None for none.
        health_metrics: Send the figures of the health check to CloudWatch.
        health_monitor: Name of this monitor, dimension of its CloudWatch metric UnhealthyTargets.
        health_latency_ms: Target of the median duration of a probe of five short texts, in milliseconds.
        health_timeout_seconds: Timeout of a probe in seconds.
        health_actions: Recovery actions, separated by commas: ``wake`` wakes up an endpoint that is scaled to zero,
            ``redeploy`` deploys the last good configuration during an outage; empty for none.
        health_actions_per_hour: Recovery actions of a target in an hour, at most.
    """

    aws_account_id: str | None = Field(default=None, pattern=r"^\d{12}$")
    aws_endpoint_url: str | None = None
    aws_allowed_regions: str = ""
    embedding_backend: str = "sagemaker"
    embedding_fallbacks: str = ""
    embedding_dimensions: int | None = Field(default=None, ge=1)
    embedding_max_tokens: int | None = Field(default=None, ge=1)
    embedding_query_prompt: str | None = None
    embedding_document_prompt: str | None = None
    embedding_truncate: bool = False
    embedding_concurrency: int = Field(default=16, ge=1)
    embedding_deadline_seconds: float | None = Field(default=None, gt=0)
    embedding_timeout_seconds: float | None = Field(default=None, gt=0)
    embedding_requests_per_second: float | None = Field(default=None, gt=0)
    embedding_texts_per_second: float | None = Field(default=None, gt=0)
    embedstack_cache_mb: int = Field(default=256, ge=0)
    embedstack_cache_file: Path | None = None
    embedstack_cache_key: SecretStr | None = None
    embedstack_cache_kms_key: str | None = None
    embedstack_cache_ttl_seconds: float | None = Field(default=None, gt=0)
    embedding_model: str = Field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        validation_alias=AliasChoices("embedding_model", "st_model_name"),
    )
    embedding_model_revision: str | None = Field(
        default=None, validation_alias=AliasChoices("embedding_model_revision", "st_model_revision")
    )
    bedrock_embedding_model_id: str = "amazon.titan-embed-text-v2:0"
    reranker_backend: str = "sagemaker"
    reranker_fallbacks: str = ""
    reranker_endpoint: str | None = None
    reranker_inference_component: str | None = None
    reranker_model: str | None = None
    reranker_model_revision: str | None = None
    reranker_truncate: bool = False
    bedrock_rerank_model_id: str = "cohere.rerank-v3-5:0"
    bedrock_model_id: str | None = None
    bedrock_api_format: Literal["converse", "claude", "llama3", "llama2"] = "converse"
    bedrock_max_tokens: int = Field(default=2000, ge=1)
    bedrock_temperature: float | None = Field(default=None, ge=0, le=1)
    bedrock_timeout: float = Field(default=30, gt=0)
    sagemaker_endpoint: str | None = Field(
        default=None, validation_alias=AliasChoices("sagemaker_endpoint", "sagemaker_endpoint_name")
    )
    sagemaker_inference_component: str | None = None
    sagemaker_serverless_memory_mb: int | None = Field(default=None, ge=1024, le=6144)
    sagemaker_verify_model: bool = True
    sagemaker_batch_size: int = Field(default=32, ge=1)
    embedding_device: str = Field(default="cpu", validation_alias=AliasChoices("embedding_device", "st_device"))
    embedding_local_batch_size: int = Field(
        default=64, ge=1, validation_alias=AliasChoices("embedding_local_batch_size", "st_batch_size")
    )
    ollama_host: str = "http://127.0.0.1:11434"
    ollama_model: str = "all-minilm"
    vector_store: Literal["postgres", "s3vectors"] = "postgres"
    # A secret, since it may contain a password.
    costs_ledger: SecretStr | None = None
    cloudwatch_metrics_enabled: bool = False
    database_url: SecretStr | None = None
    embedstack_postgres_dir: Path = Path(".local/postgres")
    database_secret_arn: str | None = None
    database_reader_secret_arn: str | None = None
    vector_bucket: str | None = None
    embedstack_collection: str = "documents"
    collection_language: str | None = "en"
    embedstack_chunk_tokens: int | None = Field(default=None, ge=1)
    embedstack_chunk_overlap: int = Field(default=0, ge=0)
    embedstack_late_chunking: bool = False
    embedstack_document_context: str | None = None
    embedstack_ocr: bool = False
    ocr_languages: str = Field(default="eng", pattern=r"^[A-Za-z0-9_/]+(\+[A-Za-z0-9_/]+)*$")
    embedstack_tokenizer: Path | None = None
    costs_prices_file: Path | None = None
    aws_cost_budget_limit: Decimal | None = None
    aws_billing_alert_threshold: Decimal = Decimal(80)
    costs_budget_policy: Policy = "refuse"
    costs_budget_requests_per_minute: float = Field(default=10, gt=0)
    costs_key_budgets: str | None = None
    costs_context_budgets: str | None = None
    costs_time_zone: str = "UTC"
    costs_alert_topic_arn: str | None = Field(default=None, pattern=_TOPIC_ARN)
    costs_report_topic_arn: str | None = Field(default=None, pattern=_TOPIC_ARN)
    costs_report_endpoints: str = ""
    costs_report_tag: str | None = Field(default=None, pattern=r"^[^=]+=.+$")
    health_endpoints: str = ""
    health_rerankers: str = ""
    health_bedrock_models: str = ""
    health_state: str = ".local/health"
    health_topic_arn: str | None = Field(
        default=None, pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$"
    )
    health_metrics: bool = False
    health_monitor: str = Field(default="embedstack", pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    health_latency_ms: float = Field(default=1000, gt=0)
    health_timeout_seconds: float = Field(default=30, gt=0)
    health_actions: str = ""
    health_actions_per_hour: int = Field(default=3, ge=1)

    @field_validator("aws_endpoint_url", "ollama_host")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("Write an address such as http://127.0.0.1:4580")
        return value

    @field_validator("embedding_query_prompt", "embedding_document_prompt")
    @classmethod
    def _check_prompt(cls, value: str | None) -> str | None:
        if value is not None:
            parse_prompt(value)
        return value

    @field_validator("aws_cost_budget_limit", mode="before")
    @classmethod
    def _check_budget(cls, value: Any) -> Any:
        return None if value in (None, "") else parse_limit(value)

    @field_validator("aws_billing_alert_threshold", mode="before")
    @classmethod
    def _check_threshold(cls, value: Any) -> Decimal:
        return parse_threshold(value)

    @field_validator("costs_key_budgets", "costs_context_budgets")
    @classmethod
    def _check_named_budgets(cls, value: str | None) -> str | None:
        parse_named_limits(value or "{}")
        return value

    @field_validator("costs_time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        parse_time_zone(value)
        return value

    @field_validator("collection_language")
    @classmethod
    def _check_language(cls, value: str | None) -> str | None:
        if value in (None, "none"):
            return None
        if not re.fullmatch("[a-z]{2}", value):
            raise ValueError("Write an ISO 639-1 code such as en or de, or none for several languages")
        return value

    @field_validator("health_actions")
    @classmethod
    def _check_actions(cls, value: str) -> str:
        unknown = sorted(set(_split(value)) - _HEALTH_ACTIONS)
        if unknown:
            raise ValueError(f"Unknown recovery action {unknown[0]!r}. Actions: {', '.join(sorted(_HEALTH_ACTIONS))}")
        return value

    @field_validator("embedding_model")
    @classmethod
    def _check_model_id(cls, value: str) -> str:
        if len(value.split()) != 1:
            raise ValueError("A model id has no spaces; write one such as intfloat/multilingual-e5-small")
        return value

    @property
    def embedding_prompts(self) -> dict[str, str]:
        """The configured prompts by kind of text: ``query``, ``document``."""
        values = {"query": self.embedding_query_prompt, "document": self.embedding_document_prompt}
        return {kind: parse_prompt(value) for kind, value in values.items() if value is not None}

    @property
    def allowed_regions(self) -> tuple[str, ...]:
        """``aws_allowed_regions``, split."""
        return _split(self.aws_allowed_regions)

    @property
    def fallback_backends(self) -> tuple[str, ...]:
        """``embedding_fallbacks``, split."""
        return _split(self.embedding_fallbacks)

    @property
    def reranker_fallback_backends(self) -> tuple[str, ...]:
        """``reranker_fallbacks``, split."""
        return _split(self.reranker_fallbacks)

    @property
    def health_targets(self) -> "dict[Literal['endpoint', 'reranker', 'bedrock'], tuple[str, ...]]":
        """The names of what the health check probes, by kind."""
        return {
            "endpoint": _split(self.health_endpoints) or _split(self.sagemaker_endpoint or ""),
            "reranker": _split(self.health_rerankers) or _split(self.reranker_endpoint or ""),
            "bedrock": _split(self.health_bedrock_models),
        }

    @property
    def recovery_actions(self) -> frozenset[str]:
        """``health_actions``, split."""
        return frozenset(_split(self.health_actions))

    @property
    def has_reranker(self) -> bool:
        """Whether a reranker is configured."""
        return self.reranker_backend != "sagemaker" or self.reranker_endpoint is not None

    def with_model(self, model_id: str | None) -> Self:
        """A copy for another model, without the facts of the configured one.

        Args:
            model_id: Hub id of the model; None for the configured one.
        """
        if model_id in (None, self.embedding_model):
            return self
        return self.model_copy(update={"embedding_model": model_id, **dict.fromkeys(_MODEL_FACTS)})

    def without_secrets(self) -> Self:
        """A copy without passwords and keys, for objects that may be pickled."""
        secrets = {name: None for name in type(self).model_fields if isinstance(getattr(self, name), SecretStr)}
        return self.model_copy(update=secrets)

    def component_of(self, endpoint: str | None) -> str | None:
        """The configured inference component for calls to an endpoint; None if it belongs to another endpoint.

        Args:
            endpoint: The endpoint that is called; None for the configured one.
        """
        return self.sagemaker_inference_component if endpoint in (None, self.sagemaker_endpoint) else None

    def required_endpoint(self) -> str:
        """The endpoint's name.

        Raises:
            ConfigurationError: No endpoint is set.
        """
        if self.sagemaker_endpoint is None:
            raise ConfigurationError(
                "No endpoint is configured: set SAGEMAKER_ENDPOINT in the environment or in .env "
                "(`terraform output -raw dotenv` prints the line), or pass its name."
            )
        return self.sagemaker_endpoint

    def required_reranker_endpoint(self) -> str:
        """The name of the reranker's endpoint.

        Raises:
            ConfigurationError: No endpoint is set.
        """
        if self.reranker_endpoint is None:
            raise ConfigurationError(
                "No reranker is configured: set RERANKER_ENDPOINT in the environment or in .env (`terraform output "
                "-raw dotenv` prints the line), pass its name, or set RERANKER_BACKEND."
            )
        return self.reranker_endpoint


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


class LocalAwsSettings(_BaseSettings):
    """Settings that the local AWS reads when it starts; ``.env.example`` explains each.

    Attributes:
        embedstack_config: YAML file with settings of these names; None for no file.
        aws_region: Default region of clients; None for the default of the local AWS.
        embedstack_models_dir: Folder with models as ``<org>/<name>/``.
        localaws_port: TCP port on 127.0.0.1; 0 for any free port.
        localaws_idle_seconds: Idle time after which a serverless container stops, in seconds.
        localaws_function_processes: Concurrent processes of Lambda functions, at most.
        localaws_clock_speed: Speed of metrics, alarms and schedules, as a multiple of real time.
        localaws_check_answers: Whether every response is validated against the service's model.
        localaws_quotas: Service quotas of SageMaker by AWS's name, as a JSON object; None for no limits.
        localaws_cost_delay_seconds: Time after which usage appears in Cost Explorer and Budgets, in seconds.
        localaws_refuse_gpu_instances: Whether endpoints on GPU instance types are refused instead of served on the CPU.
    """

    # The default folder may be missing; a configured one must exist.
    embedstack_models_dir: Path = Field(default=Path("models"), validate_default=False)
    localaws_port: int = Field(default=4580, ge=0, le=65535)
    localaws_idle_seconds: float = Field(default=300, gt=0)
    localaws_function_processes: int = Field(default=10, ge=1)
    localaws_clock_speed: float = Field(default=1, gt=0)
    localaws_check_answers: bool = False
    localaws_quotas: str | None = None
    localaws_cost_delay_seconds: float = Field(default=0, ge=0)
    localaws_refuse_gpu_instances: bool = False

    @field_validator("localaws_quotas")
    @classmethod
    def _check_quotas(cls, value: str | None) -> str | None:
        try:
            quotas = json.loads(value or "{}")
        except (ValueError, RecursionError) as error:
            raise ValueError("It is not a JSON object of quotas by name") from error
        if not isinstance(quotas, dict) or any(type(limit) is not int or limit < 0 for limit in quotas.values()):
            raise ValueError("It is not a JSON object whose values are whole numbers of at least 0")
        if unknown := [name for name in quotas if not _QUOTA_NAME.fullmatch(name)]:
            raise ValueError(
                f"{unknown[0][:80]!r} is not a quota that the local AWS checks. Use names such as 'ml.g5.xlarge for "
                "endpoint usage', or 'Memory size in MB per serverless endpoint'"
            )
        return value

    @field_validator("embedstack_models_dir")
    @classmethod
    def _check_folder(cls, value: Path) -> Path:
        if not value.is_dir():
            raise ValueError("The folder does not exist" if not value.exists() else "It is not a folder")
        return value


def parse_prompt(value: str) -> str:
    r"""The prompt that a setting contains.

    A value in double quotes is a JSON string, so that ``""`` is the empty prompt and ``\n`` a line break. Every other
    value is the prompt itself.

    Raises:
        ValueError: It begins with a double quote, but is not a JSON string.
    """
    if not value.startswith('"'):
        return value
    try:
        # What begins with a quote is a string or no JSON.
        return str(json.loads(value))
    except ValueError:
        raise ValueError(
            'A prompt that begins with a double quote must be a JSON string; "" is the empty prompt'
        ) from None


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. An override that is None is ignored.

    Raises:
        ConfigurationError: A setting is unknown, or a value has the wrong type or is out of range; the message names
            the variable.
    """
    overrides = _by_field(Settings, overrides)
    check_names(overrides, Settings.model_fields, "An argument")
    return _load(Settings, {name: value for name, value in overrides.items() if value is not None})


def load_local_aws_settings() -> LocalAwsSettings:
    """Read the settings of the local AWS from the same sources.

    Raises:
        ConfigurationError: As :func:`load_settings`.
    """
    return _load(LocalAwsSettings, {})


def change_settings(settings: Settings, **overrides: Any) -> Settings:
    """Copy settings with some changes, without reading the environment.

    Raises:
        ConfigurationError: As :func:`load_settings`.
    """
    overrides = _by_field(Settings, overrides)
    check_names(overrides, Settings.model_fields, "An argument")
    return _validated(Settings, {**settings.model_dump(), **overrides})


def _load(kind: type[_AnySettings], given: dict[str, Any]) -> _AnySettings:
    settings = _validated(kind, given)
    if settings.embedstack_config is None:
        return settings
    file = settings.embedstack_config
    # One file contains the settings of both.
    names = {name for one in (Settings, LocalAwsSettings) for name in (*one.model_fields, *_aliases(one))}
    values = _by_field(kind, read_settings_file(file, names))
    missing = {
        name: value
        for name, value in values.items()
        if name in kind.model_fields and name not in settings.model_fields_set
    }
    return _validated(kind, {**missing, **given}, file=file, of_file=missing)


def _aliases(kind: type[BaseSettings]) -> dict[str, str]:
    """The fields that have other names, by these names."""
    return {
        str(alias): name
        for name, field in kind.model_fields.items()
        if isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices
        if alias != name
    }


def _by_field(kind: type[BaseSettings], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of their fields, of which each may have several names."""
    aliases = _aliases(kind)
    return {aliases.get(name, name): value for name, value in values.items()}


def _validated(
    kind: type[_AnySettings], values: dict[str, Any], *, file: Path | None = None, of_file: Collection[str] = ()
) -> _AnySettings:
    check_env_file(_ENV_FILE)
    try:
        return kind(**values)
    except ValidationError as error:
        problems = "; ".join(_describe(problem, file, of_file) for problem in error.errors())
        raise ConfigurationError(
            f"A setting is not valid. {problems}. Correct it, or leave it empty for the default; .env.example "
            "explains each setting."
        ) from None


def _describe(problem: "ErrorDetails", file: Path | None, of_file: Collection[str]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    where = f" (in {file})" if name in of_file else ""
    message = problem["msg"].removeprefix("Value error, ")
    if name in _SECRETS:
        return f"{name.upper()}{where}: {message}"
    # An address may contain a password.
    value = re.sub(r"//[^/@]*@", "//…@", str(problem["input"]))
    quoted = value if len(value) <= _QUOTED_CHARACTERS else f"{value[:_QUOTED_CHARACTERS]}…"
    return f"{name.upper()}{where}: {message}; it is {quoted!r}"
