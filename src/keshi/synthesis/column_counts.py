"""Counts of one column in every resolution, and which of its cells to join: all from noisy values, nothing of a record.

The first measurement of preset `keshi` counts each column by itself, numbers in a tree of ever finer intervals. What is
here makes the levels of that tree agree, and joins cells until what they hold stands out from the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.synthesis.likely_shapes import likely_shares
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import FEW, Partition
from keshi.synthesis.private_embedding import Measurement, project_to_simplex

BRANCHES = FEW  # parts of an interval at the next finer level
SIGNIFICANT = 3.0  # noise standard deviations: what holds less may be noise alone, and is not divided further
CERTAIN = 2.0  # times what may be noise of a total: cells are told empty where the rest is known so well
OVERFULL = 1.25  # a group ends before it would hold so many times its target


@dataclass(frozen=True, eq=False)
class ColumnCounts:
    """What is known of one column by itself.

    Attributes:
        partition: Its finest cells.
        counts: (cells,) estimated number of units in each: nowhere negative.
        noise_std: Standard deviation of the noise in the measured count of one cell.
    """

    partition: Partition
    counts: NDArray[np.float64]
    noise_std: float

    def in_intervals(self, edges: Sequence[int]) -> NDArray[np.float64]:
        """Counts in other intervals of the column; a cell that is divided gives each part its share by width."""
        known = self.partition.intervals
        cumulative = np.concatenate([[0.0], np.cumsum(self.counts[:known])])
        return np.diff(np.interp(edges, self.partition.edges, cumulative))

    @property
    def missing(self) -> NDArray[np.float64]:
        """(1,) count of missing values, or (0,) where none can be missing."""
        return self.counts[self.partition.intervals :]


def tree_levels(alone: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The cell of every leaf at each level, from coarse to fine; the last level is the leaves themselves.

    Args:
        alone: (leaves,) whether a leaf is a cell by itself at every level: a likely value, worth seeing at once.
    """
    rank = np.cumsum(~alone) - 1  # among the others
    levels = [np.arange(len(alone))]
    size = BRANCHES
    while rank[-1] >= size:
        begins = alone[1:] | alone[:-1] | (np.diff(rank // size) > 0)
        levels.insert(0, np.concatenate([[0], np.cumsum(begins)]))
        size *= BRANCHES
    return levels


def column_counts(measured: Measurement, total: float) -> list[ColumnCounts]:
    """Counts of every column in its finest cells, from a measurement of all its resolutions.

    Args:
        measured: One-way marginals; those of one column follow each other, from coarse to fine.
        total: Estimated number of units.
    """
    block: MarginalFeatures = measured.features(MarginalFeatures)
    tables = block.tables(measured.values(MarginalFeatures))
    stds = block.noise_stds(measured.noise_std(MarginalFeatures))
    columns: dict[int, list[int]] = {}
    for index, (partition,) in enumerate(block.marginals):
        columns.setdefault(block.partitions[partition].start, []).append(index)
    found = []
    for levels in columns.values():
        finest = block.partitions[block.marginals[levels[-1]][0]]
        noisy, noise_std = [tables[level] for level in levels], [float(stds[level]) for level in levels]
        if finest.categories:
            counts = shared_out(noisy[-1], noise_std[-1], np.ones(finest.cells), total)
        else:
            missing = 0.0
            if finest.missing:
                missing = float(np.clip(np.mean([table[-1] for table in noisy]), 0.0, total))
                noisy = [table[:-1] for table in noisy]
            joined = [np.array(block.partitions[block.marginals[level][0]].joined) for level in levels]
            tree = [cells[: finest.intervals] for cells in joined]
            counts = leaf_counts(tree, noisy, noise_std, total - missing, widths=np.diff(finest.edges))
            counts = np.append(counts, missing) if finest.missing else counts
        found.append(ColumnCounts(finest, counts, noise_std[-1]))
    return found


def leaf_counts(
    levels: Sequence[NDArray[np.int64]],
    noisy: Sequence[NDArray[np.float64]],
    noise_std: Sequence[float],
    total: float,
    *,
    widths: NDArray[Any] | None = None,
) -> NDArray[np.float64]:
    """(leaves,) counts that are nowhere negative and sum to `total`, from the noisy counts of all levels.

    Upwards by least squares (Hay et al., VLDB 2010, here for unequal noise), then from the root down: the children of
    a cell that stands out share its count as `shared_out` has it; those of any other share it by width. Cells of the
    root far from any stretch that stands out are empty where those hold about all, and likely values that do not stand
    out are: noise alone may have filled them, and half a percent of the records in the highest cell of an income is
    more than all that people earn.

    Args:
        levels: (leaves,) cell of every leaf, from coarse to fine.
        noisy, noise_std: (cells,) noisy counts of each level, and their noise.
        total: Of all leaves.
        widths: (leaves,) of the leaves; None where all are of one width.
    """
    parents = [fine_to_coarse(fine, coarse) for coarse, fine in pairwise(levels)]
    best = [np.asarray(noisy[-1], dtype=np.float64)]
    variance = [np.full(len(noisy[-1]), noise_std[-1] ** 2)]
    for level in range(len(levels) - 2, -1, -1):
        size = len(noisy[level])
        below = np.bincount(parents[level], weights=best[0], minlength=size)
        below_variance = np.bincount(parents[level], weights=variance[0], minlength=size)
        own_share = below_variance / (below_variance + noise_std[level] ** 2)
        best.insert(0, own_share * noisy[level] + (1 - own_share) * below)
        variance.insert(0, own_share * noise_std[level] ** 2)
    likely = (np.bincount(levels[0]) == 1) & (len(levels) > 1)
    seen = best[0] >= SIGNIFICANT * np.sqrt(variance[0])
    seen[~likely] = seen_together(best[0][~likely], variance[0][~likely])
    near, wide = seen.copy(), seen & ~likely  # a likely value says nothing of what is beside it
    near[1:] |= wide[:-1]
    near[:-1] |= wide[1:]
    left = total - best[0][near].sum()  # does it stand out together, if not one by one?
    uncertain = np.sqrt(variance[0][near].sum() + variance[0].max())  # the last for the total's own noise
    known = CERTAIN * SIGNIFICANT * uncertain < total  # else noise alone says that all is where it peaks
    empty = ~near & near.any() & (likely | ((left < SIGNIFICANT * uncertain) & known))
    width = [np.bincount(level, weights=widths).astype(np.float64) for level in levels]
    expected = likely_shares(best[0], variance[0], width[0], total, likely=likely)
    counts = np.zeros(len(best[0]))
    std = float(np.sqrt(variance[0][~empty].mean()))
    counts[~empty] = shared_out(best[0][~empty], std, expected[~empty], total)
    for level, parent in enumerate(parents):
        children = counts[parent] * width[level + 1] / width[level][parent]
        bounds = np.searchsorted(parent, np.arange(len(counts) + 1))
        for cell in np.flatnonzero(counts > SIGNIFICANT * np.sqrt(variance[level])):
            own = slice(bounds[cell], bounds[cell + 1])
            std = float(np.sqrt(variance[level + 1][own].mean()))
            children[own] = shared_out(best[level + 1][own], std, width[level + 1][own], counts[cell])
        counts = children
    return counts


def seen_together(counts: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(cells,) whether a cell belongs to a stretch of neighbours that stands out together while no part of it does.

    Few records spread over some cells may stand out in none of them.
    """
    seen = np.zeros(len(counts), dtype=bool)
    held, spread = (np.concatenate([[0.0], np.cumsum(of)]) for of in (counts, variance))
    for length in range(1, len(counts) + 1):
        ends = np.arange(length, len(counts) + 1)
        begins = ends - length
        standing = held[ends] - held[begins] >= SIGNIFICANT * np.sqrt(spread[ends] - spread[begins])
        for begin, end in zip(begins[standing], ends[standing], strict=True):
            if not seen[begin:end].any():
                seen[begin:end] = True
    return seen


def shared_out(
    noisy: NDArray[np.float64], noise_std: float, widths: NDArray[Any], total: float
) -> NDArray[np.float64]:
    """(cells,) a total shared among cells: as measured where that stands out from the noise, else rather by width.

    Cells that stand out by themselves keep what was measured. The others are drawn to their shares by width, as far as
    their differences are what noise alone would make them (positive-part James-Stein estimate; Efron & Morris, JASA
    1973); then the simplex. Without noise that changes nothing; where there is nothing but noise, ages are spread
    evenly in place of a comb of random peaks.

    Args:
        noisy: (cells,) noisy counts.
        noise_std: Standard deviation of the noise in each.
        widths: (cells,) shares in proportion to which the total is expected.
        total: Of all cells.
    """
    # With many cells, noise alone passes three standard deviations somewhere.
    significant = max(SIGNIFICANT, float(np.sqrt(2.0 * np.log(len(noisy))))) * noise_std
    alone = np.zeros(len(noisy), dtype=bool)
    while not alone.all():
        left = max(total - float(noisy[alone].sum()), 0.0)
        beyond = noisy - left * widths / widths[~alone].sum()
        above, below = ~alone & (beyond > significant), ~alone & (beyond < -significant)
        if not above.any() and not below.any():
            break
        # Peaks first: what is left for the others changes, and most of them are not low but beside a peak.
        alone |= above if above.any() else below
    others = ~alone
    squares = float((beyond[others] ** 2).sum())
    kept = max(0.0, 1.0 - (others.sum() - 1) * noise_std**2 / squares) if squares > 0 else 0.0
    return project_to_simplex(np.where(alone, noisy, noisy - (1.0 - kept) * beyond), total)


def fine_to_coarse(fine: NDArray[np.int64], coarse: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cell of the coarser level that holds each cell of the finer one."""
    return coarse[np.searchsorted(fine, np.arange(fine[-1] + 1))]


def joined_neighbours(
    counts: NDArray[np.float64],
    target: float,
    *,
    widths: NDArray[np.float64] | None = None,
    widest: float = np.inf,
    least: float = 0.0,
) -> NDArray[np.int64]:
    """(cells,) number of the group of every cell: neighbours are joined until a group holds about `target`.

    A cell that holds as much by itself stays alone. A group that is `widest` already ends with `least`: what lies far
    out is rare, and often says most (a large capital gain).

    Args:
        counts: (cells,) of neighbours in their order.
        target: What a group holds.
        widths: (cells,) of the cells.
        widest, least: See above.
    """
    groups = np.zeros(len(counts), dtype=np.int64)
    widths = np.zeros(len(counts)) if widths is None else widths
    group, held, width = 0, 0.0, 0.0
    for cell, count in enumerate(counts):
        far = width >= widest and held >= least
        if held > 0.0 and (far or count >= target or held + count > OVERFULL * target):
            group, held, width = group + 1, 0.0, 0.0
        groups[cell] = group
        held, width = held + count, width + widths[cell]
        if held >= target:
            group, held, width = group + 1, 0.0, 0.0
    return np.unique(groups, return_inverse=True)[1]


def joined_rare(
    counts: NDArray[np.float64], threshold: float, *, most: int | None = None
) -> NDArray[np.int64]:
    """(cells,) number of the group of every category: those below the threshold share the last one.

    Args:
        counts: (cells,) of the categories.
        threshold: What holds less is rare.
        most: So many groups at most; the least frequent categories are rare, too. None sets no limit.
    """
    rare = counts < threshold
    if most is not None and len(counts) - rare.sum() >= most:
        rare[np.argsort(-counts, kind="stable")[most - 1 :]] = True
    if rare.sum() < 2:
        return np.arange(len(counts))
    groups = np.full(len(counts), (~rare).sum())
    groups[~rare] = np.arange((~rare).sum())
    return groups
