"""The cost report as plain text, for e-mail and SNS, and its notes for every format."""

from decimal import Decimal

from embedstack.costs.cost_explorer import BEDROCK, Comparison
from embedstack.costs.money import format_dollars
from embedstack.costs.report import UNTRACKED, CostReport

__all__ = ["report_notes", "report_subject", "report_text", "row_name", "usd"]

_MAX_ROWS = 30


def usd(amount: Decimal | None, *, is_estimate: bool = False) -> str:
    """An amount with its currency: ``$1.41``, ``~$1.41`` for an estimate, ``unpriced`` without a price."""
    if amount is None:
        return "unpriced"
    sign = "-" if amount < 0 else ""
    return f"{'~' if is_estimate else ''}{sign}${format_dollars(abs(amount))}"


def row_name(group: dict[str, str | None]) -> str:
    """A row's values, without those that the calls do not have."""
    return " · ".join(value for value in group.values() if value) or "(none)"


def report_subject(report: CostReport) -> str:
    """The subject of an e-mail: the amount, the days, and what needs attention."""
    days = report.period.dates
    when = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    idle = f", {usd(report.idle)} of it idle" if report.idle else ""
    return f"embedstack costs {when}: {usd(report.total, is_estimate=report.is_estimate)}{idle}"


def report_text(report: CostReport) -> str:
    """The report as lines of text."""
    days = report.period.dates
    lines = [
        f"Costs in {report.region}, {days[0]} to {days[-1]} (UTC)",
        "",
        f"Total {usd(report.total, is_estimate=report.is_estimate):>16}",
    ]
    for title, rows in (
        ("Calls", _calls(report)),
        ("Instances", _instances(report)),
        ("AWS's figures", _bills(report)),
    ):
        if rows:
            lines += ["", title, *(f"  {row}" for row in rows)]
    lines += ["", "Notes", *(f"  - {note}" for note in report_notes(report))]
    return "\n".join(lines) + "\n"


def _calls(report: CostReport) -> list[str]:
    rows = [
        f"{usd(row.cost, is_estimate=row.is_estimate):>12}  {row.counts.calls:>9,} calls  "
        f"{row.counts.tokens:>12,} tokens  {row_name(dict(row.group))}"
        for row in report.rows[:_MAX_ROWS]
    ]
    if len(report.rows) > _MAX_ROWS:
        rest = report.rows[_MAX_ROWS:]
        rows.append(f"{usd(sum((row.cost for row in rest), Decimal(0))):>12}  in {len(rest)} more groups")
    return rows


def _instances(report: CostReport) -> list[str]:
    rows = []
    for line in report.instances:
        fleet = line.hours.fleet
        cost = None if line.hours.price is None else line.attributed + line.idle
        idle = f", idle {usd(line.idle)}" if line.idle else ""
        rows.append(
            f"{usd(cost, is_estimate=line.hours.is_estimate):>12}  {line.hours.hours:>9,.2f} hours of "
            f"{fleet.instance_type}  {fleet.endpoint}{idle}"
        )
    return rows


def _bills(report: CostReport) -> list[str]:
    return [
        f"{each.day}  {each.service:<16} estimate {usd(each.estimate):>10}  AWS {usd(each.billed):>10}  "
        f"{each.verdict}{_of_untagged(each)}"
        for each in report.comparisons
        if each.estimate or each.billed or each.untagged
    ]


def _of_untagged(comparison: Comparison) -> str:
    return f", untagged {usd(comparison.untagged)}" if comparison.untagged else ""


def report_notes(report: CostReport) -> list[str]:
    """What a reader must know about the figures."""
    notes = []
    if not report.has_ledger:
        notes.append("No ledger is set (COSTS_LEDGER): calls of serverless endpoints and of Bedrock are missing.")
    if report.unpriced_calls:
        names = ", ".join(row_name(dict(row.group)) for row in report.rows if row.counts.unpriced_calls)
        notes.append(f"{report.unpriced_calls:,} calls are unpriced and not in the total: {names}.")
    notes += [
        f"{hours.hours:,.2f} hours of {hours.fleet.instance_type} ({hours.fleet.endpoint}) are unpriced and not in the "
        f"total: the price in {report.region} is unknown."
        for hours in report.unpriced_instances
    ]
    for line in report.instances:
        if not line.hours.is_measured:
            notes.append(
                f"{line.hours.fleet.endpoint} has no metric in CloudWatch: today's {line.hours.fleet.instances} "
                "instances since its creation are an estimate."
            )
        elif line.hours.fleet.modified > report.period.start > line.hours.fleet.created:
            notes.append(
                f"{line.hours.fleet.endpoint} was updated in the period: earlier hours may have had another instance "
                "type."
            )
    if report.lost:
        notes.append(f"Lost: {report.lost:,} records of the ledger, in all of its time.")
    notes += _billing_notes(report)
    if report.metrics is not None and report.metrics.metrics:
        metrics = report.metrics
        notes.append(
            f"{metrics.metrics} metrics of this library in CloudWatch cost "
            f"{usd(metrics.cost, is_estimate=metrics.is_estimate)}, which the total contains."
        )
    if report.is_estimate:
        notes.append("~ marks an estimate: two dated sources of the price do not agree, or hours were not measured.")
    notes.append(f"Not tracked: {', '.join(UNTRACKED)}.")
    return notes


def _billing_notes(report: CostReport) -> list[str]:
    notes = []
    untagged = sum((each.untagged for each in report.comparisons), Decimal(0))
    if untagged:
        bedrock = sum((each.untagged for each in report.comparisons if each.service == BEDROCK), Decimal(0))
        notes.append(
            f"Untagged in Cost Explorer: {usd(untagged)}, of that Bedrock {usd(bedrock)}. Calls of Bedrock without an "
            "application inference profile cannot have a tag, so Bedrock is compared by usage type."
        )
    usage: dict[str, Decimal] = {}
    for each in report.comparisons:
        if each.service == BEDROCK:
            for name, amount in each.usage.items():
                usage[name] = usage.get(name, Decimal(0)) + amount
    if usage:
        notes.append(
            "Bedrock by usage type: " + ", ".join(f"{name} {usd(usage[name])}" for name in sorted(usage)) + "."
        )
    notes += [
        f"{each.service} on {each.day}: AWS has {usd(abs(each.difference))} "
        f"{'more' if each.difference > 0 else 'less'} than the estimate."
        for each in report.comparisons
        if each.verdict == "differs"
    ]
    if any(each.verdict in ("incomplete", "too early") for each in report.comparisons):
        notes.append("Cost Explorer is hours late: a day is compared 48 hours after its end.")
    return notes
