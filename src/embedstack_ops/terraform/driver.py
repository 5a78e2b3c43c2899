"""Runs Terraform or OpenTofu, with the AWS provider from the registry or from a filesystem mirror.

The environment variable TF names the program, such as ``tofu``; it defaults to ``terraform``.

python-terraform builds the command lines. This module runs them, because python-terraform does not forward interrupts
and its ``apply`` and ``destroy`` date from Terraform 0.11.
"""

import contextlib
import fcntl
import http.client
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged, Terraform

from embedstack.errors import ConfigurationError, EmbedStackError

__all__ = ["Plan", "TerraformFailed", "TerraformRoot", "plugin_dir"]

_NO_CHANGES = 0
_CHANGES = 2
#: How long a command waits for the state lock, which another machine may hold.
_LOCK_TIMEOUT = "60s"
#: How long an interrupted command may take to finish its changes and save the state.
_INTERRUPT_SECONDS = 300
_LOCK_POLL_SECONDS = 0.1

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Program:
    """The program that runs: Terraform, or OpenTofu, which has the same commands and a registry of its own."""

    command: str

    @property
    def title(self) -> str:
        return "OpenTofu" if self._is_tofu else "Terraform"

    @property
    def install(self) -> str:
        return (
            "https://opentofu.org/docs/intro/install/"
            if self._is_tofu
            else "https://developer.hashicorp.com/terraform/install"
        )

    @property
    def registry(self) -> str:
        return "registry.opentofu.org" if self._is_tofu else "registry.terraform.io"

    @property
    def _is_tofu(self) -> bool:
        return "tofu" in Path(self.command).name


def _program() -> _Program:
    return _Program(os.environ.get("TF") or "terraform")


class TerraformFailed(EmbedStackError):
    """A Terraform command failed; the message ends with Terraform's output."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A saved plan.

    Attributes:
        file: The plan file.
        has_changes: Whether it changes anything.
        text: Terraform's description of it.
    """

    file: Path
    has_changes: bool
    text: str

    @property
    def summary(self) -> str:
        """Terraform's own closing line, such as ``Plan: 6 to add, 0 to change, 0 to destroy``."""
        lines = re.findall(r"^(?:Plan:|No changes\.).*$", self.text, re.MULTILINE)
        return lines[-1] if lines else "Only outputs change."


class TerraformRoot:
    """A root module and its variables.

    The environment determines the program (``TF``), the target (``AWS_*``) and the workspace (``TF_WORKSPACE``).
    """

    def __init__(self, folder: Path, var_file: Path | None = None) -> None:
        """Create the driver; no command runs yet.

        Args:
            folder: Folder of the root module.
            var_file: Variables file; defaults to Terraform's own (``terraform.tfvars``).
        """
        self.folder = folder.resolve()
        self._program = _program()
        # python-terraform reads the state file immediately and fails while another command writes it: name none.
        self._terraform = Terraform(
            working_dir=str(self.folder),
            state="not-read-here.tfstate",
            terraform_bin_path=self._program.command,
        )
        self.var_file = var_file.resolve() if var_file else None
        # Terraform inherits it, so that the lock is held until Terraform ends, even if this process is killed.
        self._lock: tuple[int, ...] = ()

    @property
    def command(self) -> str:
        """The program that runs, such as ``terraform``."""
        return self._program.command

    def check_version(self) -> str:
        """The version of the installed program.

        Raises:
            ConfigurationError: Terraform is missing, too old for the root module, or another program.
        """
        # OpenTofu prints its own version under the same name.
        document = self._json("version")
        installed = document.get("terraform_version")
        if not isinstance(installed, str):
            raise ConfigurationError(_not_terraform(self._program))
        required = re.search(r'required_version\s*=\s*">=\s*([\d.]+)', (self.folder / "versions.tf").read_text())
        if required and _numbers(installed) < _numbers(required[1]):
            raise ConfigurationError(
                f"{self._program.title} {installed} is too old: {required[1]} is needed. Get it at "
                f"{self._program.install}"
            )
        return installed

    @contextlib.contextmanager
    def locked(self, file: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a lock file, so that only one process plans and applies on this machine.

        Terraform locks the state for single commands only: between a plan and its apply, another process could plan
        the same changes.

        Args:
            file: The lock file, created if missing.
            on_wait: Called once before waiting for another process.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _try_lock(descriptor):
                on_wait()
                while not _try_lock(descriptor):
                    time.sleep(_LOCK_POLL_SECONDS)
            self._lock = (descriptor,)
            yield
        finally:
            self._lock = ()
            os.close(descriptor)

    def init(self, *, reconfigure: bool = False) -> None:
        """Install the provider from the registry, or from a filesystem mirror if the registry cannot be reached.

        Args:
            reconfigure: Ignore the previous backend and migrate no state.

        Raises:
            ConfigurationError: Terraform or the provider is not available.
            TerraformFailed: Terraform rejected the configuration.
        """
        self.check_version()
        mirror = plugin_dir()
        # Terraform's own configuration may name a mirror too.
        sources = [None, mirror] if mirror is None or _registry_answers(self._program) else [mirror, None]
        failure: TerraformFailed | None = None
        for source in dict.fromkeys(sources):
            options: dict[str, Any] = {"reconfigure": IsFlagged if reconfigure else None, "plugin_dir": source}
            try:
                self._run("init", input=False, no_color=IsFlagged, **options)
            except TerraformFailed as error:
                if "query available provider packages" not in str(error) and "Failed to install" not in str(error):
                    raise
                failure = failure or error
            else:
                return
        raise ConfigurationError(_no_provider(self._program, mirror) + f"\n{failure}") from failure

    def plan(self, file: Path, *, replace: Sequence[str] = ()) -> Plan:
        """Create and save a plan.

        Args:
            file: Where to save it.
            replace: Addresses of resources to delete and create again.

        Raises:
            TerraformFailed: The configuration is invalid, or AWS cannot be reached.
        """
        output = self._run(
            "plan",
            out=file.resolve(),
            detailed_exitcode=IsFlagged,
            replace=list(replace) or None,
            success=(_NO_CHANGES, _CHANGES),
            **self._options(),
        )
        return Plan(file, self._returncode == _CHANGES, output)

    def apply(self, plan: Plan, *, show_progress: bool = True) -> str:
        """Apply a saved plan.

        Args:
            plan: The plan.
            show_progress: Print Terraform's output while it runs instead of returning it.

        Raises:
            TerraformFailed: AWS rejected a change; the state contains the changes made before.
        """
        return self._run(
            "apply",
            str(plan.file.resolve()),
            show=show_progress,
            input=False,
            lock_timeout=_LOCK_TIMEOUT,
            no_color=_no_color(),
        )

    def show(self, plan: Plan) -> dict[str, Any]:
        """What ``terraform show -json`` prints of a plan.

        Raises:
            TerraformFailed: The plan cannot be read.
        """
        return self._json("show", str(plan.file.resolve()))

    def recreated_endpoints(self, plan: Plan) -> list[str]:
        """Names of the SageMaker endpoints that a plan deletes and creates again.

        Raises:
            TerraformFailed: The plan cannot be read.
        """
        document = self.show(plan)
        changes = [
            resource["change"]
            for resource in document.get("resource_changes", [])
            if resource["type"] == "aws_sagemaker_endpoint"
        ]
        deleted = {change["before"]["name"] for change in changes if "delete" in change["actions"]}
        created = {change["after"]["name"] for change in changes if "create" in change["actions"]}
        return sorted(deleted & created)

    def import_existing(self, plan: Plan) -> list[str]:
        """Import the resources that a plan would create but that exist, such as those of a killed apply.

        Returns:
            The addresses of the imported resources.

        Raises:
            TerraformFailed: The plan cannot be read.
        """
        document = self.show(plan)
        account_id = _account_id(document)
        imported = []
        for change in document.get("resource_changes", []):
            import_id = _import_id(change["type"], {"account_id": account_id, **(change["change"]["after"] or {})})
            if change["change"]["actions"] == ["create"] and import_id:
                with contextlib.suppress(TerraformFailed):  # the resource does not exist; the next apply creates it
                    self._run("import", change["address"], import_id, **self._options())
                    imported.append(change["address"])
        return imported

    def destroy(self) -> None:
        """Destroy everything in the state without confirmation, printing Terraform's output.

        Raises:
            TerraformFailed: AWS rejected a change.
        """
        self._run("apply -destroy", show=True, auto_approve=IsFlagged, no_color=_no_color(), **self._options())

    def resources(self) -> list[str]:
        """Addresses of the resources in the state, without data sources."""
        addresses = self._run("state list").splitlines() if self._has_state() else []
        return [address for address in addresses if not re.search(r"(^|\.)data\.", address)]

    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name; empty before the first apply.

        Raises:
            TerraformFailed: The state cannot be read.
        """
        document = self._json("output")
        return {name: output["value"] for name, output in document.items()}

    def workspace(self) -> str:
        """The current workspace: TF_WORKSPACE, else the selected one, else ``default``."""
        return self._run("workspace show")

    def backend(self) -> str | None:
        """The type of the configured backend; None for a local state file."""
        for file in sorted(self.folder.glob("*.tf")):
            block = re.search(r'^\s*(?:backend\s+"(\w+)"|(cloud))\s*\{', file.read_text(encoding="utf-8"), re.MULTILINE)
            if block:
                return block[1] or block[2]
        return None

    def _has_state(self) -> bool:
        # Without a state, `state list` fails and `state pull` prints nothing.
        return bool(self._run("state pull"))

    def _options(self) -> dict[str, Any]:
        return {"input": False, "lock_timeout": _LOCK_TIMEOUT, "var_file": self.var_file}

    def _json(self, command: str, *arguments: str) -> dict[str, Any]:
        output = self._run(command, *arguments, json=IsFlagged)
        try:
            document = json.loads(output)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ConfigurationError(_not_terraform(self._program))
        return document

    def _run(
        self, command: str, *arguments: str, success: tuple[int, ...] = (0,), show: bool = False, **options: Any
    ) -> str:
        """Run a command and return its output; with ``show``, print it and return nothing."""
        pipe = None if show else subprocess.PIPE
        try:
            # In a new session, Ctrl-C reaches this process only, which forwards it once: after a second signal,
            # Terraform would stop without saving its state.
            process = subprocess.Popen(
                self._terraform.generate_cmd_string(command, *arguments, **options),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
                text=True, encoding="utf-8", errors="replace", start_new_session=True, pass_fds=self._lock,
            )  # fmt: skip
        except FileNotFoundError:
            raise ConfigurationError(
                f"{self._program.command} is not installed, or not on the PATH. Get {self._program.title} at "
                f"{self._program.install}"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"{self._program.title} cannot be run ({shutil.which(self._program.command)}: {error.strerror}). Get "
                f"it at {self._program.install}"
            ) from error
        try:
            output, errors = process.communicate()
        except BaseException:
            _interrupt(process)
            raise
        self._returncode = process.returncode
        if self._returncode not in success:
            text = None if show else _plain(errors or output)
            raise TerraformFailed(_failure(self._program, command, self.folder, text))
        return _plain(output or "")


def _interrupt(process: "subprocess.Popen[str]") -> None:
    """Let Terraform finish its current changes and save its state."""
    _logger.warning("Interrupted. Terraform finishes the changes in progress and saves its state.")
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_INTERRUPT_SECONDS)


def _failure(program: _Program, command: str, folder: Path, text: str | None) -> str:
    failed = f"`{Path(program.command).name} {command.split(maxsplit=1)[0]}` in {folder} failed"
    if text is None:
        return f"{failed}; its message is above."
    if "Error acquiring the state lock" in text:
        return (
            f"{failed}: the state is locked by another {program.title} command, or by one that was killed. Wait "
            f"until the other command ends. If none is running: `{program.command} -chdir={folder} force-unlock ID`, "
            f"with the ID below.\n{text}"
        )
    return f"{failed}:\n{text}"


def _not_terraform(program: _Program) -> str:
    return (
        f"{shutil.which(program.command)} did not print {program.title}'s JSON: it is older than {program.title} 1.9, "
        f"another program, or a wrapper that adds output. Put {program.title} first on the PATH. Get it at "
        f"{program.install}"
    )


def _no_provider(program: _Program, mirror: Path | None) -> str:
    if mirror is None:
        reason = (
            "this machine has no filesystem mirror of it. Create one in "
            f"{_mirror_roots()[0]} with `{program.command} providers mirror` on a machine that has access."
        )
    else:
        reason = f"the mirror {mirror} has no version of it for this configuration and machine."
    return (
        f"The AWS provider of {program.title} is not available: {program.registry} cannot be reached (HTTPS_PROXY is "
        f"used if set), and {reason}"
    )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


#: Resource types that AWS does not create twice, with the attributes that form the id for `terraform import`, joined
#: by colons. Alarms, dashboards, scaling policies and topics are missing: AWS treats a second creation as an update.
_IMPORTED_BY = {
    "aws_budgets_budget": ("account_id", "name"),
    "aws_cloudformation_stack": ("name",),
    "aws_cloudwatch_log_group": ("name",),
    "aws_db_subnet_group": ("name",),
    "aws_iam_role": ("name",),
    "aws_iam_role_policy": ("role", "name"),
    "aws_lambda_function": ("function_name",),
    "aws_lambda_function_url": ("function_name",),
    "aws_rds_cluster": ("cluster_identifier",),
    "aws_rds_cluster_instance": ("identifier",),
    "aws_rds_cluster_parameter_group": ("name",),
    "aws_s3_bucket": ("bucket",),
    "aws_sagemaker_endpoint": ("name",),
    "aws_sagemaker_endpoint_configuration": ("name",),
    "aws_sagemaker_model": ("name",),
}


def _import_id(kind: str, attributes: dict[str, Any]) -> str | None:
    """The import id of a planned resource; None if it need not or cannot be imported."""
    parts = _IMPORTED_BY.get(kind, ())
    values = [str(attributes[part]) for part in parts if attributes.get(part)]
    return ":".join(values) if values and len(values) == len(parts) else None


def _account_id(plan: dict[str, Any]) -> str | None:
    """The account of a plan, if the configuration reads the caller identity."""
    resources = plan.get("prior_state", {}).get("values", {}).get("root_module", {}).get("resources", [])
    accounts = (each["values"].get("account_id") for each in resources if each["type"] == "aws_caller_identity")
    return next(accounts, None)


def plugin_dir() -> Path | None:
    """A filesystem mirror of the AWS provider on this machine, or None.

    Searches Terraform's own locations and the folders directly under /opt, where machine images often keep one.
    """
    provider = Path(_program().registry, "hashicorp", "aws")
    return next((root for root in _mirror_roots() if (root / provider).is_dir()), None)


def _mirror_roots() -> list[Path]:
    home = Path.home()
    data_home = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    cache = os.environ.get("TF_PLUGIN_CACHE_DIR")
    return [
        home / ".terraform.d/plugins",
        home / "Library/Application Support/io.terraform/plugins",
        data_home / "terraform/plugins",
        data_home / "opentofu/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
        *([Path(cache)] if cache else []),
        *sorted(Path("/opt").glob("*")),
    ]


def _registry_answers(program: _Program) -> bool:
    """Whether the registry can be reached, through the proxy if one is set."""
    try:
        # Terraform's own first request to a registry.
        with urllib.request.urlopen(f"https://{program.registry}/.well-known/terraform.json", timeout=3):
            return True
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _no_color() -> Any:
    """The flag that disables colours, unless standard output is a terminal."""
    return None if sys.stdout.isatty() else IsFlagged


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _plain(text: str) -> str:
    """Text without colour codes."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()
