"""Plan, apply and destroy the Terraform root, with the provider from the registry or from a mirror on this machine."""

import sys
from pathlib import Path

import click

from embedstack.errors import ConfigurationError
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command_line import STATE, TERRAFORM, deploying, exit_on_error, local_variables
from embedstack_ops.cli.target import LOCAL_WORKSPACE, confirm, current_target, targeted
from embedstack_ops.terraform.driver import Plan, TerraformRoot
from embedstack_ops.validation.post_apply_check import check_rollout

_EXAMPLES = """\b
Examples:
  embedstack deploy plan --var-file terraform/environments/serverless-minilm.tfvars
  embedstack deploy apply --yes
"""

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow")}

_var_file = click.option(
    "--var-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The variables; terraform/terraform.tfvars otherwise, and for the local AWS those it was deployed with.",
)
_yes = click.option("--yes", is_flag=True, help="Do not ask before an account is changed.")


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """Deploy what terraform/ describes, on the local AWS or in the account that the environment names."""


@main.command()
@_var_file
@exit_on_error
@targeted()
def plan(var_file: Path | None) -> None:
    """Show what an apply would do."""
    root = _root(var_file)
    with deploying(root):
        click.echo(_plan(root).text)


@main.command()
@_var_file
@_yes
@exit_on_error
@targeted()
def apply(var_file: Path | None, yes: bool) -> None:
    """Plan, show the plan, apply exactly that, and see whether it is what runs now."""
    root = _root(var_file)
    with deploying(root):
        made = _plan(root)
        click.echo(made.text)
        if made.has_changes:
            confirm("\nApply this plan?", yes=yes)
            root.apply(made)
    sys.exit(0 if _check(root) else 1)


@main.command()
@exit_on_error
@targeted()
def verify() -> None:
    """Compare what runs with what was applied, and send each endpoint one request.

    Exits with 1 when they differ.
    """
    sys.exit(0 if _check(TerraformRoot(TERRAFORM)) else 1)


@main.command("import")
@_var_file
@exit_on_error
@targeted()
def import_resources(var_file: Path | None) -> None:
    """Import what exists but is not in the state, as after an apply that was killed."""
    root = _root(var_file)
    with deploying(root):
        adopted = root.adopt(_plan(root))
    click.echo("\n".join(f"imported {address}" for address in adopted) or "Nothing to import.")


@main.command()
@_var_file
@_yes
@exit_on_error
@targeted()
def destroy(var_file: Path | None, yes: bool) -> None:
    """Destroy everything that was applied."""
    root = _root(var_file)
    with deploying(root):
        _init(root)
        confirm(f"Destroy {', '.join(root.resources()) or 'nothing: the state is empty'}?", yes=yes)
        root.destroy()


def _root(var_file: Path | None) -> TerraformRoot:
    return TerraformRoot(TERRAFORM, var_file or (local_variables() if current_target().is_local else None))


def _init(root: TerraformRoot) -> None:
    is_local = current_target().is_local
    root.init(reconfigure=is_local)
    if not is_local and root.workspace() == LOCAL_WORKSPACE:
        raise ConfigurationError(
            f"Terraform's selected workspace is {LOCAL_WORKSPACE}, whose state is what was deployed on the local AWS. "
            f"Select the account's: terraform -chdir={TERRAFORM} workspace select default"
        )


def _check(root: TerraformRoot) -> bool:
    """Print what SageMaker runs of each endpoint; whether all of it is what was applied."""
    settings = load_settings()
    good = True
    for intended in root.outputs().get("endpoints", {}).values():
        click.secho(intended["name"], bold=True)
        for finding in check_rollout(intended, settings):
            good &= finding.status != "failed"
            mark, colour = _MARKS[finding.status]
            wanted = f"  (wanted: {finding.target})" if finding.status == "failed" else ""
            click.echo(f"  {click.style(mark, fg=colour)} {finding.name:<13} {finding.figure}{wanted}")
    return good


def _plan(root: TerraformRoot) -> Plan:
    _init(root)
    return root.plan(STATE / "terraform.tfplan")
