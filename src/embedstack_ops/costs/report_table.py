"""The cost report in a terminal."""

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from embedstack.costs.report import CostReport
from embedstack.costs.report_text import report_notes, usd

__all__ = ["print_report"]

_BAR_WIDTH = 20
_COLOURS = {"agrees": "green", "differs": "red", "incomplete": "dim", "too early": "dim"}


def print_report(console: Console, report: CostReport) -> None:
    """Print the total, the calls, the instances, AWS's figures and the notes."""
    days = report.period.dates
    when = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    head = Text.assemble(
        (usd(report.total, is_estimate=report.is_estimate), "bold"),
        f"   {when} UTC, {report.region}",
        (f"   idle {usd(report.idle)}" if report.idle else "", "yellow"),
    )
    parts: list[RenderableType] = [Panel(head, title="Costs", title_align="left", expand=False)]
    if report.rows:
        parts.append(_calls(report))
    if report.instances:
        parts.append(_instances(report))
    if len(report.daily) > 1:
        parts.append(_days(report))
    if any(each.estimate or each.billed for each in report.comparisons):
        parts.append(_comparisons(report))
    parts += [Text(f"· {note}", style="dim") for note in report_notes(report)]
    console.print(Group(*parts))


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        is_number = column in right
        table.add_column(
            column, justify="right" if is_number else "left", header_style="dim", overflow="fold", no_wrap=is_number
        )
    return table


def _shown(name: str, value: str | None) -> str:
    """A value for a narrow column: a model without its organization."""
    return "-" if value is None else value.rpartition("/")[2] if name == "model" else value


def _calls(report: CostReport) -> Table:
    numbers = ("calls", "texts", "tokens", "cache hits", "errors", "ms a call", "cost")
    table = _table("\nCalls", *report.group_by, *numbers, right=numbers)
    for row in report.rows:
        counts = row.counts
        cost = usd(row.cost, is_estimate=row.is_estimate)
        if counts.unpriced_calls:
            cost = f"{cost} + {counts.unpriced_calls:,} unpriced" if row.cost else "unpriced"
        table.add_row(
            *(_shown(name, row.group[name]) for name in report.group_by),
            f"{counts.calls:,}", f"{counts.texts:,}", f"{counts.tokens + counts.output_tokens:,}",
            f"{counts.cache_hits:,}", f"{counts.errors:,}", f"{counts.milliseconds / max(counts.calls, 1):,.1f}", cost,
        )  # fmt: skip
    return table


def _instances(report: CostReport) -> Table:
    numbers = ("hours", "per hour", "calls", "idle", "cost")
    table = _table("\nInstances", "endpoint", "variant", "type", *numbers, right=numbers)
    for line in report.instances:
        hours, price = line.hours, line.hours.price
        table.add_row(
            hours.fleet.endpoint,
            hours.fleet.variant,
            hours.fleet.instance_type,
            f"{hours.hours:,.2f}",
            usd(price.amount if price else None),
            usd(line.attributed if price else None),
            Text(usd(line.idle if price else None), style="yellow" if line.idle else ""),
            usd(line.attributed + line.idle if price else None, is_estimate=hours.is_estimate),
        )
    return table


def _days(report: CostReport) -> Table:
    table = _table("\nDays", "day", "cost", "", right=("cost",))
    most = max(report.daily.values())
    for day, amount in report.daily.items():
        table.add_row(
            f"{day}", usd(amount), Text("█" * round(_BAR_WIDTH * amount / most) if most else "", style="cyan")
        )
    return table


def _comparisons(report: CostReport) -> Table:
    numbers = ("estimate", "AWS", "difference", "untagged")
    table = _table("\nBeside Cost Explorer", "day", "service", *numbers, "", right=numbers)
    for each in report.comparisons:
        if each.estimate or each.billed or each.untagged:
            is_judged = each.verdict in ("agrees", "differs")
            table.add_row(
                f"{each.day}", each.service, usd(each.estimate), usd(each.billed),
                usd(each.difference) if is_judged else "-", usd(each.untagged),
                Text(each.verdict, style=_COLOURS[each.verdict]),
            )  # fmt: skip
    return table
