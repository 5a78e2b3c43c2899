"""Start, stop and look at the local AWS."""

import shlex
import shutil
import sys

import click

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres
from embedstack_ops.cli.command_line import ROOT, STATE, applied_settings, exit_on_error, remember_local_variables
from embedstack_ops.cli.target import LOCAL_WORKSPACE, acting_on_local, local_environment
from localaws.config import LocalAwsConfig
from localaws.process import daemon

_EXAMPLES = """\b
Examples:
  embedstack local start
  eval "$(embedstack local env)"
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
    for folder in embedded_postgres.running_folders():
        click.echo(
            f"A Postgres that a program of yours started still runs in {folder}. To stop it: "
            f"{shlex.quote(sys.executable)} -m embedstack.stores.embedded_postgres stop {shlex.quote(str(folder))}"
        )


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
    variables = local_environment(running.environment(), LOCAL_WORKSPACE)
    with acting_on_local(running):
        variables |= applied_settings()
    for name, value in variables.items():
        click.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    if shutil.which("aws") is None:
        click.echo(f'export PATH={shlex.quote(str(ROOT / ".venv" / "bin"))}:"$PATH"')


def start_local_aws(config: LocalAwsConfig) -> daemon.RunningLocalAws:
    """Start it, or find the one that runs; a new one knows nothing of what was deployed on the last."""
    if daemon.find(STATE) is None:
        remember_local_variables(None)
    return daemon.start(config, STATE)
