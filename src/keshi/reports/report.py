"""A report: plain sections, figures and tables, written as one self-contained HTML file and as JSON.

Draws results that others measured; imports nothing that makes releases. A report for the owner (`private`)
carries the stamp on every page; a public one refuses sections that hold exact statistics of the data.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keshi._validate import one_of
from keshi.artifacts.atomic import write_atomically

STAMP = "contains exact statistics of the data; do not publish"
FORMAT = "keshi-report-1"
LARGEST_HTML = 2_000_000  # bytes; a page must open on a phone and travel by mail


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under column headings; the first cell of a row names it.

    `most` rows at most are shown (None: all); the JSON file holds every row.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    most: int | None = None

    @property
    def shown_rows(self) -> Sequence[Sequence[Any]]:
        return self.rows[: self.most]


@dataclass(frozen=True)
class Panel:
    """One `<svg>` of a figure, as `charts` returns it, with a short heading."""

    svg: str
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """One or several panels under one caption, with the numbers behind them.

    `alt` says in words what the picture shows. `table` is folded away under the figure. `legend` lists
    (name, colour, kind) with a colour of `svg.INK` and a kind of "bar", "outline", "dot", "ring", "diamond",
    "tick", or "line0" to "line5"; `scale` is (colour, text at 0, text at the strongest) of a heat map.
    """

    svg: str | Sequence[Panel]
    caption: str
    alt: str
    table: Table | None = None
    legend: Sequence[tuple[str, str, str]] = ()
    scale: tuple[str, str, str] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def panels(self) -> Sequence[Panel]:
        return (Panel(self.svg),) if isinstance(self.svg, str) else self.svg


@dataclass(frozen=True)
class Section:
    """A heading, a sentence or two, key figures, figures and tables.

    `highlights` are (value, what it is, compared with what); `exact` says that something here was computed
    from the records themselves, outside any privacy budget.
    """

    title: str
    text: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    highlights: Sequence[tuple[str, str, str]] = ()
    exact: bool = False


@dataclass(frozen=True)
class Report:
    """One page. `statement` (the promise), `found` (what was measured, in a sentence) and `not_protected` (the limits)
    stand on the first screen."""

    title: str
    audience: str = "private"
    statement: Sequence[str] = ()
    not_protected: Sequence[str] = ()
    sections: Sequence[Section] = ()
    subtitle: str = ""
    found: str = ""
    made_by: str = "keshi"

    def __post_init__(self) -> None:
        one_of("audience", self.audience, ("private", "public"))
        exact = [section.title for section in self.sections if section.exact]
        if self.audience == "public" and exact:
            raise ValueError(
                f"a public report cannot hold exact statistics of the data; these do: {', '.join(exact)}. "
                'Write them into a report with audience="private", or leave them out.'
            )

    @property
    def is_alarm(self) -> bool:
        """Whether what was found is a leak: such a page says so in the colour of a warning."""
        return self.found.startswith("LEAK")

    @property
    def stamp(self) -> str:
        return STAMP if self.audience == "private" else ""


def report_html(report: Report) -> str:
    """The page as text: no script, no outside reference; readable on a phone, in print, light and dark."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("keshi.reports"),
        autoescape=True,  # names and categories come from anywhere; only the SVG of `charts` is trusted
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = shown
    environment.filters["is_number"] = _is_number
    return environment.get_template("report.html.j2").render(report=report)


def shown(value: Any) -> str:
    """A table's cell as a reader wants it: 3 significant figures, yes and no, a dash for nothing."""
    from keshi.reports.charts import number

    if value is None:
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}"
    if isinstance(value, (float, np.floating)):
        return number(float(value))
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def report_json(report: Report) -> dict[str, Any]:
    """The same figures as plain JSON: texts, tables and the numbers behind each picture."""

    def table(one: Table | None) -> dict[str, Any] | None:
        if one is None:
            return None
        return {
            "caption": one.caption,
            "columns": list(one.columns),
            "rows": [list(r) for r in one.rows],
        }

    sections = [
        {
            "title": section.title,
            "text": section.text,
            "exact": section.exact,
            "highlights": [
                {"value": value, "what": what, "compared_with": beside}
                for value, what, beside in section.highlights
            ],
            "figures": [
                {"caption": f.caption, "alt": f.alt, "table": table(f.table), "data": dict(f.data)}
                for f in section.figures
            ],
            "tables": [table(one) for one in section.tables],
        }
        for section in report.sections
    ]
    return {
        "format": FORMAT,
        "title": report.title,
        "audience": report.audience,
        "stamp": report.stamp,
        "statement": list(report.statement),
        "found": report.found,
        "not_protected": list(report.not_protected),
        "sections": sections,
    }


def plain(value: Any) -> Any:
    """Only what JSON knows: arrays become lists, NaN and infinity null (JSON has neither)."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def write_report(
    report: Report,
    html_path: str | os.PathLike[str],
    json_path: str | os.PathLike[str] | None = None,
    markdown_path: str | os.PathLike[str] | None = None,
) -> None:
    """Write the page, and its figures as JSON and Markdown; each file appears whole or not at all.

    Raises:
        ValueError: a private report would be written into a folder named `release`, or the page is above 2
            MB.
    """
    page = report_html(report).encode()
    if len(page) > LARGEST_HTML:
        raise ValueError(
            f"the report has {len(page):,} bytes, at most {LARGEST_HTML:,} are allowed. Show fewer figures."
        )
    targets: list[tuple[Path, bytes]] = [(Path(html_path), page)]
    if json_path is not None:
        text = json.dumps(plain(report_json(report)), ensure_ascii=False, indent=1, allow_nan=False)
        targets.append((Path(json_path), text.encode()))
    if markdown_path is not None:
        from keshi.reports.markdown import report_markdown

        targets.append((Path(markdown_path), report_markdown(report).encode()))
    for path, _ in targets:
        if report.audience == "private" and path.absolute().parent.name == "release":
            raise ValueError(
                f"{path} lies in release/, but this report {STAMP}. Write it into private/ instead."
            )
    for path, content in targets:
        write_atomically(path, content)


def with_sections(report: Report, *sections: Section) -> Report:
    """The report with further sections at its end."""
    return replace(report, sections=[*report.sections, *sections])
