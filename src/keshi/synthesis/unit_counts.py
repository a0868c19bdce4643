"""How many units there are, of each class and in all: the best that all noisy counts together say.

Every marginal counts each unit once, so the sum of its cells is the number of units, with noise of its own; and along
the label the number of each class. Weighed by their noise, least squares. From noisy values only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keshi.synthesis.features import ClassCounts
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import CLASS

if TYPE_CHECKING:
    from keshi.synthesis.private_embedding import Measurement


def counts_of_classes(measurements: Sequence[Measurement], n_classes: int) -> NDArray[np.float64]:
    """(classes,) unbiased estimate of the number of units in each class; noise may make it negative.

    Args:
        measurements: One of them at least has ClassCounts.
        n_classes: Number of classes.
    """
    # By how the classes are joined: precision of the counts of each group, and the counts times it.
    each, all_joined = tuple(range(n_classes)), (0,) * n_classes
    precision: dict[tuple[int, ...], float] = {}
    weighted: dict[tuple[int, ...], NDArray[np.float64]] = {}

    def add(joined: tuple[int, ...], counts: NDArray[np.float64], variance: float) -> None:
        precision[joined] = precision.get(joined, 0.0) + 1.0 / variance
        weighted[joined] = weighted.get(joined, np.zeros(len(counts))) + counts / variance

    for measured in measurements:
        for block in measured.plan.features:
            kind = type(block)
            if isinstance(block, ClassCounts):
                add(each, measured.values(kind), measured.noise_std(kind) ** 2)
            elif isinstance(block, MarginalFeatures):
                tables, stds = block.tables(measured.values(kind)), block.noise_stds(measured.noise_std(kind))
                for marginal, table, std in zip(block.marginals, tables, stds, strict=True):
                    first = block.partitions[marginal[0]]
                    joined = first.joined if first.start == CLASS else all_joined
                    counts = table.reshape(max(joined) + 1, -1)
                    add(joined, counts.sum(axis=1), counts.shape[1] * float(std) ** 2)
    normal, right = np.zeros((n_classes, n_classes)), np.zeros(n_classes)
    for joined, counts in weighted.items():
        group = np.array(joined)
        normal += precision[joined] * (group[:, None] == group[None])
        right += counts[group]
    return np.asarray(np.linalg.solve(normal, right))
