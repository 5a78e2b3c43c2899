"""``embedstack local``: start, stop and inspect the local AWS."""

import json
import shlex
import shutil
import sys

import click

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres
from embedstack_ops.cli.checkout import ROOT, STATE, applied_settings, remember_local_variables
from embedstack_ops.cli.command import exit_on_error
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
    """Run AWS on this machine: SageMaker endpoints that return real vectors, and the services around them."""


@main.command()
@exit_on_error
def start() -> None:
    """Start the local AWS in the background, unless it is running."""
    running = start_local_aws(LocalAwsConfig.from_environment())
    click.echo(f"The local AWS is running at {running.url} (process {running.pid}, log {running.log_file})")


@main.command()
@click.option("--keep", is_flag=True, help="Keep what is deployed on it for the next start. Default: delete it.")
@exit_on_error
def stop(keep: bool) -> None:
    """Stop the local AWS, its model servers and Postgres.

    Everything deployed on it is deleted, also what an earlier stop kept, unless --keep is set. Postgres always keeps
    its data in .local/postgres.
    """
    if embedded_postgres.stop(STATE / "postgres"):
        click.echo("Stopped Postgres; its data stays in .local/postgres.")
    if not keep:
        remember_local_variables(None)
    if not daemon.stop(STATE, keep=keep):
        click.echo("The local AWS was not running.")
    elif keep:
        click.echo("Stopped the local AWS. The next start continues with its state.")
        left_out = daemon.left_out(STATE)
        if left_out:
            click.echo(f"Not kept, because it cannot be written: the state of {', '.join(left_out)}.")
    else:
        click.echo("Stopped the local AWS.")
    for folder in embedded_postgres.running_folders():
        click.echo(
            f"Another program's Postgres is still running in {folder}. Stop it with: "
            f"{shlex.quote(sys.executable)} -m embedstack.stores.embedded_postgres stop {shlex.quote(str(folder))}"
        )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@exit_on_error
def status(as_json: bool) -> None:
    """Print whether the local AWS is running; exit with 1 if it is not."""
    running = daemon.find(STATE)
    if as_json:
        facts = {"url": running.url, "pid": running.pid, "log": str(running.log_file)} if running else {}
        click.echo(json.dumps({"running": running is not None, **facts}))
    else:
        click.echo(f"running at {running.url}, process {running.pid}" if running else "not running; start it: make up")
    sys.exit(0 if running else 1)


@main.command()
@click.argument("name", required=False)
@click.option("--limit", default=100, show_default=True, help="Maximum number of messages.")
@exit_on_error
def queues(name: str | None, limit: int) -> None:
    """Print the SQS queues with their messages' counts, or the messages of the queue NAME as JSON lines.

    Reading changes nothing: no message is received, hidden or counted.
    """
    running = daemon.find(STATE)
    if running is None:
        raise ConfigurationError("The local AWS is not running. Start it: make up")
    if name is not None:
        for message in running.messages(name, limit):
            click.echo(json.dumps(message, ensure_ascii=False))
        return
    for queue in running.queues():
        counts = f"{queue['visible']} visible, {queue['in_flight']} in flight, {queue['delayed']} delayed"
        click.echo(f"{queue['name']}: {counts} (account {queue['account']}, {queue['region']})")


@main.command()
@exit_on_error
def env() -> None:
    """Print shell commands that point AWS tools at the local AWS."""
    running = daemon.find(STATE)
    if running is None:
        raise ConfigurationError("The local AWS is not running. Start it: make up")
    variables = local_environment(running.environment(), LOCAL_WORKSPACE)
    with acting_on_local(running):
        variables |= applied_settings()
    for name, value in variables.items():
        click.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    if shutil.which("aws") is None:
        click.echo(f'export PATH={shlex.quote(str(ROOT / ".venv" / "bin"))}:"$PATH"')


def start_local_aws(config: LocalAwsConfig) -> daemon.RunningLocalAws:
    """Start the local AWS, or return the running one."""
    if daemon.find(STATE) is None and not daemon.has_kept_state(STATE):  # a new one starts without any deployment
        remember_local_variables(None)
    return daemon.start(config, STATE)
