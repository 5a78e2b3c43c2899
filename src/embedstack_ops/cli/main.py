"""The command ``embedstack``. A subcommand's module is imported when it is used."""

import importlib
import sys
from typing import NamedTuple

import click

__all__ = ["main"]


class _Command(NamedTuple):
    module: str
    extras: str
    summary: str


#: The subcommands, with the extras of this package that each needs and the line that ``embedstack --help`` prints.
_COMMANDS = {
    "collections": _Command("collection", "ops,postgres", "List the collections of the vector store, or delete one."),
    "database": _Command("database", "ops,postgres", "Migrate the Postgres store, or let a role read it."),
    "deploy": _Command("deploy", "ops", "Plan, apply, verify, import and destroy the Terraform root."),
    "golden": _Command("golden", "ops,server", "Compute the vectors that validate compares an endpoint with."),
    "health": _Command("health", "ops", "Check endpoints and Bedrock models, and tell of outages and recoveries."),
    "ingest": _Command("ingest", "ops,documents,postgres", "Store documents from files, folders or S3 as vectors."),
    "invoke": _Command("invoke", "ops", "Embed a text with the deployed endpoint."),
    "local": _Command("local", "ops", "Start, stop and inspect the local AWS."),
    "package-functions": _Command("package_functions", "ops", "Build the packages of the Lambda functions."),
    "package-model": _Command("package_model", "ops,server", "Package a model for the Hugging Face container."),
    "redrive": _Command("redrive", "ops", "List, resend or delete messages of the dead-letter queue."),
    "reindex": _Command("reindex", "ops,documents,postgres", "Re-embed a collection with another model."),
    "search": _Command("search", "ops,postgres", "Search documents by meaning or by keywords."),
    "validate": _Command("validate", "ops", "Check an endpoint's state, vectors and speed."),
}

_EPILOG = """\b
Examples:
  embedstack local start
  embedstack invoke "Hello, world"
  embedstack deploy plan --var-file terraform/environments/serverless-minilm.tfvars

Exit codes: 0 success, 1 a check failed, 2 wrong usage, wrong configuration or an AWS error.
"""


class _MissingPackage(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = importlib.import_module(f"embedstack_ops.cli.{_COMMANDS[cmd_name].module}")
        except ModuleNotFoundError as error:
            raise _MissingPackage(_missing_package(cmd_name, error)) from error
        command: click.Command = module.main
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in sorted(_COMMANDS.items())])


def _missing_package(command: str, error: ModuleNotFoundError) -> str:
    if error.name is not None and error.name.split(".")[0] == "localaws":
        return f"`embedstack {command}` needs the local AWS, which comes with a checkout of the repository: make up"
    return (
        f"`embedstack {command}` needs the package {error.name}, which is not installed for {sys.executable}: "
        f"pip install 'embedstack[{_COMMANDS[command].extras}]'"
    )


@click.command(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="embedstack")
def main() -> None:
    """Text embeddings on Amazon SageMaker: deploy endpoints, call and validate them, and search documents."""
