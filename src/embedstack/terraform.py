"""Driving Terraform from Python, and finding its AWS provider where the registry cannot be reached.

python-terraform is from 2019: its ``apply`` waits for an approval that cannot be given, its ``destroy`` passes a flag
that Terraform has dropped, and both add empty variable files. Only its generic ``cmd`` is used, and only here.
"""

import contextlib
import json
import os
import re
import socket
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import python_terraform

from embedstack.errors import ConfigurationError, EmbedStackError

__all__ = ["Plan", "TerraformFailed", "TerraformRoot", "plugin_dir"]

_REGISTRY = "registry.terraform.io"
_PROVIDER = Path(_REGISTRY, "hashicorp", "aws")
_INSTALL = "https://developer.hashicorp.com/terraform/install"
_NO_CHANGES = 0
_CHANGES = 2


class TerraformFailed(EmbedStackError):
    """A Terraform command failed; the message ends with what Terraform said."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan would do.

    Attributes:
        file: The saved plan, to be applied as it is.
        has_changes: Whether it would do anything.
        text: What Terraform printed of it.
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
    """A root module and the variables that it is applied with.

    The environment says which account or local AWS it talks to (``AWS_*``) and which state it keeps (``TF_WORKSPACE``).
    """

    def __init__(self, folder: Path, var_file: Path | None = None) -> None:
        """Name the root; nothing runs yet.

        Args:
            folder: The root module's folder.
            var_file: Its variables; Terraform's own defaults (``terraform.tfvars``) otherwise.
        """
        self.folder = folder.resolve()
        self._var_file = var_file.resolve() if var_file else None
        self._terraform = python_terraform.Terraform(working_dir=str(self.folder))

    def check_version(self) -> str:
        """The installed Terraform's version.

        Raises:
            ConfigurationError: It is missing, or older than the root module requires.
        """
        installed: str = json.loads(self._run("version", json=python_terraform.IsFlagged))["terraform_version"]
        required = re.search(r'required_version\s*=\s*">=\s*([\d.]+)', (self.folder / "versions.tf").read_text())
        if required and _numbers(installed) < _numbers(required[1]):
            raise ConfigurationError(f"Terraform {installed} is too old: {required[1]} is needed. Get it at {_INSTALL}")
        return installed

    def init(self) -> None:
        """Install the provider: from the registry, or from a filesystem mirror where that cannot be reached.

        Raises:
            ConfigurationError: Terraform or the provider is not to be had.
            TerraformFailed: Terraform refuses the configuration.
        """
        self.check_version()
        mirror = None if _registry_answers() else plugin_dir()
        try:
            self._run("init", input=False, no_color=python_terraform.IsFlagged, plugin_dir=mirror)
        except TerraformFailed as error:
            if "query available provider packages" not in str(error) and "Failed to install" not in str(error):
                raise
            raise ConfigurationError(
                f"Terraform's AWS provider is not to be had: {_REGISTRY} cannot be reached, and no usable mirror of it "
                f"lies on this machine. Copy one to {_mirror_roots()[0]} with `terraform providers mirror` on a "
                f"machine that has access.\n{error}"
            ) from error

    def plan(self, file: Path) -> Plan:
        """Compare the configuration with what is there, and save what would be done.

        Raises:
            TerraformFailed: The configuration is refused, or AWS does not answer.
        """
        output = self._run(
            "plan",
            out=str(file.resolve()),
            detailed_exitcode=python_terraform.IsFlagged,
            success=(_NO_CHANGES, _CHANGES),
            **self._options(),
        )
        return Plan(file, self._returncode == _CHANGES, output)

    def apply(self, plan: Plan, *, show_progress: bool = True) -> str:
        """Do what a saved plan says.

        Args:
            plan: The plan.
            show_progress: Let Terraform print as it goes, rather than return what it printed.

        Raises:
            TerraformFailed: AWS refused a change; what was done until then is in the state.
        """
        return self._run(
            "apply", str(plan.file.resolve()), capture_output=not show_progress, input=False, no_color=_no_color()
        )

    def adopt(self, plan: Plan) -> list[str]:
        """Import into the state what a plan would create but what is there already, as after a killed apply.

        Returns:
            The addresses of what was imported.

        Raises:
            TerraformFailed: The plan cannot be read.
        """
        document = json.loads(self._run("show", str(plan.file.resolve()), json=python_terraform.IsFlagged))
        account_id = _account_id(document)
        adopted = []
        for change in document.get("resource_changes", []):
            import_id = _import_id(change["type"], {"account_id": account_id, **(change["change"]["after"] or {})})
            if change["change"]["actions"] == ["create"] and import_id:
                with contextlib.suppress(TerraformFailed):  # it is not there, so the next apply will create it
                    self._run("import", change["address"], import_id, **self._options())
                    adopted.append(change["address"])
        return adopted

    def destroy(self) -> None:
        """Destroy everything in the state without asking, and show Terraform's progress.

        Raises:
            TerraformFailed: AWS refused a change.
        """
        self._run(
            "apply -destroy",
            capture_output=False,
            auto_approve=python_terraform.IsFlagged,
            no_color=_no_color(),
            **self._options(),
        )

    def resources(self) -> list[str]:
        """Addresses of the resources in the state, without data sources."""
        addresses = self._run("state list").splitlines() if self._has_state() else []
        return [address for address in addresses if not re.search(r"(^|\.)data\.", address)]

    def outputs(self) -> dict[str, Any]:
        """The outputs' values by name; empty before the first apply.

        Raises:
            TerraformFailed: The state cannot be read.
        """
        document = json.loads(self._run("output", json=python_terraform.IsFlagged))
        return {name: output["value"] for name, output in document.items()}

    def _has_state(self) -> bool:
        # `state list` fails where there is no state yet; `state pull` prints nothing.
        return bool(self._run("state pull"))

    def _options(self) -> dict[str, Any]:
        return {"input": False, "var_file": str(self._var_file) if self._var_file else None}

    def _run(self, command: str, *arguments: str, success: tuple[int, ...] = (0,), **options: Any) -> str:
        try:
            with warnings.catch_warnings():
                # python-terraform reports a failing command through the logger's deprecated `warn`
                warnings.simplefilter("ignore", DeprecationWarning)
                self._returncode, output, error = self._terraform.cmd(command, *arguments, **options)
        except FileNotFoundError:
            raise ConfigurationError(f"Terraform is not installed, or not on the PATH. Get it at {_INSTALL}") from None
        if self._returncode not in success:
            said = f":\n{_plain(error or output or '')}" if output is not None else "; what it said stands above."
            raise TerraformFailed(f"`terraform {command}` in {self.folder} failed{said}")
        return _plain(output or "")


#: What AWS refuses to create a second time, and the attributes that `terraform import` wants of it, joined by colons.
#: The rest is not here: AWS takes a second creation for an update (alarms, dashboards, scaling policies, topics).
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
    """What `terraform import` wants to know of a planned resource; None where it need not or cannot be imported."""
    parts = _IMPORTED_BY.get(kind, ())
    values = [str(attributes[part]) for part in parts if attributes.get(part)]
    return ":".join(values) if values and len(values) == len(parts) else None


def _account_id(plan: dict[str, Any]) -> str | None:
    """The account that a plan was made for, where the configuration asks who it is."""
    resources = plan.get("prior_state", {}).get("values", {}).get("root_module", {}).get("resources", [])
    found = (each["values"].get("account_id") for each in resources if each["type"] == "aws_caller_identity")
    return next(found, None)


def plugin_dir() -> Path | None:
    """A filesystem mirror on this machine that holds the AWS provider, or None.

    Looks where Terraform itself looks, and into the folders directly under /opt, where images tend to put one.
    """
    return next((root for root in _mirror_roots() if (root / _PROVIDER).is_dir()), None)


def _mirror_roots() -> list[Path]:
    home = Path.home()
    data_home = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    cache = os.environ.get("TF_PLUGIN_CACHE_DIR")
    return [
        home / ".terraform.d/plugins",
        home / "Library/Application Support/io.terraform/plugins",
        data_home / "terraform/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
        *([Path(cache)] if cache else []),
        *sorted(Path("/opt").glob("*")),
    ]


def _registry_answers() -> bool:
    try:
        with socket.create_connection((_REGISTRY, 443), timeout=3):
            return True
    except OSError:
        # Behind a proxy the name need not resolve here; Terraform will know how to get out.
        return "HTTPS_PROXY" in os.environ or "https_proxy" in os.environ


def _no_color() -> Any:
    """The flag against colours where a log and not a person reads what Terraform prints."""
    return None if sys.stdout.isatty() else python_terraform.IsFlagged


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _plain(text: str) -> str:
    """Text without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip()
