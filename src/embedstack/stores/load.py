"""Opens the configured vector store."""

from typing import TYPE_CHECKING, Any

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import Settings, load_settings
from embedstack.stores import embedded_postgres
from embedstack.stores.base import VectorStore
from embedstack.stores.database_secret import read_database_secret

if TYPE_CHECKING:
    import boto3

__all__ = ["load_store"]


def load_store(
    settings: Settings | None = None, *, session: "boto3.Session | None" = None, **overrides: Any
) -> VectorStore:
    """Open the configured store. Without DATABASE_URL and DATABASE_SECRET_ARN, an embedded Postgres is started.

    Args:
        settings: The settings; defaults to those of the environment and ``.env``.
        session: A custom boto3 session, for S3 Vectors and DATABASE_SECRET_ARN.
        overrides: Settings to override, by name: ``load_store(vector_store="s3vectors")``.

    Returns:
        The store. Close it, or use it in a ``with`` statement.

    Raises:
        ConfigurationError: A setting or a package is missing or wrong.
        StoreUnavailable: The store does not respond.
    """
    settings = settings.model_copy(update=overrides) if settings else load_settings(**overrides)
    if settings.vector_store == "s3vectors":
        return _load_s3vectors(settings, session)
    return _load_postgres(settings, session)


def _load_postgres(settings: Settings, session: "boto3.Session | None") -> VectorStore:
    try:
        from embedstack.stores.pgvector import PgVectorStore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "The Postgres store needs more packages: pip install 'embedstack[postgres]'."
        ) from error
    if settings.database_url is not None:
        return PgVectorStore(settings.database_url.get_secret_value())
    if settings.database_secret_arn is not None:
        return PgVectorStore(read_database_secret(settings.database_secret_arn, settings, session=session))
    return PgVectorStore(embedded_postgres.start(settings.embedstack_postgres_dir).url)


def _load_s3vectors(settings: Settings, session: "boto3.Session | None") -> VectorStore:
    from embedstack.stores.s3vectors import S3VectorsStore  # noqa: PLC0415 - boto3 takes long to import

    if settings.vector_bucket is None:
        raise ConfigurationError("No vector bucket is configured. Set VECTOR_BUCKET in the environment or in .env.")
    return S3VectorsStore(settings.vector_bucket, settings=settings, session=session)
