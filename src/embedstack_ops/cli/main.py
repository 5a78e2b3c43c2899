"""The command ``embedstack``. A subcommand's module is imported when it is used."""

import importlib
import sys

import click

__all__ = ["main"]

#: Module of each subcommand, and the line that ``embedstack --help`` shows.
_COMMANDS = {
    "collections": ("collection", "List the collections of the vector store, or delete one."),
    "deploy": ("deploy", "Plan, apply, verify, import and destroy the Terraform root."),
    "ingest": ("ingest", "Store documents from files, folders or S3 as vectors."),
    "invoke": ("invoke", "Embed a text with the deployed endpoint."),
    "local": ("local", "Start, stop and inspect the local AWS."),
    "package-functions": ("package_functions", "Build the Lambda functions' packages."),
    "package-model": ("package_model", "Package a model for the Hugging Face PyTorch container."),
    "redrive": ("redrive", "List, resend or delete the messages of the dead-letter queue."),
    "reindex": ("reindex", "Re-embed a collection with another model."),
    "search": ("search", "Search documents by meaning."),
    "validate": ("validate", "Check an endpoint's state, vectors and speed."),
}

_EPILOG = """\b
Examples:
  embedstack local start
  embedstack invoke "Hello, world"
  embedstack deploy plan --var-file terraform/environments/serverless-minilm.tfvars

Exit codes: 0 success, 1 a check failed, 2 wrong usage, wrong configuration or an AWS error.
"""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        try:
            command: click.Command = importlib.import_module(f"embedstack_ops.cli.{module}").main
        except ModuleNotFoundError as error:
            raise click.ClickException(_missing_package(cmd_name, error)) from error
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])


def _missing_package(command: str, error: ModuleNotFoundError) -> str:
    if error.name is not None and error.name.split(".")[0] == "localaws":
        return (
            f"`embedstack {command}` needs the local AWS, which only a checkout of the repository has: run `make up`."
        )
    return (
        f"`embedstack {command}` needs the package {error.name}, which {sys.executable} does not have: "
        "pip install 'embedstack[ops,server,documents,postgres]'."
    )


@click.command(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="embedstack")
def main() -> None:
    """Text embeddings on Amazon SageMaker: deploy endpoints, call and validate them, and search documents."""


if __name__ == "__main__":
    main()
