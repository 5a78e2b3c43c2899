"""The command ``embedstack``. A subcommand's module is imported when it is used."""

import click

from embedstack_ops.cli.groups import LazyCommand, LazyGroup

__all__ = ["main"]

#: The subcommands, with the extras of this package that each needs and the line that ``embedstack --help`` prints.
_COMMANDS = {
    "collections": LazyCommand("collection", "ops,postgres", "List the vector store's collections, or delete one."),
    "costs": LazyCommand("costs", "ops", "Prices, the bill of a plan, reports and advice."),
    "database": LazyCommand("database", "ops,postgres", "Migrate the Postgres store, or let a role read it."),
    "deploy": LazyCommand("deploy", "ops", "Plan, apply, verify, import and destroy the Terraform root."),
    "golden": LazyCommand("golden", "ops,server", "Compute the vectors that validate compares an endpoint with."),
    "health": LazyCommand("health", "ops", "Check endpoints and Bedrock models, and tell of outages and recoveries."),
    "ingest": LazyCommand("ingest", "ops,documents,postgres", "Store documents from files, folders or S3 as vectors."),
    "invoke": LazyCommand("invoke", "ops", "Embed a text with the deployed endpoint."),
    "local": LazyCommand("local", "ops", "Start, stop and inspect the local AWS."),
    "package-functions": LazyCommand("package_functions", "ops", "Build the packages of the Lambda functions."),
    "package-model": LazyCommand("package_model", "ops,server", "Package a model for the Hugging Face container."),
    "redrive": LazyCommand("redrive", "ops", "List, resend or delete messages of the dead-letter queue."),
    "reindex": LazyCommand("reindex", "ops,documents,postgres", "Re-embed a collection with another model."),
    "search": LazyCommand("search", "ops,postgres", "Search documents by meaning or by keywords."),
    "validate": LazyCommand("validate", "ops", "Check an endpoint's state, vectors and speed."),
}

_EPILOG = """\b
Examples:
  embedstack local start
  embedstack invoke "Hello, world"
  embedstack deploy plan --var-file terraform/environments/serverless-minilm.tfvars

Exit codes: 0 success, 1 a check failed, 2 wrong usage, wrong configuration or an AWS error.
"""


@click.command(
    cls=LazyGroup, subcommands=_COMMANDS, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="embedstack")
def main() -> None:
    """Text embeddings on Amazon SageMaker: deploy endpoints, call and validate them, and search documents."""
