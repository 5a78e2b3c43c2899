"""``embedstack deploy``: the Terraform root, with the provider from the registry or from a mirror on this machine."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from botocore.exceptions import ClientError

from embedstack.aws.clients import create_client
from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.checkout import STATE, TERRAFORM, deploying, local_variables
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import LOCAL_WORKSPACE, confirm, current_target, targeted
from embedstack_ops.terraform.driver import Plan, TerraformFailed, TerraformRoot
from embedstack_ops.terraform.dropped_attributes import dropped_attributes
from embedstack_ops.validation.post_apply_check import check_endpoint

if TYPE_CHECKING:
    from embedstack_ops.validation import Check

_EXAMPLES = """\b
Examples:
  embedstack deploy plan --var-file terraform/environments/serverless-minilm.tfvars
  embedstack deploy apply --yes
"""

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow")}

_var_file = click.option(
    "--var-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Variables file.  [default: terraform/terraform.tfvars; for the local AWS the file it was deployed with]",
)
_replace = click.option(
    "--replace",
    multiple=True,
    metavar="ADDRESS",
    help="Delete a resource and create it again, as terraform apply -replace; may be repeated.",
)
_yes = click.option("--yes", is_flag=True, help="Change an AWS account without asking.")


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """Deploy terraform/ to the local AWS or to an AWS account."""


@main.command()
@_var_file
@_replace
@exit_on_error
@targeted()
def plan(var_file: Path | None, replace: tuple[str, ...]) -> None:
    """Show what `apply` would change."""
    root = _root(var_file)
    with deploying(root):
        click.echo(_plan(root, replace).text)


@main.command()
@_var_file
@_replace
@_yes
@exit_on_error
@targeted()
def apply(var_file: Path | None, replace: tuple[str, ...], yes: bool) -> None:
    """Plan, show the plan, apply it, and verify the result.

    Exits with 1 if the deployed endpoints differ from the configuration.
    """
    root = _root(var_file)
    with deploying(root):
        saved_plan = _plan(root, replace)
        click.echo(saved_plan.text)
        if saved_plan.has_changes:
            recreated = root.recreated_endpoints(saved_plan)
            if recreated:
                click.echo(f"\nRequests to {', '.join(recreated)} fail until each is deleted and created again.")
            confirm("\nApply this plan?", yes=yes)
            _apply(root, saved_plan, recreated)
    sys.exit(0 if _verify(root) else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@exit_on_error
@targeted()
def verify(as_json: bool) -> None:
    """Compare the deployed endpoints with the configuration, and send each a request.

    Exits with 1 if they differ.
    """
    sys.exit(0 if _verify(TerraformRoot(TERRAFORM), as_json=as_json) else 1)


@main.command("import")
@_var_file
@exit_on_error
@targeted()
def import_resources(var_file: Path | None) -> None:
    """Import existing resources that the state lacks, such as those of a killed apply."""
    root = _root(var_file)
    with deploying(root):
        imported = root.import_existing(_plan(root))
    click.echo("\n".join(f"imported {address}" for address in imported) or "Nothing to import.")


@main.command()
@_var_file
@_yes
@exit_on_error
@targeted()
def destroy(var_file: Path | None, yes: bool) -> None:
    """Destroy all resources in the state."""
    root = _root(var_file)
    with deploying(root):
        _init(root)
        confirm(f"Destroy {', '.join(root.resources()) or 'nothing (the state is empty)'}?", yes=yes)
        root.destroy()


def _root(var_file: Path | None) -> TerraformRoot:
    return TerraformRoot(TERRAFORM, var_file or (local_variables() if current_target().is_local else None))


def _init(root: TerraformRoot) -> None:
    is_local = current_target().is_local
    root.init(reconfigure=is_local)
    if not is_local and root.workspace() == LOCAL_WORKSPACE:
        raise ConfigurationError(
            f"The selected Terraform workspace is {LOCAL_WORKSPACE}, which holds the state of the local AWS. "
            f"Select the account's workspace: terraform -chdir={TERRAFORM} workspace select default"
        )


def _verify(root: TerraformRoot, *, as_json: bool = False) -> bool:
    """Print a check per line; whether every endpoint runs as configured."""
    settings = load_settings()
    checks: dict[str, list[Check]] = {}
    for intended in root.outputs().get("endpoints", {}).values():
        name = intended["name"]
        if not as_json:
            click.secho(name, bold=True)
        checks[name] = []
        for check in check_endpoint(intended, settings):
            checks[name].append(check)
            if not as_json:
                mark, colour = _MARKS[check.status]
                expected = f"  (expected: {check.target})" if check.status == "failed" else ""
                click.echo(f"  {click.style(mark, fg=colour)} {check.name:<13} {check.figure}{expected}")
    if as_json:
        click.echo(json.dumps({name: [asdict(check) for check in each] for name, each in checks.items()}, indent=2))
    return all(check.status != "failed" for each in checks.values() for check in each)


def _plan(root: TerraformRoot, replace: Sequence[str] = ()) -> Plan:
    _init(root)
    dropped = dropped_attributes(root.folder, root.var_file, root.command)
    if dropped:
        raise ConfigurationError(
            f"Unknown attributes, which Terraform would drop: {', '.join(map(str, dropped))}. Correct or remove them. "
            f"{TERRAFORM / 'README.md'} lists all attributes."
        )
    return root.plan(STATE / "terraform.tfplan", replace=replace)


def _apply(root: TerraformRoot, saved_plan: Plan, recreated: Sequence[str]) -> None:
    """Apply a plan. Endpoints that it deletes and creates again need two applies.

    The AWS provider does not wait until an endpoint is deleted, and SageMaker rejects a new one of the same name until
    then.
    """
    try:
        root.apply(saved_plan)
    except TerraformFailed:
        if not recreated:
            raise
        sagemaker: Any = create_client("sagemaker", load_settings())
        deleted = [name for name in recreated if _is_being_deleted(sagemaker, name)]
        if not deleted:
            raise  # for another reason
        for name in deleted:
            click.echo(f"Waiting until {name} is deleted.")
            waiter = sagemaker.get_waiter("endpoint_deleted")
            waiter.wait(EndpointName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 900})
        root.apply(root.plan(STATE / "terraform.tfplan"))


def _is_being_deleted(sagemaker: Any, name: str) -> bool:
    try:
        return bool(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Deleting")
    except ClientError as error:
        return error.response["Error"]["Code"] == "ValidationException"  # it does not exist any more
