"""Distances between real and synthetic images, or windows, on the features of a named extractor.

Takes (n, width) features of any extractor and knows none itself: figures compare only where the extractor, its
training records and the numbers of records are the same, so a report names all three. Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.errors import RecordsError

SUBSET = 1_000  # records of each set in one estimate of the kernel distance, as in Binkowski et al.
FEWEST_SUBSETS = 5  # an interval from fewer says little
LEVEL = 0.95


@dataclass(frozen=True)
class KernelDistance:
    """Squared maximum mean discrepancy of two sets of features, estimated without bias; so it may be negative.

    Attributes:
        value: Mean of the estimates on disjoint subsets.
        lower, upper: Interval of 95 % for the mean (Student's t over the subsets).
        subsets: How many.
        subset_size: Records of each set in one of them.
    """

    value: float
    lower: float
    upper: float
    subsets: int
    subset_size: int


def frechet_distance(real_features: NDArray[np.floating], synthetic_features: NDArray[np.floating]) -> float:
    """Squared Frechet distance of the two Gaussians that have the means and covariances of the features.

        |m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2)

    Heusel et al., NeurIPS 2017, there on Inception features. The estimate is biased upwards, the more so the fewer
    records there are for the width of the features: compare sets of equal size, with real test records as the floor.

    Args:
        real_features, synthetic_features: (n, width) and (m, width), at least two records each.

    Raises:
        RecordsError: if the shapes do not fit together, or a value is not finite.
    """
    real, synthetic = _checked(real_features, synthetic_features)
    root = _square_root(np.cov(real, rowvar=False).reshape(2 * real.shape[1:]))
    other = np.cov(synthetic, rowvar=False).reshape(root.shape)
    # The eigenvalues of S S' are those of S^1/2 S' S^1/2, which is symmetric: no complex numbers from rounding.
    product = np.linalg.eigvalsh(root @ other @ root)
    mixed = float(np.sqrt(np.maximum(product, 0.0)).sum())
    moved = real.mean(axis=0) - synthetic.mean(axis=0)
    distance = float(moved @ moved) + float((root * root).sum()) + float(np.trace(other)) - 2.0 * mixed
    return max(0.0, distance)


def kernel_distance(
    real_features: NDArray[np.floating],
    synthetic_features: NDArray[np.floating],
    *,
    subset_size: int = SUBSET,
    seed: int = 0,
) -> KernelDistance:
    """Squared maximum mean discrepancy with the kernel (x.y / width + 1)^3, on disjoint random subsets.

    Binkowski et al., ICLR 2018 ("kernel inception distance"). Subsets are disjoint here, so that the estimates are
    independent and their spread gives an honest interval.

    Args:
        real_features, synthetic_features: (n, width) and (m, width).
        subset_size: Records of each set in one estimate; fewer where there would be less than five subsets.
        seed: Of the subsets.

    Raises:
        RecordsError: if the shapes do not fit together, a value is not finite, or there are fewer than ten records.
    """
    from scipy.stats import t as student

    real, synthetic = _checked(real_features, synthetic_features)
    fewest = min(len(real), len(synthetic))
    if fewest < 2 * FEWEST_SUBSETS:
        raise RecordsError(
            f"a kernel distance with an interval needs {2 * FEWEST_SUBSETS} records of each set, got {fewest}."
        )
    size = min(subset_size, fewest // FEWEST_SUBSETS)
    subsets = fewest // size
    randomness = np.random.default_rng(seed)
    ours = randomness.permutation(len(real))[: subsets * size].reshape(subsets, size)
    theirs = randomness.permutation(len(synthetic))[: subsets * size].reshape(subsets, size)
    found = np.array([_unbiased(real[a], synthetic[b]) for a, b in zip(ours, theirs, strict=True)])
    margin = student.ppf(0.5 + LEVEL / 2, subsets - 1) * found.std(ddof=1) / np.sqrt(subsets)
    value = float(found.mean())
    return KernelDistance(value, value - float(margin), value + float(margin), subsets, size)


def _unbiased(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Mean kernel within x, without the pairs of a record with itself, plus that within y, minus twice that across."""
    n = len(x)
    within = sum((kernel.sum() - np.trace(kernel)) / (n * (n - 1)) for kernel in (_cubic(x, x), _cubic(y, y)))
    return float(within - 2.0 * _cubic(x, y).mean())


def _cubic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = (x @ y.T / x.shape[1] + 1.0) ** 3
    return kernel


def _square_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


def _checked(
    real: NDArray[np.floating], synthetic: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if real.ndim != 2 or synthetic.ndim != 2 or real.shape[1:] != synthetic.shape[1:] or not real.shape[1]:
        raise RecordsError(
            f"expected features (n, width) and (m, width) of one width, got {real.shape} and {synthetic.shape}."
        )
    if min(len(real), len(synthetic)) < 2:
        raise RecordsError(f"a distance needs two records of each set, got {len(real)} and {len(synthetic)}.")
    both = real.astype(np.float64), synthetic.astype(np.float64)
    if not all(np.isfinite(part).all() for part in both):
        raise RecordsError("features must be finite numbers; the extractor gave NaN or infinity.")
    return both
