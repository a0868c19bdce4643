"""What a private embedding says of a product mixture's cells: the targets of the fit, and how cells become values.

From noisy values only. The layout puts the cells of all columns side by side, the label first, as the mixture has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keshi.records.column_kinds import Column, Numerical
from keshi.records.number_scales import numbers_at, shares
from keshi.synthesis.column_counts import ColumnCounts, column_counts, shared_out
from keshi.synthesis.features import ClassCounts
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.mixture import ColumnValues
from keshi.synthesis.partitions import CLASS, GRID, Partition, likely_values
from keshi.synthesis.private_embedding import PrivateEmbedding, project_to_simplex
from keshi.synthesis.weighed_counts import Weighed, agreed, trusted

MOST_NODES = 4.0  # of the first look's tree that make up an interval of many leaves, about
LEAST = 0.1  # units in a cell where the fit begins: an empty one must be able to fill
POPULAR = 0.8  # a part of a leaf that holds so much of it is taken for a single value


@dataclass(frozen=True, eq=False)
class Targets:
    """What was measured, laid out as the mixture predicts it; a precision of 0 stands where nothing was.

    Attributes:
        within, within_precision: (groups, cells, cells) counts of pairs within each group of classes.
        over_all, over_all_precision: (cells, cells) counts of pairs over all classes.
        single, single_precision: (cells,) counts of single columns.
    """

    within: Tensor
    within_precision: Tensor
    over_all: Tensor
    over_all_precision: Tensor
    single: Tensor
    single_precision: Tensor

    def to(self, device: str) -> Targets:
        """The same on another device of torch."""
        return Targets(*(tensor.to(device) for tensor in vars(self).values()))

    @property
    def measured(self) -> int:
        """Number of measured cells."""
        precisions = (self.within_precision, self.over_all_precision, self.single_precision)
        return sum(int((precision > 0).sum()) for precision in precisions)


class MarginalLayout:
    """Where the cells of each column stand among all cells, and what was measured of them."""

    def __init__(self, embedding: PrivateEmbedding) -> None:
        second = embedding.measurement(MarginalFeatures)
        block: MarginalFeatures = second.features(MarginalFeatures)
        self.block = block
        self.tables = block.tables(second.values(MarginalFeatures))
        self.noise_std = block.noise_stds(second.noise_std(MarginalFeatures))
        self.count = embedding.count
        self.by_class = embedding.class_counts
        self.by_class_noise = embedding.measurement(ClassCounts).noise_std(ClassCounts)
        encoded = embedding.domain.encoded_columns
        self.declared = {slot.start: encoded[slot.column] for slot in embedding.domain.slots}
        label = Partition(CLASS, block.n_classes, (), False, tuple(range(block.n_classes)))
        partitions: dict[int, Partition] = {CLASS: label} if block.n_classes > 1 else {}
        self.group = np.zeros(block.n_classes, dtype=np.int64)  # of each class
        for marginal in block.marginals:
            own = [block.partitions[index] for index in marginal]
            if own[0].start == CLASS and len(own) == 3:
                self.group = np.array(own[0].joined)
            for partition in own:
                known = partitions.get(partition.start, partition)
                if partition.cells <= known.cells:  # of two resolutions the one that pairs are measured in
                    partitions[partition.start] = known if partition.start == CLASS else partition
        self.partitions = partitions = dict(
            sorted(partitions.items())
        )  # the label, then as in the encoded vector
        sizes = [partition.cells for partition in partitions.values()]
        self.first_cell = dict(zip(partitions, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        self.size = sum(sizes)
        self.group_counts = np.bincount(self.group, weights=self.by_class)
        first = next(m for m in embedding.measurements if m.has(MarginalFeatures))
        self.columns = {c.partition.start: c for c in column_counts(first, self.count)}
        self._fine_counts = self._finest_of_columns()

    def targets(self) -> Targets:
        """Everything that was measured, and the best that is known of each column by itself."""
        groups, size = len(self.group_counts), self.size
        within, within_precision = np.zeros((2, groups, size, size))
        over_all, over_all_precision = np.zeros((2, size, size))
        single, single_precision = np.zeros((2, size))
        for marginal, table, noise_std in zip(self.block.marginals, self.tables, self.noise_std, strict=True):
            own = [self.block.partitions[index] for index in marginal]
            if any(p.start != CLASS and p != self.partitions[p.start] for p in own):
                continue  # fine cells: they say what lies within a cell
            at = [self._cells(partition) for partition in own]
            if len(own) == 3:
                within[:, at[1], at[2]], within_precision[:, at[1], at[2]] = table, noise_std**-2.0
            elif len(own) == 2:
                over_all[at[0], at[1]], over_all_precision[at[0], at[1]] = table, noise_std**-2.0
            elif not single_precision[at[0]].any():
                single[at[0]], single_precision[at[0]] = table, noise_std**-2.0
        for start, (partition, counts, variance) in self._fine_counts.items():
            at_column = self._cells(self.partitions[start])
            joined = np.array(self._joined(start, partition))
            own_counts, own_precision = (
                np.bincount(joined, weights=counts),
                1 / np.bincount(joined, weights=variance),
            )
            before = single_precision[at_column]
            single[at_column] = (single[at_column] * before + own_counts * own_precision) / (
                before + own_precision
            )
            single_precision[at_column] = before + own_precision
        if CLASS in self.partitions:
            at_label = self._cells(self.partitions[CLASS])
            single[at_label], single_precision[at_label] = self.by_class, self.by_class_noise**-2.0
        arrays = (within, within_precision, over_all, over_all_precision, single, single_precision)
        return Targets(*(torch.tensor(array, dtype=torch.float32) for array in arrays))

    def independent_logits(self) -> Tensor:
        """(groups, cells) logits of a mixture in which all columns are independent within a group of classes."""
        logits = np.zeros((len(self.group_counts), self.size))
        within = self._singles_within()
        for start, partition in self.partitions.items():
            if start == CLASS:
                for group in range(len(self.group_counts)):
                    counts = np.where(self.group == group, self.by_class + 1.0, 1e-9)
                    logits[group, self._cells(partition)] = np.log(counts / counts.sum())
                continue
            by_group = within[start] + LEAST
            logits[:, self._cells(partition)] = np.log(by_group / by_group.sum(axis=1, keepdims=True))
        return torch.tensor(logits, dtype=torch.float32)

    @property
    def label_is_joined(self) -> bool:
        """Whether several classes share components."""
        return len(self.group_counts) < self.block.n_classes

    def membership(self) -> Tensor:
        """(cells, columns) which column a cell belongs to."""
        owner = np.repeat(np.arange(len(self.partitions)), [p.cells for p in self.partitions.values()])
        return torch.nn.functional.one_hot(torch.tensor(owner)).float()

    def values(self) -> list[ColumnValues]:
        """How the cells of each column become values, from the finest counts there are."""
        found = []
        for start, partition in self.partitions.items():
            if start == CLASS:
                found.append(
                    ColumnValues(partition, np.ones(partition.cells), np.full(partition.cells, np.nan))
                )
                continue
            fine, counts, _ = self._fine_counts[start]
            if not partition.categories:
                fine, counts = _with_leaves(fine, counts, self.columns[start])
            single = np.full(len(counts), np.nan)
            if not partition.categories:
                single = popular_values(fine, counts, self.columns[start].partition, self.declared[start])
            counts = counts + 1e-9 * max(self.count, 1.0)
            found.append(ColumnValues(fine.joining(self._joined(start, fine)), counts, single))
        return found

    def _finest_of_columns(self) -> dict[int, tuple[Partition, NDArray[np.float64], NDArray[np.float64]]]:
        """Partition, counts and variances of the finest cells of each column, from both measurements."""
        found = {}
        for start, column in self.columns.items():
            variance = np.full(len(column.counts), column.noise_std**2)
            found[start] = (column.partition, column.counts, variance)
        for (index, *others), table, noise_std in zip(
            self.block.marginals, self.tables, self.noise_std, strict=True
        ):
            partition = self.block.partitions[index]
            if others or partition == self.partitions[partition.start]:
                continue
            found[partition.start] = finest_counts(
                partition, table, float(noise_std), self.columns[partition.start], self.count
            )
        return found

    def _joined(self, start: int, fine: Partition) -> NDArray[np.int64]:
        """Cell of the pairs' partition that holds each fine cell."""
        coarse = self.partitions[start]
        if coarse.categories:
            return np.array(coarse.joined)
        place = np.searchsorted(coarse.edges, fine.edges[:-1], side="right") - 1
        joined = np.array(coarse.joined)[place]
        return np.append(joined, coarse.cells - 1) if fine.missing else joined

    def _singles_within(self) -> dict[int, NDArray[np.float64]]:
        """(groups, cells) counts of each column within each group of classes: all that was measured says of them."""
        weighed: dict[int, tuple[Weighed, Weighed]] = {}
        for start, (fine, counts, variance) in self._fine_counts.items():
            joined = self._joined(start, fine)
            weighed[start] = Weighed(), Weighed()
            weighed[start][1].add(np.bincount(joined, weights=counts), np.bincount(joined, weights=variance))
        classes = np.bincount(self.group)[:, None]
        for marginal, table, noise_std in zip(self.block.marginals, self.tables, self.noise_std, strict=True):
            own = [self.block.partitions[index] for index in marginal]
            if any(p.start != CLASS and p != self.partitions[p.start] for p in own):
                continue  # fine cells
            labelled, of_cell = own[0].start == CLASS, float(noise_std) ** 2
            if labelled and len(own) == 2 and len(table) != len(self.group):
                raise ValueError("pairs with the label join classes")
            for along, partition in enumerate(own):
                if partition.start == CLASS:
                    continue
                within, over_all = weighed[partition.start]
                others = tuple(i for i in range(len(own)) if i != along and not (labelled and i == 0))
                summed = table.sum(axis=others)
                cells = math.prod(table.shape[i] for i in others)
                if not labelled:
                    over_all.add(summed, np.full(partition.cells, of_cell * cells))
                elif len(own) == 2:  # each class by itself
                    grouped = np.zeros((len(classes), partition.cells))
                    np.add.at(grouped, self.group, summed)
                    within.add(grouped, of_cell * classes)
                else:
                    within.add(summed, np.full((len(classes), 1), of_cell * cells))
        return {start: agreed(*both, self.group_counts) for start, both in weighed.items()}

    def _cells(self, partition: Partition) -> slice:
        start = self.first_cell[partition.start]
        if partition.start == CLASS:
            return slice(start, start + self.block.n_classes)
        return slice(start, start + partition.cells)


def finest_counts(
    fine: Partition, table: NDArray[np.float64], noise_std: float, column: ColumnCounts, total: float
) -> tuple[Partition, NDArray[np.float64], NDArray[np.float64]]:
    """Partition, counts and variances of the finest cells of a number, from both measurements.

    Whatever both have counted, whole leaves, is weighed by its noise. How a leaf is divided only the second can say:
    its parts share what the leaf holds, so that noise in hundreds of empty ones takes nothing from other leaves.
    """
    edges, leaf_edges = np.array(fine.edges), np.array(column.partition.edges)
    begins = np.flatnonzero(np.isin(edges[:-1], leaf_edges))
    parts = np.diff(np.append(begins, fine.intervals))
    unit_edges = np.append(edges[begins], edges[-1])
    leaves = np.minimum(np.diff(np.searchsorted(leaf_edges, unit_edges)), MOST_NODES)
    unit = np.repeat(np.arange(len(begins)), parts)
    summed = np.append(np.bincount(unit, weights=table[: fine.intervals]), table[fine.intervals :])
    known = np.append(column.in_intervals(unit_edges.tolist()), column.missing)
    if fine.missing:
        parts, leaves = np.append(parts, 1), np.append(leaves, 1)
    own_weight = column.noise_std**2 * leaves / (column.noise_std**2 * leaves + noise_std**2 * parts)
    kept = own_weight * trusted(summed - known, noise_std**2 * parts, own_weight)
    held = project_to_simplex(known + kept * (summed - known), total)
    counts = np.repeat(held, parts)
    for place in np.flatnonzero(parts > 1):
        cells = slice(begins[place], begins[place] + parts[place])
        counts[cells] = shared_out(
            table[cells], noise_std, np.diff(edges[cells.start : cells.stop + 1]), held[place]
        )
    variance = noise_std**2 * np.where(parts > 1, 1.0, own_weight)
    return fine, counts, np.repeat(variance, parts)


def popular_values(
    fine: Partition, counts: NDArray[np.float64], leaves: Partition, column: Column
) -> NDArray[np.float64]:
    """(fine cells,) the encoded number that stands for each interval in which nearly all values are one; else NaN.

    0 and the bounds have intervals of their own.
    A part of a leaf that holds most of it is 2^-18 to 2^-21 of the range wide: what lies there is a popular value (0, a
    rate of 0.05), and the shortest number in the interval is the one that people write.
    """
    single = np.full(len(counts), np.nan)
    if not isinstance(column, Numerical):
        return single
    edges = np.array(fine.edges)
    leaf = np.searchsorted(leaves.edges, edges[:-1], side="right") - 1
    held = np.bincount(leaf, weights=counts[: fine.intervals], minlength=leaves.intervals)
    parts = np.bincount(leaf, minlength=leaves.intervals)
    popular = (parts[leaf] > 1) & (counts[: fine.intervals] > POPULAR * held[leaf])
    for cell in np.flatnonzero(popular):
        # Numbers are encoded by the nearest step of the grid; whole ones are cut half-way between them where steps are
        # narrower than one.
        first, second, low, high = numbers_at(
            column, _shares_at([edges[cell], edges[cell] + 1, *edges[cell : cell + 2]])
        )
        if not column.integer or second - first >= 1:
            low, high = numbers_at(column, _shares_at(edges[cell : cell + 2] - 0.5))
            if column.integer:
                low, high = np.ceil(low), np.floor(high)
        else:
            last = edges[cell + 1] == GRID  # else the upper edge belongs to the next interval
            low, high = np.ceil(low), np.floor(high) if last else np.ceil(high) - 1
        single[cell] = shares(column, np.array(shortest_number(low, high))) * 2 - 1
    likely = likely_values(column)
    for place, interval in enumerate(pairwise(fine.edges)):
        if interval in likely:
            single[place] = likely[interval]
    return np.clip(single, -1.0, 1.0)


def _shares_at(steps: Any) -> NDArray[np.float64]:
    """Steps of the grid as shares of the range, from 0 to 1."""
    return np.clip((np.asarray(steps, dtype=np.float64) / GRID + 1) / 2, 0.0, 1.0)


def shortest_number(low: float, high: float) -> float:
    """The number with the fewest decimal places in [low, high]; of several, the one nearest to the middle."""
    if low <= 0.0 <= high:
        return 0.0
    if low >= high:
        return float(low)
    middle = (low + high) / 2
    for places in range(-int(np.floor(np.log10(max(abs(low), abs(high))))), 18):
        rounded = round(middle, places)
        if low <= rounded <= high:
            return float(rounded)
    return middle


def _with_leaves(
    fine: Partition, counts: NDArray[np.float64], column: ColumnCounts
) -> tuple[Partition, NDArray[np.float64]]:
    """The fine cells divided at the leaves of the first look, too, which share a cell's count as they were counted."""
    edges = sorted({*fine.edges, *column.partition.edges})
    share = column.in_intervals(edges) + 1e-9
    parent = np.searchsorted(fine.edges, edges[:-1], side="right") - 1
    held = np.bincount(parent, weights=share)
    divided = np.concatenate([share / held[parent] * counts[parent], counts[fine.intervals :]])
    cells = tuple(range(len(divided)))
    return Partition(fine.start, 0, tuple(edges), fine.missing, cells), divided
