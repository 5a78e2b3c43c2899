"""SVG elements for the benchmarks' plots."""

from collections.abc import Iterable
from xml.sax.saxutils import escape

__all__ = ["GRID", "INK", "document", "line", "text"]

INK, GRID = "#1e293b", "#e2e8f0"


def document(width: int, height: int, label: str, body: Iterable[str]) -> str:
    """An SVG document with a white background.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        label: Description for screen readers.
        body: Elements.
    """
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" '
        f'role="img" aria-label="{escape(label)}">'
    )
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *body, "</svg>\n"])


def text(
    x: float, y: float, content: str, *, anchor: str = "start", size: int = 13, weight: int = 400, fill: str = INK
) -> str:
    """A line of text at a point."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}">{escape(content)}</text>'
    )


def line(points: Iterable[tuple[float, float]], colour: str, *, width: float = 2.5) -> str:
    """A line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
