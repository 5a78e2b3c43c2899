"""``embedstack redrive``: list, resend or delete the messages of the pipeline's dead-letter queue."""

import json
from collections import Counter
from fnmatch import fnmatchcase

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embedstack.documents.dead_letter_queue import DeadLetterMessage, DeadLetterQueue
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.checkout import applied_pipeline
from embedstack_ops.cli.command import exit_on_error
from embedstack_ops.cli.target import confirm, targeted

_EXAMPLES = """\b
Examples:
  embedstack redrive
  embedstack redrive --source '*.pdf' --reason encrypted --delete
  embedstack redrive --reason Throttled --resend
"""


@click.command(epilog=_EXAMPLES)
@click.option("--dlq-url", help="URL of the dead-letter queue.  [default: the applied one]")
@click.option("--queue-url", help="URL of the queue that messages are resent to.  [default: the applied one]")
@click.option("--region", help="AWS region.  [default: from the environment]")
@click.option("--source", default="*", show_default=True, help="Only messages whose document key matches this pattern.")
@click.option("--reason", default="", help="Only messages whose reason contains this text; may contain *.")
@click.option("--resend", "action", flag_value="resend", help="Send the messages to the pipeline again.")
@click.option("--delete", "action", flag_value="delete", help="Delete the messages.")
@click.option("--json", "as_json", is_flag=True, help="Print the messages as JSON.")
@click.option("--yes", is_flag=True, help="Delete in an AWS account without asking.")
@exit_on_error
@targeted()
def main(
    dlq_url: str | None,
    queue_url: str | None,
    region: str | None,
    source: str,
    reason: str,
    action: str | None,
    as_json: bool,
    yes: bool,
) -> None:
    """List the documents that could not be ingested, with the reason; resend them once the cause is fixed."""
    if action == "delete":
        confirm("Delete the matching messages?", yes=yes)
    pipeline = applied_pipeline() if not (dlq_url and queue_url) else {}
    dlq = DeadLetterQueue(
        load_settings(aws_region=region), dlq_url or pipeline["dlq_url"], queue_url or pipeline["queue_url"]
    )
    total = 0
    selected = []
    # Each message is handled while it is invisible: of thousands, the first would be visible before the last is read.
    for message in dlq.read():
        total += 1
        if not (message.is_about(source) and fnmatchcase(message.reason, f"*{reason}*")):
            continue
        selected.append(message)
        if action == "resend":
            dlq.resend(message)
        elif action == "delete":
            dlq.delete(message)
    outcome = {"resend": "resent", "delete": "deleted"}.get(action or "", "left in the queue")
    if as_json:
        listed = [
            {"sent": message.sent.isoformat(), "reason": message.reason, "documents": list(message.sources)}
            for message in selected
        ]
        click.echo(json.dumps({"total": total, "outcome": outcome, "messages": listed}, ensure_ascii=False))
        return
    console = Console(highlight=False)
    _print_table(console, selected)
    console.print(f"{len(selected)} of {total} messages {outcome}")


def _print_table(console: Console, messages: list[DeadLetterMessage]) -> None:
    if not messages:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Sent", "Reason", "Document"):
        table.add_column(heading, overflow="fold")
    for message in sorted(messages, key=lambda message: message.sent):
        table.add_row(f"{message.sent:%Y-%m-%d %H:%M}", escape(message.reason), escape(", ".join(message.sources)))
    console.print(table)
    reasons = Counter(message.kind for message in messages)
    kinds = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    console.print(escape(kinds), style="dim")
