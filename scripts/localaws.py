"""Start, stop and look at the local AWS."""

import os
import shlex
import shutil
import sys

import click

from command_line import ROOT, STATE, exit_on_error, primary_endpoint, remember_local_variables
from embedstack import embedded_postgres
from embedstack.errors import ConfigurationError
from embedstack.localaws import daemon
from embedstack.localaws.config import LocalAwsConfig

_EXAMPLES = """\b
Examples:
  python scripts/localaws.py start
  eval "$(python scripts/localaws.py env)"
"""


@click.group(epilog=_EXAMPLES)
def main() -> None:
    """AWS on this machine: SageMaker endpoints that answer, and the services around them."""


@main.command()
@exit_on_error
def start() -> None:
    """Start it in the background, or find the one that runs."""
    running = start_local_aws(LocalAwsConfig.from_environment())
    click.echo(f"The local AWS runs at {running.url}, process {running.pid}; its log: {running.log_file}")


@main.command()
@exit_on_error
def stop() -> None:
    """Stop it, every model server and Postgres; what was deployed on it is gone, what Postgres holds stays."""
    if embedded_postgres.stop(STATE / "postgres"):
        click.echo("Postgres is stopped; its data stays in .local/postgres.")
    remember_local_variables(None)
    click.echo("The local AWS is stopped." if daemon.stop(STATE) else "The local AWS was not running.")


@main.command()
@exit_on_error
def status() -> None:
    """Say whether it runs; exits with 1 when it does not."""
    running = daemon.find(STATE)
    click.echo(f"running at {running.url}, process {running.pid}" if running else "not running: make up")
    sys.exit(0 if running else 1)


@main.command()
@exit_on_error
def env() -> None:
    """Print the shell commands that point AWS tools at it."""
    running = daemon.find(STATE)
    if running is None:
        raise ConfigurationError("The local AWS does not run: `make up` starts it.")
    for name, value in environment(running).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if shutil.which("aws") is None:
        click.echo(f'export PATH={shlex.quote(str(ROOT / ".venv" / "bin"))}:"$PATH"')


def start_local_aws(config: LocalAwsConfig) -> daemon.RunningLocalAws:
    """Start it, or find the one that runs; a new one knows nothing of what was deployed on the last."""
    if daemon.find(STATE) is None:
        remember_local_variables(None)
    return daemon.start(config, STATE)


def environment(running: daemon.RunningLocalAws) -> dict[str, str]:
    """The variables that make every AWS tool, and Terraform's state, those of the local AWS."""
    os.environ.update(running.environment(), TF_WORKSPACE="local")
    endpoint = primary_endpoint()
    return {
        **running.environment(),
        "TF_WORKSPACE": "local",
        **({"SAGEMAKER_ENDPOINT": endpoint["name"]} if endpoint else {}),
        **(
            {"SAGEMAKER_INFERENCE_COMPONENT": endpoint["inference_component"]}
            if endpoint.get("inference_component")
            else {}
        ),
    }


if __name__ == "__main__":
    main()
