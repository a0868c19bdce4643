"""Which values the entries of a record take: histograms over groups of entries, counted over the whole record.

A histogram of pixels tells what blurs: whether images are black and white or in greys, how often a sensor stands still.
Every entry of a record adds the same whole weight to one cell, so a record adds weight * entries in all. No entry of
the sum is negative, so its L2 norm is at most its sum:

    |f(x)| <= weight * counted entries <= AMPLITUDE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.features import AMPLITUDE, Features


@dataclass(frozen=True, eq=False)
class EntryValues(Features):
    """A histogram for each group of entries of the encoded vector.

    Attributes:
        groups: (width,) group of each entry, from 0; -1 leaves it out.
        edges: (groups, cells - 1) ascending inner edges of the cells, on the 2^-20 grid, from -1 + 2^-20 to 1: the
            first cell holds the lower bound alone, the last one the upper bound.
        n_classes: Number of classes of the domain; the histograms are over all.
    """

    groups: NDArray[np.int64]
    edges: NDArray[np.float64]
    n_classes: int
    kind: ClassVar[str] = "values of entries"
    nonnegative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.groups.ndim != 1 or self.edges.ndim != 2 or not 1 <= self.counted <= AMPLITUDE:
            raise ValueError(f"from 1 to {AMPLITUDE} entries are counted, in groups with edges each.")
        if self.groups.min() < -1 or self.groups.max() >= len(self.edges):
            raise ValueError("every group of entries has edges.")
        steps = self.edges * 2.0**FEATURE_BITS
        ends = self.edges[:, 0] == -1.0 + 2.0**-FEATURE_BITS, self.edges[:, -1] == 1.0
        if not (np.array_equal(steps, np.rint(steps)) and all(end.all() for end in ends)):
            raise ValueError("edges lie on the grid of 2^-20, from -1 + 2^-20 to 1.")
        if not (np.diff(self.edges, axis=1) > 0).all():
            raise ValueError("edges ascend.")

    @property
    def width(self) -> int:
        return len(self.groups)

    @property
    def counted(self) -> int:
        """Entries of a record that are counted."""
        return int((self.groups >= 0).sum())

    @property
    def weight(self) -> int:
        """What an entry adds to its cell, in grid steps."""
        return AMPLITUDE // self.counted

    @property
    def cells(self) -> int:
        return self.edges.shape[1] + 1

    @property
    def size(self) -> int:
        return len(self.edges) * self.cells

    @property
    def norm(self) -> float:
        return float(self.weight * self.counted)

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        total = np.zeros((len(self.edges), self.cells), dtype=np.int64)
        for group, edges in enumerate(self.edges):
            entries = np.flatnonzero(self.groups == group)
            cell = np.searchsorted(edges, batch.vectors[:, entries], side="right").ravel()
            own = np.repeat(weights, len(entries))
            # Sums of whole numbers below 2^53: 2^16 records of at most AMPLITUDE entries of weight 2^20 are 2^50.
            total[group] = np.bincount(cell, weights=own, minlength=self.cells).astype(np.int64)
        return (self.weight * total).ravel()

    def cut(self, most: int) -> EntryValues:
        kept = np.where(self.groups < 1, self.groups, -1)
        if not (kept >= 0).any():
            return self
        # The bounds' own cells stay; what lies between them is joined to so many cells in all, 3 at least.
        edges = np.unique(np.linspace(0, self.edges.shape[1] - 1, max(most - 1, 2)).astype(int))
        return EntryValues(kept, self.edges[:1, edges], self.n_classes)

    def settings(self) -> dict[str, Any]:
        return {"n_classes": self.n_classes}

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {"groups": self.groups, "edges": self.edges}

    def histograms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(groups, cells) noisy number of records whose entry is in the cell, mean over the group's entries.

        Args:
            values: (size,) as `Measurement.values` gives them: grid steps over AMPLITUDE.
        """
        entries = np.bincount(self.groups[self.groups >= 0], minlength=len(self.edges))
        counted = values.reshape(-1, self.cells) * AMPLITUDE / self.weight
        return counted / np.maximum(entries, 1)[:, None]

    def noise_stds(self, noise_std: float) -> NDArray[np.float64]:
        """(groups,) standard deviation of the noise in `histograms`, from that of the values."""
        entries = np.bincount(self.groups[self.groups >= 0], minlength=len(self.edges))
        return noise_std * AMPLITUDE / self.weight / np.maximum(entries, 1)
