"""Partition: how one column is divided into cells, seen from the encoded vector of a record. Public, or paid for.

Cells of a category are its values; cells of a number are intervals of the public grid. A partition divides a column
finely first and then joins fine cells into coarser ones, so that one column can be looked at in several resolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Column, Numerical, Timestamp, in_numbers
from keshi.records.domain import Domain
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.records.number_scales import is_logarithmic, numbers_at, shares

GRID = 2**FEATURE_BITS  # encoded numbers are multiples of 1 / GRID, from -1 to 1
FEW = 16  # values: all of them are seen at every level
CLASS = -1  # where the class stands: beside the vector


@dataclass(frozen=True)
class Partition:
    """The cells of one column.

    Attributes:
        start: First entry of the column in the encoded vector; CLASS for the label.
        categories: Length of its one-hot block (or number of classes); 0 for a number.
        edges: Ascending edges of the fine cells of a number, in grid steps, from -GRID to GRID; a cell includes its
            lower edge, the last one both.
        missing: Whether the entry after a number says that it is missing, which is then the last fine cell.
        joined: Number of the cell that each fine cell belongs to; the cells are numbered from 0.
    """

    start: int
    categories: int
    edges: tuple[int, ...]
    missing: bool
    joined: tuple[int, ...]

    def __post_init__(self) -> None:
        for key in ("edges", "joined"):
            object.__setattr__(self, key, tuple(np.asarray(getattr(self, key), dtype=np.int64).tolist()))
        if len(self.joined) != self.fine_cells or set(self.joined) != set(range(len(set(self.joined)))):
            raise ValueError("a partition joins each of its fine cells into one of the cells 0, 1, 2, ...")
        if self.categories and (self.edges or self.missing):
            raise ValueError("categories have no edges, and what is missing is one of them.")
        if not self.categories and not (
            self.edges[0] == -GRID and self.edges[-1] == GRID and (np.diff(self.edges) > 0).all()
        ):
            raise ValueError("the edges of a partition ascend from -1 to 1.")

    @property
    def intervals(self) -> int:
        """Fine cells that are intervals; 0 for categories."""
        return max(0, len(self.edges) - 1)

    @property
    def fine_cells(self) -> int:
        return self.categories or self.intervals + self.missing

    @cached_property
    def cells(self) -> int:
        return max(self.joined) + 1

    @property
    def source(self) -> tuple[Any, ...]:
        """What the fine cells depend on; partitions of one source differ only in what they join."""
        return self.start, self.categories, self.edges, self.missing

    def fine(self, batch: EncodedBatch) -> NDArray[np.intp]:
        """(n,) fine cell of every record."""
        if self.start == CLASS:
            return batch.classes
        if self.categories:
            return batch.vectors[:, self.start : self.start + self.categories].argmax(axis=1)
        inner = np.array(self.edges[1:-1]) / GRID
        cells = np.searchsorted(inner, batch.vectors[:, self.start], side="right")
        if self.missing:
            cells[batch.vectors[:, self.start + 1] > 0.5] = self.intervals
        return cells

    def joining(self, joined: Sequence[int] | NDArray[Any]) -> Partition:
        """The same fine cells, joined in another way; a missing value stays a cell of its own where not told of."""
        if len(joined) < self.fine_cells:
            joined = np.append(joined, np.max(joined) + 1)
        return Partition(self.start, self.categories, self.edges, self.missing, tuple(joined))

    def fits(self, domain: Domain) -> bool:
        """Whether it is a partition of a column of the domain."""
        if self.start == CLASS:
            return self.categories == domain.n_classes
        for slot in domain.slots:
            if slot.start == self.start:
                if slot.kind == "categorical":
                    return self.categories == slot.stop - slot.start
                missing = getattr(domain.encoded_columns[slot.column], "missing", False)
                return slot.kind == "numerical" and not self.categories and self.missing == missing
        return False

    def settings(self) -> list[Any]:
        """Public settings, as JSON; `Partition(*settings)` is equal."""
        return [self.start, self.categories, list(self.edges), self.missing, list(self.joined)]


def class_partition(domain: Domain) -> Partition:
    """Each class a cell of its own."""
    return Partition(CLASS, domain.n_classes, (), False, tuple(range(domain.n_classes)))


def column_partitions(domain: Domain, *, most_cells: int) -> dict[str, Partition]:
    """The finest public partition of every column but the label.

    Numbers are divided into at most `most_cells` intervals of equal width (whole numbers and declared decimals: of
    equally many values, cut half-way between them), and also where the domain declares bins, and round 0 and the
    bounds.
    """
    partitions = {}
    for slot in domain.slots:
        column = domain.encoded_columns[slot.column]
        if slot.kind == "categorical":
            size = slot.stop - slot.start
            partitions[slot.column] = Partition(slot.start, size, (), False, tuple(range(size)))
        elif slot.kind == "numerical" and isinstance(column, Numerical | Timestamp):
            own = [edge for interval in likely_values(column) for edge in interval]
            cuts = {*equal_width_edges(column, most_cells), *declared_cuts(column), *own}
            edges = tuple(sorted(cuts))
            fine = len(edges) - 1 + column.missing
            partitions[slot.column] = Partition(slot.start, 0, edges, column.missing, tuple(range(fine)))
    return partitions


def equal_width_edges(column: Column, most_cells: int) -> tuple[int, ...]:
    """Edges in grid steps of at most `most_cells` intervals of equal width, on the column's scale."""
    column, values = in_numbers(column), whole_values(column)
    if values is None:
        return tuple(np.rint(np.linspace(-GRID, GRID, most_cells + 1)).astype(np.int64).tolist())
    assert isinstance(column, Numerical)
    if is_logarithmic(column):
        cuts = np.ceil(numbers_at(column, np.arange(1, most_cells) / most_cells) * _per_unit(column))
        return (-GRID, *cuts_before(cuts[cuts > values[0]], column), GRID)
    each = -(-len(values) // most_cells)  # values in an interval, rounded up
    return (-GRID, *cuts_before(values[each::each], column), GRID)


def likely_values(column: Column) -> dict[tuple[int, int], float]:
    """0 and the bounds of a number, where an interval of their own finds them: zero-inflated and capped columns.

    Public: said by the domain alone. None where the values are so few that all are seen by themselves anyway.

    Returns:
        The encoded number that stands in each of the intervals, which are in grid steps.
    """
    column, values = in_numbers(column), whole_values(column)
    if not isinstance(column, Numerical) or (values is not None and values.stop - values.start <= FEW):
        return {}
    lower, upper = float(column.lower), float(column.upper)
    if values is not None:
        lower, upper = values[0] / _per_unit(column), values[-1] / _per_unit(column)
    found: dict[tuple[int, int], float] = {}
    for number in sorted({lower, upper} | ({0.0} if lower < 0.0 < upper else set())):
        around = number + (np.zeros(2) if values is None else np.array([-0.5, 0.5]) / _per_unit(column))
        low, high = (
            np.clip(np.rint((shares(column, around) * 2 - 1) * GRID), -GRID, GRID).astype(int).tolist()
        )
        low = min(low, GRID - 1)
        found[low, max(high, low + 1)] = float(shares(column, np.array(number))) * 2 - 1
    return found


def cuts_before(first: Sequence[int] | NDArray[Any], column: Numerical) -> tuple[int, ...]:
    """Where to cut so that each of the values, numbered as in `whole_values`, begins an interval."""
    places = shares(column, (np.asarray(first, dtype=np.float64) - 0.5) / _per_unit(column))
    return tuple(np.unique(np.rint((places * 2 - 1) * GRID)).astype(np.int64).tolist())


def whole_between(low: int, high: int, column: Numerical) -> range:
    """The values, numbered as in `whole_values`, in an interval: it includes its lower edge, the last one both."""
    values = _values(column)
    numbers = numbers_at(column, (np.array([low, high]) / GRID + 1) / 2)
    first, end = np.ceil(numbers * _per_unit(column)).astype(int).tolist()
    return range(
        max(first, values.start) if low > -GRID else values.start, values.stop if high == GRID else end
    )


def whole_values(column: Column) -> range | None:
    """The values that a column can hold, as multiples of their distance: whole numbers, or hundredths where two
    decimals are declared, or days. None where nothing is declared of that, or they are more than the grid tells apart.
    """
    column = in_numbers(column)
    if isinstance(column, Numerical) and column.per_unit is not None:
        values = _values(column)
        few = values.stop - values.start <= GRID  # len() ends at 2^63
        return values if few or is_logarithmic(column) else None
    return None


def _values(column: Numerical) -> range:
    if column.integer:
        return range(math.ceil(column.lower), math.floor(column.upper) + 1)
    # The bounds have no more decimals than are declared, and 0.29 * 100 is below 29.
    return range(round(column.lower * _per_unit(column)), round(column.upper * _per_unit(column)) + 1)


def _per_unit(column: Numerical) -> int:
    return column.per_unit or 1


def declared_cuts(column: Column) -> tuple[int, ...]:
    """The bins that a domain declares for a column, in grid steps."""
    column = in_numbers(column)
    if isinstance(column, Timestamp):
        (lower, upper), bins = column.bounds_seconds, column.bins_seconds
        places = (np.array(bins, dtype=np.float64) - lower) / (upper - lower)
    elif isinstance(column, Numerical):
        values, cuts = whole_values(column), np.array(column.bins, dtype=np.float64)
        if values is not None:
            first = np.ceil(cuts) if column.integer else np.rint(cuts * _per_unit(column))
            return cuts_before(first[(first > values[0]) & (first <= values[-1])], column)
        places = shares(column, cuts)
    else:
        return ()
    steps = np.rint((places * 2 - 1) * GRID).astype(np.int64)
    return tuple(np.unique(steps[np.abs(steps) < GRID]).tolist())
