"""``make costs``: send traffic to the local stack, and show the plan's price, the report, the budget and advice."""

import needed_packages  # noqa: F401 - exits if packages are missing

# isort: split
import os
from pathlib import Path

import click
from rich.console import Console

from embedstack.costs.attribution import attribute
from embedstack.costs.ledger import open_ledger
from embedstack.factory import load_embedder
from embedstack.settings.settings import load_settings
from embedstack_ops.cli import local
from embedstack_ops.cli.checkout import STATE, applied_settings, local_variables
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.costs import main as costs
from embedstack_ops.cli.target import acting_on_local
from localaws.config import LocalAwsConfig

_CALLERS = {"website": 30, "batch-import": 12, "support-bot": 6}
_TEXTS_PER_CALL = 8
#: The subcommands to show after the traffic, with their arguments.
_SECTIONS = {
    "plan": ("What the plan costs a month", ["--var-file", str(local_variables()), "--usage", "requests=100000"]),
    "report": ("What was spent", ["--period", "today", "--by", "key,model"]),
    "budget": ("What is left of the budget", []),
    "advise": ("What would be cheaper", ["--days", "1"]),
}


@click.command()
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), default=STATE / "costs.sqlite", hidden=True)
@exit_on_error
def main(ledger: Path) -> None:
    """Embed texts of three callers with a ledger, then show costs. Needs the stack of `make up`."""
    console = Console(highlight=False)
    with acting_on_local(local.start_local_aws(LocalAwsConfig.from_environment())):
        os.environ.update(applied_settings())
        os.environ.setdefault("COSTS_LEDGER", str(ledger))
        os.environ.setdefault("AWS_COST_BUDGET_LIMIT", "100")
        _send_traffic(console)
        for name, (title, arguments) in _SECTIONS.items():
            console.rule(f"[bold]{title}[/]", align="left")
            console.print(f"[dim]embedstack costs {' '.join([name, *arguments])}[/]")
            _run(name, arguments)
    console.print("\nTry next: embedstack costs report --by day --plot costs.svg · embedstack costs simulate --help")


def _send_traffic(console: Console) -> None:
    console.rule("[bold]Traffic[/]", align="left")
    settings = load_settings()
    with load_embedder(settings) as embedder:
        for caller, calls in _CALLERS.items():
            with attribute(caller=caller, key=caller):
                for number in range(calls):
                    embedder.embed([f"{caller}: text {number} of part {part}" for part in range(_TEXTS_PER_CALL)])
            console.print(f"  {caller:<14}{calls:>4} calls of {_TEXTS_PER_CALL} texts")
    ledger = open_ledger(settings)
    if ledger is not None:
        ledger.flush()


def _run(name: str, arguments: list[str]) -> None:
    try:
        costs.main([name, *arguments], standalone_mode=False)
    except SystemExit:
        return  # its message has been printed
    except click.ClickException as error:
        error.show()


if __name__ == "__main__":
    main()
