"""Partition: how one column is divided into cells, seen from the encoded vector of a record. Public, or paid for.

Cells of a category are its values; cells of a number are intervals of the public grid. A partition divides a column
first finely and then joins fine cells into coarser ones, so that one column can be looked at in several resolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Column, Numerical
from keshi.records.domain import Domain
from keshi.records.encoded import FEATURE_BITS, EncodedBatch

GRID = 2**FEATURE_BITS  # encoded numbers are multiples of 1 / GRID, from -1 to 1
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
            object.__setattr__(self, key, tuple(int(value) for value in getattr(self, key)))
        numbered = sorted(set(self.joined)) == list(range(max(self.joined, default=-1) + 1))
        if len(self.joined) != self.fine_cells or not self.joined or not numbered:
            raise ValueError("a partition joins each of its fine cells into one of the cells 0, 1, 2, ...")
        if self.edges and (
            self.edges[0] != -GRID or self.edges[-1] != GRID or (np.diff(self.edges) <= 0).any()
        ):
            raise ValueError("the edges of a partition ascend from -1 to 1.")

    @property
    def fine_cells(self) -> int:
        return self.categories or len(self.edges) - 1 + self.missing

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
            cells[batch.vectors[:, self.start + 1] > 0.5] = len(self.edges) - 1
        return cells

    def joining(self, joined: Sequence[int] | NDArray[Any]) -> Partition:
        """The same fine cells, joined in another way."""
        return Partition(self.start, self.categories, self.edges, self.missing, tuple(joined))

    def finest(self) -> Partition:
        """The same fine cells, each by itself."""
        return self.joining(range(self.fine_cells))

    def settings(self) -> list[Any]:
        return [self.start, self.categories, list(self.edges), self.missing, list(self.joined)]


def class_partition(domain: Domain) -> Partition:
    """Each class a cell of its own."""
    return Partition(CLASS, domain.n_classes, (), False, tuple(range(domain.n_classes)))


def column_partitions(domain: Domain, *, most_cells: int) -> dict[str, Partition]:
    """The finest public partition of every column but the label.

    Numbers are divided into at most `most_cells` intervals of equal width (whole numbers: of equally many values; the
    cuts lie half-way between them), and where the domain declares bins, at these too.
    """
    partitions = {}
    for slot in domain.slots:
        if slot.kind == "categorical":
            size = slot.stop - slot.start
            partitions[slot.column] = Partition(slot.start, size, (), False, tuple(range(size)))
        elif slot.kind == "numerical":
            column = domain.columns[slot.column]
            edges = equal_width_edges(column, most_cells)
            fine = len(edges) - 1 + column.missing
            partitions[slot.column] = Partition(slot.start, 0, edges, column.missing, tuple(range(fine)))
    return partitions


def equal_width_edges(column: Column, most_cells: int) -> tuple[int, ...]:
    """Edges in grid steps of at most `most_cells` intervals of equal width."""
    values = whole_values(column)
    if values is None or values > GRID:
        return tuple(np.rint(np.linspace(-GRID, GRID, most_cells + 1)).astype(np.int64))
    each = -(-values // most_cells)  # values in an interval, rounded up
    first = np.arange(each, values, each)  # first value of every interval but the first
    return (-GRID, *cuts_before(first, values), GRID)


def cuts_before(first: NDArray[np.int64], values: int) -> tuple[int, ...]:
    """Where to cut so that the whole number `first` (0 is the lower bound, of `values` in all) begins an interval."""
    return tuple(np.rint(((first - 0.5) / (values - 1) * 2 - 1) * GRID).astype(np.int64))


def whole_values(column: Column) -> int | None:
    """How many whole numbers a column can hold; None where it is not one of whole numbers."""
    if isinstance(column, Numerical) and column.integer:
        return int(column.upper) - int(column.lower) + 1
    return None
