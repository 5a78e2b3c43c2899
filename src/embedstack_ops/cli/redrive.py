"""Look into the document pipeline's dead-letter queue, and send letters back."""

from collections import Counter
from fnmatch import fnmatchcase

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embedstack.documents.dead_letters import DeadLetter, DeadLetters
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command_line import applied_pipeline, exit_on_error
from embedstack_ops.cli.target import confirm, targeted

_EXAMPLES = """\b
Examples:
  embedstack redrive
  embedstack redrive --source '*.pdf' --reason encrypted --delete
  embedstack redrive --reason Throttled --send-back
"""


@click.command(epilog=_EXAMPLES)
@click.option("--dlq-url", help="The dead-letter queue; what Terraform applied otherwise.")
@click.option("--queue-url", help="The queue that letters go back to; what Terraform applied otherwise.")
@click.option("--region", help="AWS region; that of the environment otherwise.")
@click.option("--source", default="*", show_default=True, help="Only letters about documents whose key matches.")
@click.option("--reason", default="", help="Only letters with this in their reason; may have * in it.")
@click.option("--send-back", "action", flag_value="send back", help="Send them to the pipeline once more.")
@click.option("--delete", "action", flag_value="delete", help="Give them up for good.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting in an account.")
@exit_on_error
@targeted()
def main(
    dlq_url: str | None,
    queue_url: str | None,
    region: str | None,
    source: str,
    reason: str,
    action: str | None,
    yes: bool,
) -> None:
    """Show what could not be ingested and why; send it back once the cause is repaired."""
    if action == "delete":
        confirm("Delete the matching letters for good?", yes=yes)
    pipeline = applied_pipeline() if not (dlq_url and queue_url) else {}
    letters = DeadLetters(
        load_settings(aws_region=region), dlq_url or pipeline["dlq_url"], queue_url or pipeline["queue_url"]
    )
    found = 0
    chosen = []
    # Each while it is withheld from others: of thousands the first would be back before the last is read.
    for letter in letters.read():
        found += 1
        if not (letter.is_about(source) and fnmatchcase(letter.reason, f"*{reason}*")):
            continue
        chosen.append(letter)
        if action == "send back":
            letters.send_back(letter)
        elif action == "delete":
            letters.delete(letter)
    console = Console(highlight=False)
    _show(console, chosen)
    done = {"send back": "sent back", "delete": "deleted"}.get(action or "", "left in the queue")
    console.print(f"{len(chosen)} of {found} letters {done}")


def _show(console: Console, letters: list[DeadLetter]) -> None:
    if not letters:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("Sent", "Reason", "Document"):
        table.add_column(heading, overflow="fold")
    for letter in sorted(letters, key=lambda letter: letter.sent):
        table.add_row(f"{letter.sent:%Y-%m-%d %H:%M}", escape(letter.reason), escape(", ".join(letter.sources)))
    console.print(table)
    reasons = Counter(letter.kind for letter in letters)
    kinds = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    console.print(escape(kinds), style="dim")
