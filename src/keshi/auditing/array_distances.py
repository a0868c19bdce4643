"""Frechet and kernel distance of one set of features to another, with intervals and the number of records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.auditing.image_distances import KernelDistance, frechet_distance, kernel_distance

DRAWS = 20  # of the bootstrap of the Frechet distance
WIDEST_DRAWN = 256  # features, beyond which the bootstrap takes minutes


@dataclass(frozen=True)
class ArrayDistances:
    """How far a set is from the real training records, on features.

    Attributes:
        frechet: Squared Frechet distance; biased upwards, alike for sets of one size.
        frechet_interval: 95 %, by bootstrap over the records of both sets; None for very wide features.
        kernel: Kernel distance, unbiased.
        rows: Records of each of the two sets.
    """

    frechet: float
    frechet_interval: tuple[float, float] | None
    kernel: KernelDistance
    rows: int


def array_distances(real: NDArray[np.floating], made: NDArray[np.floating], *, seed: int) -> ArrayDistances:
    """Both distances of features (n, width) of real and of synthetic records, of each as many."""
    random = np.random.default_rng(seed)
    value, interval = frechet_distance(real, made), None
    if real.shape[1] <= WIDEST_DRAWN:
        n = len(real)
        draws = [
            frechet_distance(real[random.integers(n, size=n)], made[random.integers(n, size=n)])
            for _ in range(DRAWS)
        ]
        reach = 1.96 * float(
            np.std(draws, ddof=1)
        )  # its spread only: drawing again moves the value itself upwards
        interval = (max(value - reach, 0.0), value + reach)
    return ArrayDistances(value, interval, kernel_distance(real, made, seed=seed), len(real))
