"""AWS clients for the configured region and endpoint, with credentials from botocore's default chain."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import getproxies

import boto3
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from embedstack.aws.configuration_errors import check_ca_bundle
from embedstack.aws.errors import is_expired_credentials, translate_error
from embedstack.aws.log_redaction import confidential, make_confidential
from embedstack.aws.loopback import is_loopback
from embedstack.calls.http_responses import response_errors
from embedstack.calls.process_local import Lock, PerProcess, close_inherited_pools
from embedstack.errors import ConfigurationError, EmbedStackError, EndpointUnavailable, NotPicklable

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

_logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

__all__ = ["AwsClient", "aws_response_errors", "check_account", "create_client", "require_account"]

# SageMaker gives a model 60 s to respond; a client with a shorter timeout would miss the response.
_READ_TIMEOUT_SECONDS = 70
_CONNECT_TIMEOUT_SECONDS = 5
_ATTEMPTS = 3


def create_client(
    service: str,
    settings: "Settings",
    *,
    max_connections: int = 10,
    attempts: int = _ATTEMPTS,
    connect_timeout: float = _CONNECT_TIMEOUT_SECONDS,
    read_timeout: float = _READ_TIMEOUT_SECONDS,
    session: boto3.Session | None = None,
) -> Any:
    """A boto3 client for the configured region and endpoint, whose calls are kept out of botocore's DEBUG log.

    Args:
        service: boto3's name of the service.
        settings: Region and address of AWS.
        max_connections: Size of the connection pool: the number of concurrent calls.
        attempts: Attempts of botocore for a request; 1 if the caller retries.
        connect_timeout: Timeout for connecting, in seconds.
        read_timeout: Timeout for each read of the response, in seconds.
        session: A custom session with its own profile or credentials.

    Raises:
        ConfigurationError: No region is set, it is not allowed, or the AWS configuration is not valid.
    """
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=max_connections,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    # This may fetch the credentials of a role.
    with confidential(), _configuration_errors(service):
        session = session or boto3.Session(region_name=settings.aws_region)
        create = partial(
            session.client,
            service,
            # A custom session may have been created without a region.
            region_name=session.region_name or settings.aws_region,
            endpoint_url=_endpoint_url(session, service, settings),
        )
        client = create(config=config)
        if is_loopback(client.meta.endpoint_url) and getproxies():
            # A proxy would connect to its own machine.
            client = create(config=config.merge(Config(proxies={})))
    check_ca_bundle(session, client.meta.endpoint_url)
    make_confidential(client)
    _check_region(client.meta.region_name, settings)
    return client


@contextmanager
def _configuration_errors(service: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, EOFError, OSError, ValueError) as error:
        raise translate_error(error, service) from error


def require_account(settings: "Settings", session: boto3.Session | None = None) -> None:
    """Check that the credentials belong to the account of AWS_ACCOUNT_ID, if it is set.

    If STS does not respond, as in a network without its endpoint, the account is not checked.

    Raises:
        ConfigurationError: They belong to another account.
    """
    if settings.aws_account_id is None:
        return
    try:
        sts = create_client("sts", settings, attempts=1, connect_timeout=2, read_timeout=5, session=session)
        with aws_response_errors("STS"):
            account_id = sts.get_caller_identity()["Account"]
    except (BotoCoreError, ClientError, EmbedStackError) as error:
        _logger.info("The account of the AWS credentials is not verified: STS failed (%s).", type(error).__name__)
        return
    check_account(settings, account_id)


def check_account(settings: "Settings", account_id: str) -> None:
    """Compare the account of the credentials with AWS_ACCOUNT_ID, if it is set.

    Raises:
        ConfigurationError: They belong to another account.
    """
    if settings.aws_account_id not in (None, account_id):
        raise ConfigurationError(
            f"AWS_ACCOUNT_ID is {settings.aws_account_id}, but the credentials belong to account {account_id}. Use "
            "other credentials (AWS_PROFILE), or correct AWS_ACCOUNT_ID."
        )


def _endpoint_url(session: boto3.Session, service: str, settings: "Settings") -> str | None:
    """The configured address; None if botocore finds it in the environment, by the rules of all AWS SDKs.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    service_id = session._session.get_service_model(service).service_id  # noqa: SLF001 - boto3 does not name it
    of_service = f"AWS_ENDPOINT_URL_{service_id.upper().replace(' ', '_')}"
    is_in_environment = settings.aws_endpoint_url == os.environ.get("AWS_ENDPOINT_URL")
    return None if is_in_environment or os.environ.get(of_service) else settings.aws_endpoint_url


def _check_region(region: str, settings: "Settings") -> None:
    allowed = settings.allowed_regions
    if allowed and not any(fnmatch(region, pattern) for pattern in allowed):
        raise ConfigurationError(
            f"AWS_REGION is {region}, but AWS_ALLOWED_REGIONS allows only {', '.join(allowed)}. Change one of them."
        )


def aws_response_errors(source: str = "AWS") -> AbstractContextManager[None]:
    """Translate exceptions that botocore lets through: a response that is truncated or cannot be parsed.

    botocore's own errors pass; :func:`~embedstack.aws.errors.translate_error` is for them.

    Args:
        source: Sender of the response, for the message.
    """
    return response_errors(
        source, passing=(BotoCoreError, ClientError), parser_errors=(ParserError, ResponseParserError)
    )


class AwsClient:
    """A boto3 client for every process, re-created when its credentials have expired and may have been rotated.

    botocore refreshes the credentials of a role, but reads those in a file or a profile only once. A forked child and
    an unpickled copy create a new client with new connections and their own credentials.
    """

    def __init__(
        self,
        service: str,
        settings: "Settings",
        *,
        max_connections: int,
        read_timeout: float | None = None,
        session: boto3.Session | None = None,
    ) -> None:
        """Make the client; see :func:`create_client`."""
        self._read_timeout = read_timeout or _READ_TIMEOUT_SECONDS
        self._service = service
        self._settings = settings.without_secrets()
        self._max_connections = max_connections
        self._session = session
        self._attempts = _ATTEMPTS
        self._lock = Lock()
        self._handle = self._new_handle()
        self._handle.get()

    @property
    def region(self) -> str:
        """Region of the client."""
        return str(self._client.meta.region_name)

    @property
    def endpoint_url(self) -> str:
        """URL of the service: it contains the region, or is that of a local AWS."""
        return str(self._client.meta.endpoint_url)

    def disable_retries(self) -> None:
        """Send every request once from now on, since the caller retries."""
        with self._lock:
            self._attempts = 1
            self._handle = self._new_handle()

    def call(self, operation: Callable[[Any], _Result]) -> _Result:
        """Run an operation; repeat it with new credentials if they have expired.

        Raises:
            ClientError: AWS rejected the request; see :meth:`translate`.
            BotoCoreError: The request failed; see :meth:`translate`.
            EndpointUnavailable, StoreUnavailable, ServiceUnavailable: The connection broke while the response was read.
            IntegrityError: The response cannot be read.
        """
        try:
            with aws_response_errors():
                return self._call(operation)
        except (BotoCoreError, ClientError):
            raise  # some are OSErrors
        except (EndpointUnavailable, EOFError, OSError) as error:
            # Credentials are read with the first request: a token file is missing, or there is no terminal for a code.
            raise self.translate(error) from error

    def _call(self, operation: Callable[[Any], _Result]) -> _Result:
        handle = self._handle
        try:
            return operation(handle.get())
        except ClientError as error:
            if not is_expired_credentials(error):
                raise
        with self._lock:
            if self._handle is handle:
                _forget_credentials(self._session)
                self._handle = self._new_handle()
        return operation(self._client)

    def translate(self, error: Exception, *, resource: str | None = None, **details: str) -> EmbedStackError:
        """An error of botocore as one of this project; see :func:`~embedstack.aws.errors.translate_error`.

        Args:
            error: What :meth:`call` raised.
            resource: The endpoint, queue, key or model that was called, for the message.
            details: Further fields of the service's messages.
        """
        return translate_error(error, self._service, resource=resource, region=self.region, **details)

    @property
    def _client(self) -> Any:
        return self._handle.get()

    def _new_handle(self) -> PerProcess[Any]:
        create = partial(
            create_client,
            self._service,
            self._settings,
            max_connections=self._max_connections,
            attempts=self._attempts,
            read_timeout=self._read_timeout,
            session=self._session,
        )
        return PerProcess(create, discard=_discard_inherited)

    def __getstate__(self) -> dict[str, Any]:
        if self._session is not None:
            raise NotPicklable(
                f"A boto3 session was passed for {self._service}, and its credentials cannot be pickled or copied. "
                "Create the object where it is used, for example with load_embedder(settings, session=session)."
            )
        state = {name: value for name, value in self.__dict__.items() if name != "_handle"}
        # The environment of another process may set another region, which may have an endpoint of the same name.
        return {**state, "_settings": self._settings.model_copy(update={"aws_region": self.region})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._handle = self._new_handle()


def _forget_credentials(session: boto3.Session | None) -> None:
    """Make a custom session read its credentials again: botocore reads those of a file or a profile once."""
    credentials = session.get_credentials() if session is not None else None
    # Those of a role are refreshed by botocore, and those that were passed to the session cannot be read again.
    if session is not None and getattr(credentials, "method", "explicit") != "explicit":
        setattr(session._session, "_credentials", None)  # noqa: B010, SLF001 - botocore has no public way


def _discard_inherited(client: Any) -> None:
    """Prepare a client inherited by a fork for being dropped; its sockets are closed in this process only."""
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    for manager in (getattr(session, "_manager", None), *getattr(session, "_proxy_managers", {}).values()):
        if manager is not None:
            close_inherited_pools(manager)
    # A custom session keeps its credentials, which another thread may have been refreshing.
    credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    refreshing = getattr(credentials, "_refresh_lock", None)
    if refreshing is not None:
        refreshing._at_fork_reinit()  # noqa: SLF001 - how the standard library frees its own locks after a fork
