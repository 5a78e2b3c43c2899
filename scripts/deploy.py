"""Plan, apply and destroy the Terraform root, with the provider from the registry or from a mirror on this machine."""

from pathlib import Path

import click

from command_line import STATE, TERRAFORM, exit_on_error
from embedstack.terraform import Plan, TerraformRoot

_EXAMPLES = """\b
Examples:
  python scripts/deploy.py plan --var-file terraform/environments/serverless-minilm.tfvars
  python scripts/deploy.py apply --yes
"""

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
    """Plan, show the plan, and apply exactly that."""
    root = TerraformRoot(TERRAFORM, var_file)
    made = _plan(root)
    click.echo(made.text)
    if made.has_changes:
        if not yes:
            click.confirm("\nApply this plan?", abort=True)
        root.apply(made)


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


def _plan(root: TerraformRoot) -> Plan:
    root.init()
    STATE.mkdir(exist_ok=True)
    return root.plan(STATE / "terraform.tfplan")


if __name__ == "__main__":
    main()
