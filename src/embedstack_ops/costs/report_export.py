"""The cost report as CSV, JSON and SVG. Amounts are US dollars and unrounded, except in the plot."""

import csv
import io
import json
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from embedstack.costs.records import COUNT_NAMES
from embedstack.costs.report import UNTRACKED, CostReport, ReportRow
from embedstack.costs.report_text import report_notes, usd

__all__ = ["report_csv", "report_json", "report_svg"]

_COUNTS = tuple(name for name in COUNT_NAMES if name not in ("cost", "microseconds"))
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 300, 64, 44, 48
_INK, _GRID, _BAR = "#1e293b", "#e2e8f0", "#0284c7"


def report_csv(report: CostReport) -> str:
    """The rows as CSV; the column ``line`` is ``calls``, ``instances``, ``idle`` or ``metrics``."""
    columns = ["line", *report.group_by, *_COUNTS, "milliseconds", "instance_type", "instance_hours"]
    file = io.StringIO()
    writer = csv.DictWriter(file, [*_unique(columns), "cost_usd", "is_estimate"], restval="", lineterminator="\n")
    writer.writeheader()
    for row in report.rows:
        writer.writerow({"line": "calls", **{key: _safe(value) for key, value in row.group.items()}, **_numbers(row)})
    for line in report.instances:
        fleet, is_priced = line.hours.fleet, line.hours.price is not None
        entry = {"instance_type": fleet.instance_type, "is_estimate": line.hours.is_estimate}
        if "endpoint" in report.group_by:
            entry["endpoint"] = fleet.endpoint
        # The attributed part is in the rows of the calls.
        writer.writerow(
            {"line": "idle", **entry, "instance_hours": _text(line.hours.hours)}
            | {"cost_usd": _text(line.idle) if is_priced else ""}
        )
    if report.metrics is not None and report.metrics.cost is not None:
        writer.writerow(
            {"line": "metrics", "cost_usd": _text(report.metrics.cost), "is_estimate": report.metrics.is_estimate}
        )
    return file.getvalue()


def report_json(report: CostReport) -> str:
    """Everything in the report as a JSON object; amounts are strings, so that they stay exact."""
    content: dict[str, Any] = {
        "start": report.period.start.isoformat(),
        "end": report.period.end.isoformat(),
        "made": report.made.isoformat(),
        "region": report.region,
        "hours": _text(report.period.hours),
        "total_usd": _text(report.total),
        "idle_usd": _text(report.idle),
        "is_estimate": report.is_estimate,
        "idle_policy": report.policy,
        "unpriced_calls": report.unpriced_calls,
        "lost_records": report.lost,
        "rows": [{**row.group, **_numbers(row)} for row in report.rows],
        "instances": [
            {
                "endpoint": line.hours.fleet.endpoint,
                "variant": line.hours.fleet.variant,
                "instance_type": line.hours.fleet.instance_type,
                "instance_hours": _text(line.hours.hours),
                "price_usd": _text(line.hours.price.amount) if line.hours.price else None,
                "attributed_usd": _text(line.attributed) if line.hours.price else None,
                "idle_usd": _text(line.idle) if line.hours.price else None,
                "is_estimate": line.hours.is_estimate,
                "is_measured": line.hours.is_measured,
            }
            for line in report.instances
        ],
        "days": {day.isoformat(): _text(amount) for day, amount in report.daily.items()},
        "cost_explorer": [
            {
                "day": each.day.isoformat(),
                "service": each.service,
                "estimate_usd": _text(each.estimate),
                "billed_usd": _text(each.billed),
                "difference_usd": _text(each.difference),
                "untagged_usd": _text(each.untagged),
                "usage_types": {name: _text(amount) for name, amount in each.usage.items()},
                "verdict": each.verdict,
            }
            for each in report.comparisons
        ],
        "untracked": list(UNTRACKED),
        "notes": report_notes(report),
    }
    return json.dumps(content, indent=2) + "\n"


def report_svg(report: CostReport) -> str:
    """A bar for the cost of each day, as SVG."""
    most = max(report.daily.values(), default=Decimal(0))
    step = (_WIDTH - _LEFT - 16) / max(len(report.daily), 1)
    base, height = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    title = f"Cost by day, {report.region}: {usd(report.total, is_estimate=report.is_estimate)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
        f' font-family="system-ui, sans-serif" font-size="12" fill="{_INK}" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="16" y="28" font-size="16" font-weight="600">{escape(title)}</text>',
    ]
    for share in (0, 0.5, 1):
        y = base - share * height
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - 16}" stroke="{_GRID}"/>')
        label = usd(most * Decimal(str(share)))
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    every = max(1, len(report.daily) // 8)
    for number, (day, amount) in enumerate(report.daily.items()):
        size = float(amount / most) * height if most else 0.0
        x = _LEFT + number * step
        parts.append(
            f'<rect x="{x + step * 0.1:.1f}" y="{base - size:.1f}" width="{step * 0.8:.1f}" height="{size:.1f}" '
            f'fill="{_BAR}"><title>{day}: {usd(amount)}</title></rect>'
        )
        if number % every == 0:
            parts.append(f'<text x="{x + step / 2:.1f}" y="{base + 20}" text-anchor="middle">{day:%d %b}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _numbers(row: ReportRow) -> dict[str, Any]:
    counts = {name: getattr(row.counts, name) for name in _COUNTS}
    # Calls without a price cost something, so that a row of them has no amount instead of 0.
    is_unpriced = row.counts.unpriced_calls == row.counts.calls and not row.cost
    cost = None if is_unpriced else _text(row.cost)
    return {**counts, "milliseconds": row.counts.milliseconds, "cost_usd": cost, "is_estimate": row.is_estimate}


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _safe(value: str | None) -> str:
    """A name that a spreadsheet does not read as a formula."""
    return f"'{value}" if value and value[0] in "=+-@\t\r" else value or ""


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
