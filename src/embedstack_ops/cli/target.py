"""The target of a command: the local AWS or an AWS account. Every command decides it here.

``--target``, or TARGET in the environment or on make's command line, is ``local`` or ``aws``. It defaults to the local
AWS if one is running, else to the account of the environment's credentials. A local AWS that has stopped responding is
an error: a command never falls back to an account.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
import click
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import check_account
from embedstack.aws.errors import translate_error
from embedstack.aws.loopback import bypass_proxies, is_loopback
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import Settings, load_settings
from embedstack_ops.cli.checkout import STATE, TERRAFORM, applied_settings
from embedstack_ops.terraform.driver import TerraformRoot

if TYPE_CHECKING:
    from localaws.process.daemon import RunningLocalAws

__all__ = [
    "LOCAL_WORKSPACE",
    "Target",
    "acting_on_local",
    "confirm",
    "current_target",
    "local_environment",
    "targeted",
    "uses_aws",
]

_Command = TypeVar("_Command", bound=Callable[..., None])

#: The Terraform workspace of the local AWS.
LOCAL_WORKSPACE = "local"
#: AWS_* variables that affect neither the address nor the credentials of a request.
_KEPT = (
    "AWS_ALLOWED_REGIONS", "AWS_CA_BUNDLE", "AWS_DEFAULT_OUTPUT", "AWS_MAX_ATTEMPTS", "AWS_PAGER", "AWS_RETRY_MODE",
)  # fmt: skip
_PREFIXES = ("AWS_", "TF_VAR_", "TF_CLI_ARGS", "TF_WORKSPACE")
_AWS_BACKENDS = {"sagemaker", "bedrock"}


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a command.

    Attributes:
        is_local: Whether it is the local AWS.
        description: Printed before the command runs.
        account_id: The AWS account; None for the local AWS, or if AWS did not return it.
    """

    is_local: bool
    description: str
    account_id: str | None


_current: ContextVar[Target] = ContextVar("current_target")


def current_target() -> Target:
    """The target of the running command."""
    return _current.get()


def targeted(only_if: Callable[[Settings, Mapping[str, Any]], bool] = lambda *_: True) -> Callable[[_Command], Any]:
    """Add the option ``--target`` to a command, and set its environment before it runs.

    Args:
        only_if: Whether the command uses AWS, given the settings and its options.
    """

    def decorate(command: _Command) -> Any:
        @click.option(
            "--target",
            type=click.Choice(["local", "aws"]),
            envvar="TARGET",
            help="The local AWS or an AWS account.  [default: local if the local AWS is running, else aws]",
        )
        @functools.wraps(command)
        def wrapped(*arguments: Any, target: str | None, **options: Any) -> None:
            bypass_proxies()
            if target is None and not only_if(load_settings(), options):
                command(*arguments, **options)
                return
            with _chosen(lambda: _choose(target, options.get("region"))) as chosen:
                click.secho(f"Target: {chosen.description}", dim=True, err=True)
                command(*arguments, **options)

        return wrapped

    return decorate


def uses_aws(settings: Settings, options: Mapping[str, Any]) -> bool:
    """Whether the settings and options of a command need AWS to embed, rerank, store or read documents."""
    backends = {options.get("backend") or settings.embedding_backend, *settings.fallback_backends}
    if options.get("rerank"):
        backends |= {settings.reranker_backend, *settings.reranker_fallback_backends}
    is_named = bool(options.get("function") or options.get("queue"))
    reads_s3 = any(source.startswith("s3://") for source in options.get("sources", ()))
    stores = settings.vector_store == "s3vectors" or (
        settings.database_url is None and settings.database_secret_arn is not None
    )
    return bool(backends & _AWS_BACKENDS) or is_named or reads_s3 or stores


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation before changing an AWS account; the local AWS needs none.

    Args:
        question: Describes the change.
        yes: Whether ``--yes`` was passed.

    Raises:
        ConfigurationError: Standard input is not a terminal, so the change cannot be confirmed.
        click.Abort: The change was not confirmed.
    """
    target = current_target()
    if target.is_local or yes:
        return
    if target.account_id is None:
        raise ConfigurationError(f"Nothing is changed: AWS did not return the account. {target.description}")
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"Nothing is changed in AWS account {target.account_id}: standard input is not a terminal, so the change "
            "cannot be confirmed. Pass --yes (make: YES=1), or TARGET=local for the local AWS."
        )
    click.confirm(f"{question} (AWS account {target.account_id})", abort=True)


@contextlib.contextmanager
def acting_on_local(running: "RunningLocalAws") -> Iterator[Target]:
    """Act on a running local AWS, regardless of the environment."""
    with _chosen(lambda: _choose_local(running.environment(), LOCAL_WORKSPACE)) as target:
        yield target


def local_environment(variables: Mapping[str, str], workspace: str) -> dict[str, str | None]:
    """Environment variables with which no AWS tool can reach an account; None means unset.

    They override profiles, endpoints of single services, credentials of every kind and Terraform's variables.

    Args:
        variables: Address, region and credentials of the local AWS.
        workspace: Terraform workspace.
    """
    proxies = dict(os.environ)
    bypass_proxies(proxies)
    removed = {name: None for name in os.environ if name.startswith(_PREFIXES) and name not in _KEPT}
    return {
        **removed,
        **variables,
        # Profiles may set endpoints and credentials, and disable AWS_ENDPOINT_URL.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_EC2_METADATA_DISABLED": "true",
        "TF_WORKSPACE": workspace,
        "NO_PROXY": proxies["NO_PROXY"],
        "no_proxy": proxies["no_proxy"],
    }


@contextlib.contextmanager
def _chosen(choose: Callable[[], Target]) -> Iterator[Target]:
    """Set the environment for the duration of the context."""
    before = dict(os.environ)
    token = None
    try:
        target = choose()
        token = _current.set(target)
        yield target
    finally:
        if token is not None:
            _current.reset(token)
        os.environ.clear()
        os.environ.update(before)


def _choose(name: str | None, region: str | None) -> Target:
    settings = load_settings()
    if name != "aws":
        running = _find_local_aws()
        named = _local_aws_named(settings, must_answer=name is None)
        if named is not None:
            is_own = running is not None and running.url == named["AWS_ENDPOINT_URL"]
            return _choose_local(named, os.environ.get("TF_WORKSPACE") or LOCAL_WORKSPACE, is_own=is_own)
        if running is not None:
            return _choose_local(running.environment(), LOCAL_WORKSPACE)
        if name == "local":
            raise ConfigurationError("TARGET is local, but no local AWS is running. Start it: make up")
        if (STATE / "localaws.json").exists():
            raise ConfigurationError(
                "The local AWS was started but does not respond; see .local/localaws.log. Restart it with `make up`, "
                "or remove it with `make down`. To act on an AWS account, pass TARGET=aws."
            )
    return _choose_account(settings, region)


def _find_local_aws() -> "RunningLocalAws | None":
    try:
        from localaws.process import daemon  # noqa: PLC0415 - only a checkout has the local AWS
    except ModuleNotFoundError:
        return None
    return daemon.find(STATE)


def _local_aws_named(settings: Settings, *, must_answer: bool) -> dict[str, str] | None:
    """Variables of the local AWS at AWS_ENDPOINT_URL; None if another service, or no local address, is named there.

    Raises:
        ConfigurationError: Nothing responds at that address.
    """
    url = (settings.aws_endpoint_url or "").rstrip("/")
    if not is_loopback(url):
        return None
    try:
        from localaws.config import LocalAwsConfig  # noqa: PLC0415 - only a checkout has the local AWS
        from localaws.core.paths import HEALTH_PATH  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    try:
        with urllib3.PoolManager(retries=False) as pool:
            health = pool.request("GET", url + HEALTH_PATH, timeout=5.0).json()
    except urllib3.exceptions.HTTPError:
        if not must_answer:
            return None
        raise ConfigurationError(
            f"Nothing responds at AWS_ENDPOINT_URL ({url}). Start the local AWS with `make up`, or unset "
            "AWS_ENDPOINT_URL."
        ) from None
    except ValueError:
        return None
    if not isinstance(health, dict) or not {"pid", "version", "port"} <= health.keys():
        return None
    region = settings.aws_region or LocalAwsConfig().region
    return {**LocalAwsConfig(region=region).client_environment(urlsplit(url).port or 80), "AWS_ENDPOINT_URL": url}


def _choose_local(variables: Mapping[str, str], workspace: str, *, is_own: bool = True) -> Target:
    """Set the environment for a local AWS: that of this checkout, or another one."""
    backend = TerraformRoot(TERRAFORM).backend()
    if backend is not None:
        raise ConfigurationError(
            f"terraform/ stores its state in the backend {backend}, which the local AWS must not use. Move the file "
            "with the backend block away while you use the local AWS, or pass TARGET=aws."
        )
    for name, value in local_environment(variables, workspace).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    for name, value in applied_settings().items() if is_own else ():
        os.environ.setdefault(name, value)
    return Target(True, f"local AWS at {os.environ['AWS_ENDPOINT_URL']}", None)


def _choose_account(settings: Settings, region: str | None) -> Target:
    # Terraform and the AWS CLI do not read .env, but must act on the same target as the library.
    if settings.aws_endpoint_url is not None:
        os.environ.setdefault("AWS_ENDPOINT_URL", settings.aws_endpoint_url)
    if settings.aws_region is not None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            os.environ.setdefault(name, settings.aws_region)
    account_id = url = problem = None
    session = None
    try:
        session = boto3.Session(region_name=region or settings.aws_region)
        client = session.client(
            "sts", config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
        )
        url = client.meta.endpoint_url
        account_id = client.get_caller_identity()["Account"]
    except (BotoCoreError, ClientError, EOFError, OSError, ValueError) as error:
        problem = str(translate_error(error, "sts"))
    is_here = url is not None and is_loopback(url)
    if os.environ.get("TF_WORKSPACE") == LOCAL_WORKSPACE and not is_here:
        raise ConfigurationError(
            f"TF_WORKSPACE is {LOCAL_WORKSPACE}, the workspace of the local AWS. To act on an AWS account, unset it "
            "and the other variables that `make env` sets."
        )
    if account_id is not None:
        check_account(settings, account_id)
    return Target(False, _describe_account(account_id, session, url if is_here else None, problem), account_id)


def _describe_account(
    account_id: str | None, session: boto3.Session | None, url: str | None, problem: str | None
) -> str:
    parts = [f"AWS account {account_id or 'unknown'} in {(session and session.region_name) or 'no region'}"]
    if os.environ.get("AWS_PROFILE"):
        parts.append(f" (profile {os.environ['AWS_PROFILE']})")
    if url is not None:
        parts.append(f" at {url}, which is this machine and not AWS: unset AWS_ENDPOINT_URL to reach AWS")
    others = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("AWS_ENDPOINT_URL_")]
    if others:
        parts.append(f"; other endpoints: {', '.join(others)}")
    if problem:
        parts.append(f". {problem}")
    return "".join(parts)
