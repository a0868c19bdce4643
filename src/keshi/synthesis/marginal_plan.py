"""Which marginals preset `keshi` measures: a first look at each column by itself, then a second at all pairs.

The first look depends on the domain alone; the second on the domain and the noisy values of the first: columns are
divided by what stands out from the noise, and cells too rare to be seen in a pair are joined. Never on a record.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Column, Numerical, in_numbers
from keshi.records.domain import Domain
from keshi.synthesis.column_counts import (
    ColumnCounts,
    column_counts,
    joined_neighbours,
    joined_rare,
    tree_levels,
)
from keshi.synthesis.features import AMPLITUDE
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import (
    GRID,
    Partition,
    class_partition,
    column_partitions,
    cuts_before,
    declared_cuts,
    likely_values,
    whole_between,
    whole_values,
)
from keshi.synthesis.private_embedding import Measurement, project_to_simplex
from keshi.synthesis.unit_counts import counts_of_classes

NEIGHBOURS = 4  # leaves to each side that a leaf is compared with, and ...
WIDEST_SHARE = 1 / 20  # of the range: where an interval of a pair may end though it holds little
PEAK = 3.0  # ... how many times as much as their median it holds where it may be a single value
LIKELY = 2.0  # noise standard deviations: 0 or a bound that holds as much is a cell by itself; several levels saw it
MOST_COORDINATES = 400_000  # of one measurement: their noise takes 8 seconds
FEWEST_LEAVES = 16
FEWEST_FINE = 6  # intervals that a number is divided into finely, at least, whatever the noise
FINER = 8  # times as many parts: of leaves with whole numbers (codes), and of leaves sure to hold a popular one, ...
SURE = 2.0  # ... that is so many times the least of a leaf that is divided, ...
PEAKS_SHARE = 8  # ... where such parts have no more cells than this part of a measurement, ...
FINE_SHARE = 2  # ... and the parts of all divided leaves than this: pairs need the rest
MOST_WEIGHED = 2_048  # cells that a number's fine partition counts as: pairs need their share of mu, too
MOST_PAIRS_OF_CELLS = 2**26  # that the mixture is fitted to, measured or not: some 2 GB


@dataclass(frozen=True)
class Resolution:
    """How finely to look. Chosen on public data sets; the same for all.

    Attributes:
        leaves: Intervals of a number in the first look.
        zoom: Parts of a leaf that holds so much that it may be a single value (capital gains of 0).
        fine_bins: Intervals of a number in the second look, where the noise allows them, ...
        fine_noise: ... and what each must hold at least, in noise standard deviations of the first look.
        pair_bins: Intervals of a number in a pair, as a multiple of sqrt(records / noise of a count of a pair) ...
        least_pair_bins, most_pair_bins: ... and their limits.
        least_categories: Of a column that stay apart in a pair, if they are not rare.
        rare: A category is joined with other rare ones below so many noise standard deviations of the first look.
        rare_class: A class gets pairs of its own if it holds so many noise standard deviations of a count of a pair.
        label_weight: Weight of a pair with the label against another pair of as many cells.
        fine_weight: Weight of the fine intervals of a column against a pair of as many cells.
        both_weight: Weight of a pair of columns over all classes against the same pair within each class; 0 leaves it
            out where pairs are measured within the classes.
    """

    leaves: int = 4_096
    zoom: int = 64
    fine_bins: float = 64.0
    fine_noise: float = 4.0
    pair_bins: float = 0.5
    least_pair_bins: int = 4
    most_pair_bins: int = 32
    least_categories: int = 64
    rare: float = 2.0
    rare_class: float = 5.0
    label_weight: float = 4.0
    fine_weight: float = 2.0
    both_weight: float = 0.3


def first_look(domain: Domain, resolution: Resolution) -> MarginalFeatures:
    """Every column by itself, with one noise; numbers in a tree of intervals, of fewer leaves where they are many."""
    numbers = sum(slot.kind == "numerical" for slot in domain.slots)
    affordable = MOST_COORDINATES * 7 // 8 // max(1, numbers)  # the coarser levels take a fifteenth more
    leaves = min(resolution.leaves, max(FEWEST_LEAVES, affordable))
    partitions: list[Partition] = []
    for name, partition in column_partitions(domain, most_cells=leaves).items():
        levels: Sequence[Sequence[int] | NDArray[np.int64]] = [partition.joined]
        if not partition.categories:
            likely = likely_values(domain.encoded_columns[name])
            levels = tree_levels(np.array([interval in likely for interval in pairwise(partition.edges)]))
        partitions += [partition.joining(level) for level in levels]
    marginals = tuple((index,) for index in range(len(partitions)))
    return MarginalFeatures(tuple(partitions), marginals, (AMPLITUDE,) * len(marginals), domain.n_classes)


def fewest_cells(domain: Domain, resolution: Resolution) -> int:
    """Cells of all columns together in the second look, where every column has as few as it can."""
    numbers = sum(slot.kind == "numerical" for slot in domain.slots)
    sizes = (slot.stop - slot.start for slot in domain.slots if slot.kind == "categorical")
    categories = sum(min(size, resolution.least_categories) for size in sizes)
    return domain.n_classes + categories + resolution.least_pair_bins * numbers


def second_look(domain: Domain, first: Measurement, *, mu: float, resolution: Resolution) -> MarginalFeatures:
    """All pairs of columns within each class and over all, the label among the columns; and each number finely.

    Args:
        domain: Public knowledge.
        first: The measurement of `first_look`, with ClassCounts.
        mu: What the second look will spend.
        resolution: How finely to look.
    """
    by_class = np.maximum(counts_of_classes([first], domain.n_classes), 0.0)
    total = max(float(by_class.sum()), 1.0)
    seen = column_counts(first, total)
    pair_noise = _noise_of_unit_norm(first) / mu * math.sqrt(len(seen) * (len(seen) + 1) / 2)
    bins = resolution.pair_bins * math.sqrt(total / pair_noise)
    numbers = sum(slot.kind == "numerical" for slot in domain.slots)
    room = math.isqrt(MOST_PAIRS_OF_CELLS) - fewest_cells(domain, resolution)
    wide = sum(slot.stop - slot.start > resolution.least_categories for slot in domain.slots)
    spare = room / max(1, 2 * numbers + wide)  # there may be twice as many intervals as aimed at
    affordable = resolution.least_pair_bins + spare
    bins = float(np.clip(bins, resolution.least_pair_bins, min(resolution.most_pair_bins, affordable)))
    names = dict.fromkeys(slot.column for slot in domain.slots)
    room = MOST_COORDINATES // max(1, numbers)
    fine: list[Partition] = []
    weighed: list[int] = []
    coarse: list[Partition] = []
    for name, counts in zip(names, seen, strict=True):
        rare = resolution.rare * counts.noise_std
        if counts.partition.categories:
            most = resolution.least_categories + int(spare)
            coarse.append(counts.partition.joining(joined_rare(counts.counts, rare, most=most)))
            continue
        enough = min(resolution.fine_noise * counts.noise_std, total / FEWEST_FINE)
        target = max(total / resolution.fine_bins, enough)
        fine.append(_fine_partition(counts, domain.encoded_columns[name], target, resolution, room))
        weighed.append(_weighed_cells(fine[-1], counts.partition, resolution.zoom))
        seen_apart = min(rare, total / resolution.least_pair_bins)
        target = max(total / bins, seen_apart)
        coarse.append(_pair_partition(fine[-1], counts, domain.encoded_columns[name], target, seen_apart))
    chosen = _Chosen(domain, resolution)
    chosen.columns(coarse, fine, weighed)
    return chosen.with_pairs(project_to_simplex(by_class, total), rare=resolution.rare_class * pair_noise)


@dataclass
class _Chosen:
    """Marginals as they are chosen, with their weights."""

    domain: Domain
    resolution: Resolution
    partitions: list[Partition] = field(default_factory=list)
    marginals: list[tuple[int, ...]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    in_pairs: list[int] = field(default_factory=list)

    def columns(self, coarse: list[Partition], fine: list[Partition], weighed: list[int]) -> None:
        """Each number finely, and each column with the label."""
        self.in_pairs = [self._placed(partition) for partition in coarse]
        for partition, cells_that_count in zip(fine, weighed, strict=True):
            self._add((self._placed(partition),), self.resolution.fine_weight, cells_that_count)
        label = (self._placed(class_partition(self.domain)),) if self.domain.n_classes > 1 else ()
        for column in self.in_pairs:
            self._add((*label, column), self.resolution.label_weight)

    def with_pairs(self, by_class: NDArray[np.float64], *, rare: float) -> MarginalFeatures:
        """And all pairs of columns: within each class that is not rare, as far as there is room, and over all."""
        pairs = list(combinations(self.in_pairs, 2))
        cells = [self._cells(pair) for pair in pairs]
        room = MOST_COORDINATES - sum(self._cells(marginal) for marginal in self.marginals)
        size = self.domain.n_classes + sum(self.partitions[index].cells for index in self.in_pairs)
        groups = joined_rare(by_class, rare, most=max(1, room // max(1, sum(cells))))
        group_count = int(groups.max()) + 1
        if group_count > 1 and group_count * size**2 <= MOST_PAIRS_OF_CELLS:
            group = self._placed(class_partition(self.domain).joining(groups))
            for pair in pairs:
                self._add((group, *pair), 1.0)
            room -= group_count * sum(cells)
            if not self.resolution.both_weight:
                pairs = []
        # A public choice where there is no room for all: by a fixed shuffle, whatever the data.
        order = (
            np.random.default_rng(0).permutation(len(pairs)) if sum(cells) > room else np.arange(len(pairs))
        )
        for index in order:
            if cells[index] > room:
                break
            room -= cells[index]
            self._add(pairs[index], self.resolution.both_weight or 1.0)
        largest = max(self.weights)
        weights = tuple(max(1, round(weight / largest * AMPLITUDE)) for weight in self.weights)
        return MarginalFeatures(tuple(self.partitions), tuple(self.marginals), weights, self.domain.n_classes)

    def _placed(self, partition: Partition) -> int:
        self.partitions.append(partition)
        return len(self.partitions) - 1

    def _cells(self, marginal: tuple[int, ...]) -> int:
        return math.prod(self.partitions[index].cells for index in marginal)

    def _add(self, marginal: tuple[int, ...], factor: float, cells: int | None = None) -> None:
        """With noise sigma / w a marginal of c cells is c sigma / w off in L1; given sum w^2, w = c^(1/3) is best."""
        self.marginals.append(marginal)
        self.weights.append(factor * (cells or self._cells(marginal)) ** (1 / 3))


def _weighed_cells(fine: Partition, leaves: Partition, most: int) -> int:
    """How many cells a fine partition counts as: of however many parts of a leaf, one holds its popular value."""
    parts = np.bincount(np.searchsorted(leaves.edges, fine.edges[:-1], side="right"))
    return min(MOST_WEIGHED, int(np.minimum(parts, most).sum()) + fine.missing)


def _noise_of_unit_norm(measured: Measurement) -> float:
    """Noise of a count, in records, where one marginal alone is measured with mu = 1, for the same unit of privacy."""
    block: MarginalFeatures = measured.features(MarginalFeatures)
    share = measured.share(MarginalFeatures)
    return measured.noise_std(MarginalFeatures) * AMPLITUDE * measured.mu * math.sqrt(share) / block.norm


def _fine_partition(
    counts: ColumnCounts, column: Column, target: float, resolution: Resolution, room: int
) -> Partition:
    """Intervals that hold about `target` records; a leaf that holds twice as much is divided again.

    A leaf that stands out is divided more finely, as far as there is room: a column's part of a measurement has `room`
    cells. Where not even all leaves can be divided, the fullest are.
    """
    known = counts.partition
    edges = np.array(known.edges)
    held = counts.counts[: known.intervals]
    enough = resolution.fine_noise * counts.noise_std
    widest = 2 * GRID / resolution.fine_bins
    groups = joined_neighbours(held, target, widths=np.diff(edges), widest=widest, least=enough)
    cuts = set(edges[np.flatnonzero(np.diff(groups)) + 1].tolist())
    cuts.update(declared_cuts(column))
    peaks = stands_out(held) & (held >= enough)
    sure = peaks & (held >= SURE * enough)
    whole = whole_values(column) is not None
    divided = np.flatnonzero((held >= 2 * target) | peaks)
    divided = divided[np.argsort(-held[divided], kind="stable")][: room // FINE_SHARE // resolution.zoom]
    finer, share = (len(divided), FINE_SHARE) if whole else (int(sure.sum()), PEAKS_SHARE)
    times = int(np.clip(room // share // (resolution.zoom * max(1, finer)), 1, FINER))
    for leaf in divided:
        low, high = known.edges[leaf], known.edges[leaf + 1]
        parts = resolution.zoom * (times if whole or sure[leaf] else 1)
        cuts |= {low, high, *_zoomed(low, high, column, parts)}
    likely = likely_values(column)
    for interval, count in zip(pairwise(known.edges), held, strict=True):
        if interval in likely and count >= LIKELY * counts.noise_std:
            cuts.update(interval)
    inner = sorted(cuts - {known.edges[0], known.edges[-1]})
    fine = len(inner) + 1 + known.missing
    return Partition(
        known.start, 0, (known.edges[0], *inner, known.edges[-1]), known.missing, tuple(range(fine))
    )


def stands_out(held: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(leaves,) whether a leaf holds several times as much as those around it: it may hold a popular value."""
    padded = np.pad(held, NEIGHBOURS)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    return held > PEAK * (np.median(around, axis=1) + 1e-9)


def _zoomed(low: int, high: int, column: Column, parts: int) -> tuple[int, ...]:
    """Cuts that divide an interval into so many parts, or into its whole numbers."""
    if whole_values(column) is None:
        return tuple(np.unique(np.rint(np.linspace(low, high, parts + 1)).astype(np.int64)).tolist())
    column = in_numbers(column)
    assert isinstance(column, Numerical)
    inside = whole_between(low, high, column)
    each = max(1, -(-len(inside) // parts))
    return cuts_before(inside[each::each], column)


def _pair_partition(
    fine: Partition, counts: ColumnCounts, column: Column, target: float, least: float
) -> Partition:
    """The fine intervals, joined until they hold about `target` records, within the bins that the domain declares.

    Where records are few, a twentieth of the range suffices if it holds `least`.

    Parts of a leaf that is divided again stay together: how they differ is not known yet.
    """
    edges = sorted({*counts.partition.edges} & {*fine.edges})
    declared = declared_cuts(column)
    if declared:
        edges = sorted({edges[0], *declared, edges[-1]})
    leaf = np.searchsorted(edges, fine.edges[:-1], side="right") - 1
    group = np.unique(leaf, return_inverse=True)[1]
    held = np.bincount(group, weights=counts.in_intervals(fine.edges)).astype(np.float64)
    widths = np.bincount(group, weights=np.diff(fine.edges)).astype(np.float64)
    joined = joined_neighbours(held, target, widths=widths, widest=2 * GRID * WIDEST_SHARE, least=least)
    return fine.joining(joined[group])
