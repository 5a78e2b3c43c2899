"""``embedstack costs``: prices, the bill of a plan, reports and advice."""

import click

from embedstack_ops.cli.groups import LazyCommand, LazyGroup

__all__ = ["main"]

_COMMANDS = {
    "plan": LazyCommand("costs_plan", "ops", "Price a Terraform plan, by month."),
    "prices": LazyCommand("costs_prices", "ops", "Show, check and refresh the prices."),
    "simulate": LazyCommand("costs_simulate", "ops,simulation", "Simulate endpoints under traffic."),
}


_EPILOG = """\b
Examples:
  embedstack costs prices --region us-east-1 --product sagemaker/hosting
  embedstack costs plan plan.json --usage requests=1000000
"""


@click.command(cls=LazyGroup, subcommands=_COMMANDS, epilog=_EPILOG)
def main() -> None:
    """Know the bill before, during and after: prices, plans, reports and advice."""
