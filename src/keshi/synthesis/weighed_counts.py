"""One column within each group of classes, from all the noisy counts it takes part in.

A column of d is counted in d - 1 pairs, too, and summed over its partner's cells each of those counts the column by
itself. Together they say as much of it as the marginals that count it alone: a start to have where records are few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.synthesis.column_counts import shared_out
from keshi.synthesis.private_embedding import project_to_simplex


class Weighed:
    """A mean of several estimates of the same counts, each weighed by its precision."""

    def __init__(self) -> None:
        self._weighted: Any = 0.0
        self._precision: Any = 0.0

    def add(self, counts: NDArray[Any], variance: NDArray[Any]) -> None:
        """One more estimate; `variance` is of the counts' shape, or broadcasts to it."""
        self._weighted = self._weighted + counts / variance
        self._precision = self._precision + 1.0 / variance

    @property
    def is_empty(self) -> bool:
        return not np.any(self._precision)

    @property
    def variance(self) -> NDArray[np.float64]:
        return np.asarray(1.0 / self._precision)

    @property
    def counts(self) -> NDArray[np.float64]:
        return np.asarray(self._weighted / self._precision)


def agreed(within: Weighed, over_all: Weighed, group_counts: NDArray[Any]) -> NDArray[np.float64]:
    """(groups, cells) counts within each group of classes, nowhere negative, each group summing to its count.

    By least squares the groups and the whole agree. Then a group is drawn towards the shares of the whole as far as
    its differences from them are noise alone.

    Args:
        within: (groups, cells) estimates, with (groups, 1) variances.
        over_all: (cells,) estimates over all groups, with (cells,) variances.
        group_counts: (groups,) units in each group.
    """
    total = max(float(group_counts.sum()), 1e-9)  # a public number of records may be 0
    if within.is_empty:
        whole = project_to_simplex(over_all.counts, total)
        return np.outer(group_counts / total, whole)
    counts, variance = within.counts, within.variance
    summed, summed_variance = counts.sum(axis=0), float(variance.sum())
    gap = (over_all.counts - summed) * summed_variance / (summed_variance + over_all.variance)
    whole = project_to_simplex(summed + gap, total)
    counts = counts + variance / summed_variance * gap
    left = variance[:, 0] - variance[:, 0] ** 2 / (summed_variance + float(over_all.variance.mean()))
    expected = whole + 1e-9 * total
    shared = [
        shared_out(own, float(np.sqrt(spread)), expected, float(size))
        for own, spread, size in zip(counts, left, group_counts, strict=True)
    ]
    return np.stack(shared)


def trusted(beyond: NDArray[Any], variance: NDArray[Any], weight: NDArray[Any]) -> float:
    """How much of its weight a second estimate keeps: less where it differs from the first by its own noise alone.

    The first was drawn to likely shapes and is often nearer to the truth than its noise says; then what the second
    adds is its noise (positive-part James-Stein estimate).

    Args:
        beyond: By how much the second estimate differs from the first.
        variance: Of the second's noise.
        weight: Of the second, by the nominal noise of both.
    """
    noise, squares = float(variance.sum()), float((beyond**2).sum())
    nominal = float((variance / np.maximum(1.0 - weight, 1e-9)).sum())
    if squares <= noise or nominal <= noise:
        return 0.0
    return min(1.0, (1.0 - noise / squares) / (1.0 - noise / nominal))
