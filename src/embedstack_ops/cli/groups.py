"""Groups of commands whose modules are imported when they are used."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

__all__ = ["LazyCommand", "LazyGroup"]


class LazyCommand(NamedTuple):
    """A subcommand.

    Attributes:
        module: Its module in this package.
        extras: The extras of the distribution that it needs.
        summary: The line that the group's ``--help`` prints.
    """

    module: str
    extras: str
    summary: str


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when it is used."""

    def __init__(self, *, subcommands: Mapping[str, LazyCommand], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._subcommands = subcommands

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the subcommands."""
        return sorted(self._subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand; None if there is none of this name."""
        if cmd_name not in self._subcommands:
            return None
        try:
            module = importlib.import_module(f"embedstack_ops.cli.{self._subcommands[cmd_name].module}")
        except ModuleNotFoundError as error:
            raise _MissingPackage(self._missing_package(ctx, cmd_name, error)) from error
        command: click.Command = module.main
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the subcommands with their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in sorted(self._subcommands.items())])

    def _missing_package(self, ctx: click.Context, name: str, error: ModuleNotFoundError) -> str:
        command = f"{ctx.command_path} {name}"
        if error.name is not None and error.name.split(".")[0] == "localaws":
            return f"`{command}` needs the local AWS, which comes with a checkout of the repository: make up"
        return (
            f"`{command}` needs the package {error.name}, which is not installed for {sys.executable}: "
            f"pip install 'embedstack[{self._subcommands[name].extras}]'"
        )


class _MissingPackage(click.ClickException):
    exit_code = 2
