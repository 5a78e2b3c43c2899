"""Plan, apply and destroy the Terraform root, with the provider from the registry or from a mirror on this machine."""

import sys
from pathlib import Path

import click

from command_line import STATE, TERRAFORM, exit_on_error
from embedstack.rollout import check_rollout
from embedstack.settings import load_settings
from embedstack.terraform import Plan, TerraformRoot

_EXAMPLES = """\b
Examples:
  python scripts/deploy.py plan --var-file terraform/environments/serverless-minilm.tfvars
  python scripts/deploy.py apply --yes
"""

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow")}

_var_file = click.option(
    "--var-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The variables; terraform/terraform.tfvars otherwise.",
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """Deploy what terraform/ describes; the AWS_* variables say where to."""


@main.command()
@_var_file
@exit_on_error
def plan(var_file: Path | None) -> None:
    """Show what an apply would do."""
    click.echo(_plan(TerraformRoot(TERRAFORM, var_file)).text)


@main.command()
@_var_file
@_yes
@exit_on_error
def apply(var_file: Path | None, yes: bool) -> None:
    """Plan, show the plan, apply exactly that, and see whether it is what runs now."""
    root = TerraformRoot(TERRAFORM, var_file)
    made = _plan(root)
    click.echo(made.text)
    if made.has_changes:
        if not yes:
            click.confirm("\nApply this plan?", abort=True)
        root.apply(made)
    sys.exit(0 if _check(root) else 1)


@main.command()
@exit_on_error
def check() -> None:
    """Compare what runs with what was applied, and send each endpoint one request.

    Exits with 1 when they differ.
    """
    sys.exit(0 if _check(TerraformRoot(TERRAFORM)) else 1)


@main.command()
@_var_file
@exit_on_error
def adopt(var_file: Path | None) -> None:
    """Import what exists but is not in the state, as after an apply that was killed."""
    root = TerraformRoot(TERRAFORM, var_file)
    adopted = root.adopt(_plan(root))
    click.echo("\n".join(f"adopted {address}" for address in adopted) or "Nothing to adopt.")


@main.command()
@_var_file
@_yes
@exit_on_error
def destroy(var_file: Path | None, yes: bool) -> None:
    """Destroy everything that was applied."""
    root = TerraformRoot(TERRAFORM, var_file)
    root.init()
    if not yes:
        click.confirm(f"Destroy {', '.join(root.resources()) or 'nothing: the state is empty'}?", abort=True)
    root.destroy()


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
    root.init()
    STATE.mkdir(exist_ok=True)
    return root.plan(STATE / "terraform.tfplan")


if __name__ == "__main__":
    main()
