"""Counts of one column in every resolution, and the cells that are worth a closer look: all from noisy values.

The first measurement of preset `keshi` counts each column by itself; numbers in a tree of ever finer intervals. What is
here makes the levels of that tree agree and divides the column by what stands out from the noise. Post-processing:
nothing here sees a record.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keshi.synthesis.private_embedding import project_to_simplex

BRANCHES = 16  # parts of an interval at the next finer level
SIGNIFICANT = 3.0  # noise standard deviations: what holds less is not divided further


def tree_levels(leaves: int) -> list[NDArray[np.int64]]:
    """The cell of every leaf at each level, from coarse to fine; the last level is the leaves themselves."""
    levels = [np.arange(leaves)]
    while levels[0][-1] >= BRANCHES:
        levels.insert(0, levels[0] // BRANCHES)
    return levels


def leaf_counts(
    levels: list[NDArray[np.int64]],
    noisy: list[NDArray[np.float64]],
    noise_std: list[float],
    total: float,
) -> NDArray[np.float64]:
    """(leaves,) counts that are nowhere negative and sum to `total`, from the noisy counts of all levels.

    Least squares over the tree (Hay et al., VLDB 2010, for unequal noise), then from the root down: the children of a
    cell that stands out share its count as measured, projected onto the simplex; those of any other share it equally.
    """
    parents = [_parents(fine, coarse) for coarse, fine in zip(levels, levels[1:], strict=False)]
    # Upwards: the best estimate of a cell from itself and from all that lies below it, and its variance.
    best = [noisy[-1]]
    variance = [np.full(len(noisy[-1]), noise_std[-1] ** 2)]
    for level in range(len(levels) - 2, -1, -1):
        size = len(noisy[level])
        below = np.bincount(parents[level], weights=best[0], minlength=size)
        below_variance = np.bincount(parents[level], weights=variance[0], minlength=size)
        own_variance = noise_std[level] ** 2
        share = below_variance / (below_variance + own_variance)
        best.insert(0, share * noisy[level] + (1 - share) * below)
        variance.insert(0, share * own_variance)
    counts = project_to_simplex(best[0], total)
    widths = [np.bincount(level).astype(np.float64) for level in levels]  # leaves in each cell
    for level, parent in enumerate(parents):
        counts = _divided(
            counts, parent, best[level + 1], np.sqrt(variance[level]), widths[level], widths[level + 1]
        )
    return counts


def _divided(
    counts: NDArray[np.float64],
    parent: NDArray[np.int64],
    measured: NDArray[np.float64],
    noise_std: NDArray[np.float64],
    widths: NDArray[np.float64],
    child_widths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Counts of the children of all cells of a level."""
    children = counts[parent] * child_widths / widths[parent]
    first = np.searchsorted(parent, np.arange(len(counts)))
    last = np.append(first[1:], len(parent))
    for cell in np.flatnonzero(counts > SIGNIFICANT * noise_std):
        own = slice(first[cell], last[cell])
        children[own] = project_to_simplex(measured[own], counts[cell])
    return children


def _parents(fine: NDArray[np.int64], coarse: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cell of the coarser level that holds each cell of the finer one."""
    return coarse[np.searchsorted(fine, np.arange(fine[-1] + 1))]


def joined_to(counts: NDArray[np.float64], target: float) -> NDArray[np.int64]:
    """(cells,) number of the group of every cell: neighbours are joined until a group holds `target`.

    A cell that holds as much by itself stays alone, and so the group before it ends early.
    """
    groups = np.empty(len(counts), dtype=np.int64)
    group, held = 0, 0.0
    for cell, count in enumerate(counts):
        if held > 0.0 and held + count > 1.25 * target or (count >= target and cell > 0 and groups[cell - 1] == group):
            group, held = group + 1, 0.0
        groups[cell] = group
        held += count
        if held >= target:
            group, held = group + 1, 0.0
    return np.unique(groups, return_inverse=True)[1]


def rare_joined(counts: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """(cells,) number of the group of every category: those below the threshold share one, the last."""
    rare = counts < threshold
    if rare.sum() < 2:
        return np.arange(len(counts))
    groups = np.empty(len(counts), dtype=np.int64)
    groups[~rare] = np.arange((~rare).sum())
    groups[rare] = (~rare).sum()
    return groups
