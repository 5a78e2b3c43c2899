"""``make up``: start the local AWS, deploy terraform/ to it, and validate the endpoint."""

import needed_packages  # noqa: F401 - exits if packages are missing

# isort: split
import os
import re
import sys
import time

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from embedstack_ops.cli import local, validate
from embedstack_ops.cli.checkout import STATE, TERRAFORM, apply_locally, deploying, local_variables
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import acting_on_local
from embedstack_ops.terraform.driver import TerraformRoot
from embedstack_ops.validation import Report
from localaws.config import LocalAwsConfig

_COMPLETED = re.compile(r"^(\S+): (?:Creation|Modifications|Destruction) complete after (\w+)", re.MULTILINE)


@click.command()
@exit_on_error
def main() -> None:
    """Deploy an embedding endpoint on this machine and check its vectors."""
    console = Console(highlight=False)
    started = time.perf_counter()
    console.print("[bold]1/3[/] Starting the local AWS")
    config = LocalAwsConfig.from_environment()
    running = local.start_local_aws(config)
    console.print(f"  {running.url}  [dim]process {running.pid}, log {_short(str(running.log_file))}[/]")
    with acting_on_local(running):
        console.print("[bold]2/3[/] Deploying terraform/")
        endpoint = _deploy(console)
        console.print("[bold]3/3[/] Validating the endpoint")
        report = validate.validate_endpoint(console, endpoint)
    console.print(_summary(report, running.url, time.perf_counter() - started, config.clock_speed))
    sys.exit(0 if report.passed else 1)


def _deploy(console: Console) -> str:
    """Deploy the local environment and return the endpoint's name."""
    root = TerraformRoot(TERRAFORM, local_variables())
    with deploying(root):
        root.init(reconfigure=True)
        plan = root.plan(STATE / "terraform.tfplan")
        console.print(f"  {plan.summary}")
        if plan.has_changes:
            for address, seconds in _COMPLETED.findall(apply_locally(root, plan)):
                console.print(f"  [green]✓[/] {address.rpartition('].')[2]}  [dim]{seconds}[/]")
    name: str = root.outputs()["endpoint_names"]["embedding"]
    return name


def _summary(report: Report, url: str, seconds: float, clock_speed: float) -> Panel:
    figures = {check.name: check.figure for check in report.checks}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_row("Endpoint", f"{report.endpoint}  at {url}")
    table.add_row("Model", f"{report.model_id}, {report.dimensions} dimensions")
    table.add_row("Latency", figures.get("latency p50", "not measured"))
    table.add_row("Throughput", figures.get("throughput", "not measured"))
    table.add_row("Checks", f"{report.count('passed')} of {len(report.checks)} passed")
    if clock_speed != 1:
        table.add_row("Time", f"the clock of alarms and autoscaling runs {clock_speed:g} times as fast")
    table.add_row("", "")
    table.add_row("Try next", 'make invoke TEXT="Hello, world"')
    table.add_row("", 'eval "$(make env)"   then any AWS tool (make install-dev installs the AWS CLI):')
    table.add_row("", "aws sagemaker list-endpoints")
    table.add_row("", "make test-endpoint · make plan · make down")
    colour = "green" if report.passed else "red"
    title = f"{'Ready' if report.passed else 'Failed'} after {seconds:.0f} s"
    return Panel(table, title=title, border_style=colour, expand=False)


def _short(path: str) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    main()
