"""Real records and several releases side by side: one picture per column and per pair of columns, in the same cells.

For the owner: every picture shows exact statistics of the real records. Takes plain tables of any system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from keshi._validate import positive_integer
from keshi.auditing.cells import MISSING, Bounds, CellColumn, cut_into_cells, shared_columns
from keshi.auditing.fidelity import cramers_v, joint_cells
from keshi.errors import RecordsError
from keshi.reports.charts import number
from keshi.reports.report import Figure, Panel, Report, Section, Table
from keshi.reports.small_multiples import Axis, cell_map, lying_bars, standing_bars

REAL = "real"
MOST_COLUMNS = 60  # pictures; the table lists every column
MOST_PAIRS = 60
MOST_ROWS = 200  # of the table of pairs
MOST_BARS = 8  # of a category, the last one all others together
MOST_CELLS = 12  # the same for one side of a pair
LARGEST_PICTURES = 1_300_000  # bytes of all pairs together: the page stays below 2 MB


@dataclass(frozen=True)
class CommonColumn:
    """One column of all tables, cut into the same cells; the last cell is the missing one.

    `codes` holds one array of cell numbers per table, the real one first. `ends` are the texts of a number's
    lowest and highest border, None for a category.
    """

    name: str
    labels: tuple[str, ...]
    codes: tuple[np.ndarray, ...]
    ends: tuple[str, str] | None

    @property
    def shares(self) -> np.ndarray:
        """(tables, cells); every row sums to 1."""
        return np.array([np.bincount(one, minlength=len(self.labels)) / len(one) for one in self.codes])

    @property
    def distances(self) -> np.ndarray:
        """(releases,) total variation distance from the real column."""
        shares = self.shares
        return np.abs(shares[1:] - shares[0]).sum(axis=1) / 2

    @property
    def axis(self) -> Axis:
        within = len(self.labels) - (MISSING in self.labels[-1:]) if self.ends else 0
        return Axis(self.labels, self.ends, within)

    def drawn(self, most: int) -> CommonColumn:
        """The cells of a picture: no empty missing cell, of many categories the largest and all others together."""
        largest = self.shares.max(axis=0)
        if self.ends is not None:
            return self if largest[-1] else CommonColumn(self.name, self.labels[:-1], self.codes, self.ends)
        kept = [cell for cell in range(len(self.labels)) if largest[cell]]
        labels = [self.labels[cell] for cell in kept]
        place = np.zeros(len(self.labels), dtype=int)
        place[kept] = np.arange(len(kept))
        if len(kept) > most:
            chosen = sorted(sorted(kept, key=lambda cell: -largest[cell])[: most - 1])
            place[:] = most - 1
            place[chosen] = np.arange(most - 1)
            labels = [*(self.labels[cell] for cell in chosen), f"{len(kept) - most + 1} others"]
        return CommonColumn(self.name, tuple(labels), tuple(place[one] for one in self.codes), None)


@dataclass(frozen=True)
class CommonPair:
    """Two columns: how far each release is, and how strongly the real ones depend on each other (Cramer's V)."""

    first: CommonColumn
    second: CommonColumn
    dependence: float
    distances: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.first.name} and {self.second.name}"


def common_columns(
    real: pd.DataFrame, releases: Mapping[str, pd.DataFrame], *, bins: int = 20, bounds: Bounds | None = None
) -> list[CommonColumn]:
    """Every column of the real table and of all releases in the same cells, in the order of the real columns.

    Raises:
        RecordsError: there is no release, or one has other columns than the real table, or no rows.
    """
    positive_integer("bins", bins)
    if not releases or REAL in releases:
        raise RecordsError(
            f'give at least one release beside the real table, and name none of them "{REAL}".'
        )
    for name, table in releases.items():
        try:
            shared_columns(real, table)
        except RecordsError as error:
            raise RecordsError(f"{name}: {error}") from error
    together = pd.concat([table[list(real.columns)].astype(object) for table in releases.values()])
    borders = np.cumsum([len(table) for table in releases.values()])[:-1]
    columns = []
    for column in cut_into_cells(real, together, bins=bins, bounds=bounds):
        codes = (column.reference, *np.split(column.synthetic, borders))
        columns.append(CommonColumn(str(column.name), column.labels, codes, _ends(column, real[column.name])))
    return columns


def _ends(column: CellColumn, values: pd.Series) -> tuple[str, str] | None:
    """A number's lowest and highest border as text; moments as days."""
    if column.edges is None:
        return None
    borders = float(column.edges[0]), float(column.edges[-1])
    if pd.api.types.is_datetime64_any_dtype(values):
        return tuple(pd.Timestamp(border, unit="s").strftime("%Y-%m-%d") for border in borders)  # type: ignore[return-value]
    return tuple(f"{border:,.0f}" if abs(border) >= 1000 else f"{border:.4g}" for border in borders)  # type: ignore[return-value]


def common_pairs(columns: Sequence[CommonColumn]) -> list[CommonPair]:
    """All pairs, the ones that depend on each other most in the real table first."""
    pairs = [_pair(a, b) for a, b in combinations(columns, 2)]
    return sorted(pairs, key=lambda pair: -pair.dependence)


def _pair(a: CommonColumn, b: CommonColumn) -> CommonPair:
    first, second = (
        CellColumn(one.name, one.labels, one.codes[0], np.concatenate(one.codes[1:])) for one in (a, b)
    )
    real, made, cells = joint_cells(first, second)
    wanted = np.bincount(real, minlength=cells) / len(real)
    releases = np.split(made, np.cumsum([len(one) for one in a.codes[1:]])[:-1])
    distances = [np.abs(np.bincount(one, minlength=cells) / len(one) - wanted).sum() / 2 for one in releases]
    return CommonPair(a, b, cramers_v(first.reference, second.reference, real), np.array(distances))


def side_by_side(
    real: pd.DataFrame,
    releases: Mapping[str, pd.DataFrame],
    *,
    bins: int = 20,
    bounds: Bounds | None = None,
    title: str = "Releases side by side",
    statement: Sequence[str] = (),
    not_protected: Sequence[str] = (),
) -> Report:
    """The owner's page: every column and the most dependent pairs, of the real table and of each release.

    Args:
        real: The table that the releases were made from, (n, d). Its types decide what is a number.
        releases: Name -> a table with the same columns, any number of rows.
        bins: Bins of equal width of a number.
        bounds: Public (lower, upper) of numbers; default: the range of `real`.
        title, statement, not_protected: Of the page; what was promised for the releases.

    Example:
        >>> real = pd.DataFrame({"age": [20, 30, 40, 50], "city": ["a", "a", "b", "b"]})
        >>> [section.title for section in side_by_side(real, {"copy": real}).sections]
        ['All in all', 'Columns one by one', 'Columns in pairs']
    """
    columns = common_columns(real, releases, bins=bins, bounds=bounds)
    pairs = common_pairs(columns)
    names = list(releases)
    sections = [_summary(names, columns, pairs), columns_section(names, columns)]
    if pairs:
        sections.append(pairs_section(names, pairs))
    sizes = ", ".join(f"{name} {len(table):,}" for name, table in releases.items())
    return Report(
        title=title,
        statement=statement,
        not_protected=not_protected,
        sections=sections,
        subtitle=f"Rows: {REAL} {len(real):,}, {sizes}.",
    )


def _summary(names: Sequence[str], columns: Sequence[CommonColumn], pairs: Sequence[CommonPair]) -> Section:
    one_way = np.array([column.distances for column in columns]).mean(axis=0)
    two_way = (
        np.array([pair.distances for pair in pairs]).mean(axis=0) if pairs else np.full(len(names), np.nan)
    )
    rows = []
    for i, name in enumerate(names):
        worst = max(pairs, key=lambda pair: pair.distances[i]) if pairs else None
        said = f"{worst.name}: {number(float(worst.distances[i]))}" if worst else None
        rows.append((name, float(one_way[i]), float(two_way[i]), said))
    table = Table(("release", "mean of columns", "mean of pairs", "farthest pair"), rows)
    text = "Total variation distance from the real table: 0 is equal, 1 is disjoint."
    highlights = [
        (
            number(float(two_way[i])),
            f"{name}: mean distance of a pair",
            f"of a column {number(float(one_way[i]))}",
        )
        for i, name in enumerate(names)
    ]
    return Section("All in all", text, [], [table], highlights, exact=True)


def columns_section(names: Sequence[str], columns: Sequence[CommonColumn]) -> Section:
    """A row of bars per column: the real one, then each release with the real one as an outline."""
    shown = list(columns)
    if len(shown) > MOST_COLUMNS:
        shown = sorted(shown, key=lambda column: -column.distances.mean())[:MOST_COLUMNS]
    figures = [
        Figure(
            [Panel(svg, title) for title, svg in column_panels(names, column)],
            _column_caption(column),
            f"A row of charts of {column.name}: the real shares, then those of each release with the real outline.",
            _cells_table(names, column),
            legend=(("release", "made", "bar"), (REAL, "real", "outline")) if index == 0 else (),
            data={"labels": column.labels, "shares": column.shares},
        )
        for index, column in enumerate(shown)
    ]
    text = "Bars are shares of rows, on one scale in each row; the outline is the real table."
    if len(shown) < len(columns):
        text += (
            f" The {len(shown)} columns of {len(columns)} whose releases are farthest from the real table."
        )
    rows = [(column.name, *map(float, column.distances)) for column in columns]
    table = Table(("column", *names), rows, "Distance of each column")
    return Section("Columns one by one", text, figures, [table], exact=True)


def column_panels(names: Sequence[str], column: CommonColumn) -> list[tuple[str, str]]:
    """(title, svg) of the real column and of every release."""
    drawn = column.drawn(MOST_BARS)
    shares, axis = drawn.shares, drawn.axis
    draw = lying_bars if drawn.ends is None else standing_bars
    top = float(shares.max())
    alt = f"{column.name}, {REAL}: shares of rows."
    panels = [(f"{column.name}: {REAL}", draw(shares[0], axis, outline=None, top=top, alt=alt))]
    for name, one, distance in zip(names, shares[1:], column.distances, strict=True):
        alt = f"{column.name}, {name}: shares of rows; distance from the real ones {number(float(distance))}."
        panels.append(
            (f"{name} · {number(float(distance))}", draw(one, axis, outline=shares[0], top=top, alt=alt))
        )
    return panels


def _column_caption(column: CommonColumn) -> str:
    if column.ends is not None:
        return f"{column.name}, from {column.ends[0]} to {column.ends[1]}. Beside each name its distance."
    return f"{column.name}. Beside each name its distance."


def _cells_table(names: Sequence[str], column: CommonColumn, most: int = 25) -> Table:
    shares = column.shares
    largest = shares.max(axis=0)
    kept = [cell for cell in range(len(column.labels)) if largest[cell]]
    if len(kept) > most:
        kept = sorted(kept, key=lambda cell: -largest[cell])[:most]
    rows = [(column.labels[cell], *map(float, shares[:, cell])) for cell in kept]
    return Table((column.name, REAL, *names), rows, "Shares of rows")


def pairs_section(names: Sequence[str], pairs: Sequence[CommonPair]) -> Section:
    """A row of shaded cells per pair, the most dependent pairs first, as many as the page has room for."""
    figures: list[Figure] = []
    size = 0
    for pair in pairs[:MOST_PAIRS]:
        panels = pair_panels(names, pair)
        size += sum(len(svg.encode()) for _, svg in panels)
        if figures and size > LARGEST_PICTURES:
            break
        figures.append(_pair_figure(names, pair, panels))
    text = (
        "Each square is a cell of two columns; the shade grows with the square root of the share of rows in it, "
        "on one scale in each row. The pairs that depend most on each other in the real table come first: "
        f"{len(figures)} of {len(pairs)} are drawn, {min(len(pairs), MOST_ROWS)} are in the table below."
    )
    rows = [(pair.name, pair.dependence, *map(float, pair.distances)) for pair in pairs[:MOST_ROWS]]
    table = Table(("pair", "dependence (Cramér's V)", *names), rows, "Distance of each pair")
    return Section("Columns in pairs", text, figures, [table], exact=True)


def _joint_shares(pair: CommonPair) -> tuple[np.ndarray, CommonColumn, CommonColumn]:
    """(tables, rows, columns) of the cells that are drawn, and the two columns as drawn."""
    a, b = pair.first.drawn(MOST_CELLS), pair.second.drawn(MOST_CELLS)
    shape = len(a.labels), len(b.labels)
    counts = [
        np.bincount(x * shape[1] + y, minlength=shape[0] * shape[1]).reshape(shape) / len(x)
        for x, y in zip(a.codes, b.codes, strict=True)
    ]
    return np.array(counts), a, b


def pair_panels(names: Sequence[str], pair: CommonPair) -> list[tuple[str, str]]:
    """(title, svg) of the real pair and of every release; the distance stands below each."""
    shares, a, b = _joint_shares(pair)
    strongest = float(shares.max())
    notes = ["", *(f"distance {number(float(distance))}" for distance in pair.distances)]
    panels = []
    for name, one, note in zip((REAL, *names), shares, notes, strict=True):
        alt = f"{pair.name}, {name}: shares of rows in each pair of cells{'; ' + note if note else ''}."
        panels.append((name, cell_map(one, a.axis, b.axis, strongest=strongest, note=note, alt=alt)))
    return panels


def _pair_figure(
    names: Sequence[str], pair: CommonPair, panels: Sequence[tuple[str, str]], most: int = 12
) -> Figure:
    shares, a, b = _joint_shares(pair)
    flat = shares.reshape(len(shares), -1)
    largest = np.argsort(-flat.max(axis=0), kind="stable")[:most]
    width = len(b.labels)
    rows = [
        (f"{a.labels[c // width]}, {b.labels[c % width]}", *map(float, flat[:, c]))
        for c in largest
        if flat[:, c].any()
    ]
    return Figure(
        [Panel(svg, title) for title, svg in panels],
        f"{pair.first.name} (down) and {pair.second.name} (across); dependence {number(pair.dependence)}.",
        f"A row of heat maps of {pair.name}: the real table, then each release.",
        Table((pair.name, REAL, *names), rows, "Shares of rows in the largest cells"),
        scale=("sixth", "0", f"{100 * float(shares.max()):.3g}% of rows"),
        data={"distances": dict(zip(names, map(float, pair.distances), strict=True))},
    )
