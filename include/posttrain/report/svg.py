"""Small drawings as SVG text: escaped labels, a palette, and horizontal bars. Everything else is drawn by its own module."""

from __future__ import annotations

import html

PALETTE = ("#2f6f9f", "#e08e45", "#4c9f70", "#8b6bb1", "#c9a227", "#3fa7a3", "#b5597c", "#7a8b3c", "#5d76c9", "#a0694b",
           "#6fa3c7", "#efb98a", "#93c7a9", "#bda6d6", "#e3cd7c")
FALLEN = "#c8553d"
SOFT = "#b8bdc4"


def escape(text: object) -> str:
    """Text for an element or attribute of the page; characters that no XML may hold are replaced."""
    return html.escape("".join(c if c >= " " and c not in "\ufffe\uffff" and not "\ud800" <= c <= "\udfff" else "\ufffd"
                               for c in str(text)), quote=True)


def colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def label(x: float, y: float, text: object, *, size: int = 11, anchor: str = "start", fill: str = "#1d2329") -> str:
    """A text element; `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, title: object = "") -> str:
    """A rectangle; `title` is shown under the mouse."""
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" fill="{fill}">'
            f"<title>{escape(title)}</title></rect>")


def drawing(width: float, height: float, parts: list[str], what: str) -> str:
    """The <svg> element; `what` is read out to whoever cannot see it."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img" aria-label="{escape(what)}">{"".join(parts)}</svg>')


def histogram(counts: list[int], edges: list[str], what: str, width: int = 500, fill: str = PALETTE[0]) -> str:
    """A column per count; `edges` are the labels under them."""
    height, base, top = 190, 160, max([*counts, 1])
    step = (width - 10) / max(len(counts), 1)
    parts = []
    for n, (count, edge) in enumerate(zip(counts, edges, strict=True)):
        tall = 135 * count / top
        x = 5 + n * step
        parts.append(box(x + 1, base - tall, step - 2, tall, fill, f"{edge}: {count:,}"))
        parts.append(label(x + step / 2, base + 14, edge, size=9, anchor="middle"))
        if count:
            parts.append(label(x + step / 2, base - tall - 3, f"{count:,}", size=9, anchor="middle"))
    return drawing(width, height, parts, what)


def bars(rows: list[tuple[str, int]], what: str, *, width: int = 500, fill: str = PALETTE[0]) -> str:
    """A horizontal bar per (label, count), in the order given."""
    top, left, height = max([count for _, count in rows] + [1]), 150, 18 * len(rows) + 6
    parts = []
    for n, (name, count) in enumerate(rows):
        y = 3 + 18 * n
        shown = name if len(name) <= 22 else name[:21] + "…"
        parts.append(label(left - 6, y + 12, shown, anchor="end"))
        parts.append(box(left, y + 2, (width - left - 60) * count / top, 13, fill, f"{name}: {count:,}"))
        parts.append(label(left + (width - left - 60) * count / top + 4, y + 12, f"{count:,}", size=10))
    return drawing(width, height, parts, what)
