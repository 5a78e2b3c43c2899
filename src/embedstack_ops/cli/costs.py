"""``embedstack costs``: prices, the bill of a plan, reports and advice."""

import click

from embedstack_ops.cli.groups import LazyCommand, LazyGroup

__all__ = ["main"]

_COMMANDS = {
    "advise": LazyCommand("costs_advise", "ops", "Recommend cheaper configurations, with their savings."),
    "budget": LazyCommand("costs_budget", "ops", "Show budgets with spend and forecast, or change a limit."),
    "plan": LazyCommand("costs_plan", "ops", "Price a Terraform plan, by month."),
    "prices": LazyCommand("costs_prices", "ops", "Show, check and refresh the prices."),
    "report": LazyCommand("costs_report", "ops", "Show what was spent, by model, endpoint, key or day."),
    "simulate": LazyCommand("costs_simulate", "ops,simulation", "Simulate endpoints under traffic."),
}


_EPILOG = """\b
Examples:
  embedstack costs prices --region us-east-1 --product sagemaker/hosting
  embedstack costs plan plan.json --usage requests=1000000
  embedstack costs report --by model,day
"""


@click.command(cls=LazyGroup, subcommands=_COMMANDS, epilog=_EPILOG)
def main() -> None:
    """Know the bill before, during and after: prices, plans, reports and advice."""
