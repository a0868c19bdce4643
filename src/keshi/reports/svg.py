"""matplotlib figures as small inline SVG that follows the page: its colours, its font, light and dark.

Charts are drawn in the sentinel colours of INK; here each becomes a CSS variable, so the page decides what it
looks like. Ids get a prefix of their own, because several figures share one page. Text stays text.
"""

from __future__ import annotations

import html
import io
import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# sentinel colour in matplotlib -> CSS variable of the page; the values only have to be distinct
INK = {
    "ink": "#010203",
    "muted": "#010204",
    "rule": "#010205",
    "paper": "#010206",
    "real": "#010207",
    "made": "#010208",
    "third": "#010209",
    "fourth": "#01020a",
    "fifth": "#01020b",
    "sixth": "#01020c",
}
SERIES = ("made", "real", "third", "fourth", "fifth", "sixth")  # in the order in which series take them
MARKERS = ("o", "s", "^", "D", "v", "P")  # with the colours, so that colour is never the only difference
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
    (0, (3, 1)),
    (0, (1, 3)),
)
FONT_POINTS = 9.0

_numbering = itertools.count(1)

RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "keshi",
    "text.parse_math": False,  # a category named "$5-$6" is no formula
    "font.size": FONT_POINTS,
    "font.family": "DejaVu Sans",  # for measuring; wider than most page fonts, so nothing will be cut off
    "axes.edgecolor": INK["rule"],
    "axes.labelcolor": INK["ink"],
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": INK["rule"],
    "grid.linewidth": 0.6,
    "text.color": INK["ink"],
    "xtick.color": INK["rule"],
    "ytick.color": INK["rule"],
    "xtick.labelcolor": INK["ink"],
    "ytick.labelcolor": INK["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "lines.solid_capstyle": "round",
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[Canvas]:
    """An empty matplotlib figure of width x height pixels (CSS), without pyplot and its global state."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(RC):
        yield Canvas(figsize=(width / 72, height / 72), layout="constrained")


def to_svg(figure: Canvas, *, alt: str) -> str:
    """The figure as one `<svg>` element with `alt` as its accessible name; no outside reference."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a glyph that the measuring font lacks is drawn by the page's font all the same
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return compact(text[text.index("<svg") :], alt=alt, prefix=f"f{next(_numbering)}-")


def compact(svg: str, *, alt: str, prefix: str) -> str:
    """Shorten matplotlib's SVG, give it the page's colours and unique ids."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # its rules are for *, the whole page
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r"<[^>]+>", lambda tag: _compact_tag(tag[0], used, prefix), svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r"<g></g>|<defs></defs>|<defs/>", "", svg)
    opening = svg[: svg.index(">") + 1]
    box = re.search(r'viewBox="([^"]+)"', opening)
    width = box[1].split()[2] if box else "400"
    name = html.escape(alt, quote=True)
    head = f'<svg viewBox="{box[1] if box else ""}" style="max-width:{float(width) * 1.35:.0f}px" '
    return head + f'role="img" aria-label="{name}">' + svg[len(opening) :].strip()


def _compact_tag(tag: str, used: set[str], prefix: str) -> str:
    """One tag of the SVG: only attributes are touched, never text, where a label may hold anything."""
    tag = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", tag).replace("xlink:href=", "href=")
    tag = re.sub(r'\s+id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", tag)
    tag = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}\1"', tag)
    tag = re.sub(r"(?<!opacity: )-?\b\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), tag)
    for name, colour in INK.items():
        tag = tag.replace(colour, f"var(--{name})")
    tag = re.sub(r"font-family:[^;\"]*;?\s*", "", tag)  # the page's own font
    tag = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", tag)  # as some versions of matplotlib write it
    tag = tag.replace("stroke-linejoin: miter", "").replace("; ", ";").replace(": ", ":")
    return re.sub(r"\s*\n\s*", " ", tag)
