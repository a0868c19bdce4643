"""What noisy moments of images or windows say: their subspace, and a Gaussian for each class in it.

Post-processing of measurements, never of records. Where noise is as large as what is sought, an estimate moves towards
what is known better: a covariance of a class towards that of all classes, a mean of a cell towards where it was put.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.synthesis.array_basis import BASIS_BITS, ArrayBasis
from keshi.synthesis.features import ClassCounts, SpreadStatistic
from keshi.synthesis.moments import DIAGONAL, OFF_DIAGONAL, MomentFeatures, on_grid
from keshi.synthesis.private_embedding import Measurement, project_to_simplex

FLOOR = 1e-4  # of the variance of a direction, as a share of the mean one: nothing has none at all
OFF_DIAGONAL_STD = (
    DIAGONAL / OFF_DIAGONAL
)  # of the noise in a product of two coordinates, next to that in a square
FEWEST_DIRECTIONS, MOST_KEPT = 4, 64


@dataclass(frozen=True, eq=False)
class Overview:
    """What the first look says: how many records, where their middle is, how far they spread.

    Attributes:
        class_counts: (classes,) never negative.
        mean: (width,) of the encoded records.
        spread: Mean squared distance from the mean.
        mean_noise: Variance of the noise in an entry of the mean.
    """

    class_counts: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: float
    mean_noise: float

    @property
    def count(self) -> float:
        return float(self.class_counts.sum())

    @classmethod
    def of(cls, first: Measurement) -> Overview:
        """From the measurement of [1, x / R, |x|^2 / R^2] and class counts."""
        block: SpreadStatistic = first.features(SpreadStatistic)
        values, noise = first.values(SpreadStatistic), first.noise_std(SpreadStatistic)
        counts = first.values(ClassCounts)
        total = max(float(values[0]), float(counts.sum()), 1.0)
        mean = np.clip(values[1:-1] * block.radius / total, -1.0, 1.0)
        spread = block.squared_length_scale(values, noise_std=noise) / 2.0
        return cls(project_to_simplex(counts, total), mean, spread, (noise * block.radius / total) ** 2)


@dataclass(frozen=True, eq=False)
class Subspace:
    """The directions in which records differ most, and the means of the classes in them.

    Attributes:
        basis: Public directions that it lies in.
        mean: (basis.size,) of all records.
        rotation: (d, basis.size) on the grid of 2^-16, most variance first.
        class_means: (classes, d) as differences from the mean.
        class_mean_noise: (classes,) variance of the noise in an entry.
        variances: (d,) of the records along the directions.
    """

    basis: ArrayBasis
    mean: NDArray[np.float64]
    rotation: NDArray[np.float64]
    class_means: NDArray[np.float64]
    class_mean_noise: NDArray[np.float64]
    variances: NDArray[np.float64]

    @classmethod
    def of(cls, second: Measurement, overview: Overview) -> Subspace:
        """Eigenvectors that stand out from the noise.

        A symmetric matrix of noise with variance s^2 off the diagonal has its eigenvalues within 2 s sqrt(size)
        (Wigner), and one of true value t shows as t + s^2 size / t: undone here.
        """
        block: MomentFeatures = second.features(MomentFeatures)
        found = block.moments(second.values(MomentFeatures), noise_std=second.noise_std(MomentFeatures))
        assert found.sums is not None
        assert found.squares is not None
        count, size = overview.count, block.basis.size
        moved = found.sums.sum(axis=0) / count
        matrix = found.squares[0] / count - np.outer(moved, moved)
        values, vectors = np.linalg.eigh(matrix)
        values, vectors = values[::-1], vectors[:, ::-1]
        off_diagonal = float(found.square_std[0]) / count * OFF_DIAGONAL_STD
        edge = 2.0 * off_diagonal * math.sqrt(size)
        kept = int(np.clip((values > edge).sum(), min(FEWEST_DIRECTIONS, size), min(MOST_KEPT, size)))
        variances = (values[:kept] + np.sqrt(np.maximum(values[:kept] ** 2 - edge**2, 0.0))) / 2.0
        rotation = on_grid(vectors[:, :kept].T, BASIS_BITS)
        counts = np.maximum(overview.class_counts, 1.0)
        means = found.sums / counts[:, None] - moved
        noise = (found.sum_std / counts) ** 2
        shares = overview.class_counts / count
        return cls(
            block.basis,
            block.centres[0] + moved,
            rotation,
            _shrunk(means @ rotation.T, noise, shares),
            noise,
            np.maximum(variances, FLOOR * overview.spread / size),
        )


@dataclass(frozen=True, eq=False)
class ClassGaussians:
    """Mean and covariance of every class in the subspace.

    Attributes:
        counts: (classes,) records, as estimated by the first look.
        means: (classes, d).
        mean_noise: (classes,) variance of the noise in an entry of a mean.
        covariances: (classes, d, d), positive definite.
        covariance_errors: (classes,) root-mean-square eigenvalue of what a covariance may be off by.
    """

    counts: NDArray[np.float64]
    means: NDArray[np.float64]
    mean_noise: NDArray[np.float64]
    covariances: NDArray[np.float64]
    covariance_errors: NDArray[np.float64]

    @classmethod
    def of(cls, third: Measurement, overview: Overview) -> ClassGaussians:
        """From the moments of each class about the mean that it was thought to have."""
        block: MomentFeatures = third.features(MomentFeatures)
        found = block.moments(third.values(MomentFeatures), noise_std=third.noise_std(MomentFeatures))
        assert found.sums is not None
        assert found.squares is not None
        counts = np.maximum(overview.class_counts, 1.0)
        shares = overview.class_counts / overview.count
        noise = (found.sum_std / counts) ** 2
        moved = _shrunk(found.sums / counts[:, None], noise, shares)
        own = found.squares / counts[:, None, None] - moved[:, :, None] * moved[:, None, :]
        pooled = np.tensordot(shares, own, axes=1)
        variance = (found.square_std / counts) ** 2  # of the noise in a diagonal entry
        covariances, errors = shrunk_covariances(own, pooled, variance, shares)
        return cls(overview.class_counts, block.centres + moved, noise, covariances, errors)


def shrunk_covariances(
    own: NDArray[np.float64],
    pooled: NDArray[np.float64],
    noise: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariances of classes, and their errors: each entry moved to that of all classes as far as its noise says.

    In the eigenbasis of the pooled covariance, with variances w, the entry (i, j) of a class is thought to differ by a
    deviation of variance tau w_i w_j; tau is what the entries of all classes differ by beyond their noise.

    Args:
        own: (classes, d, d) noisy covariances.
        pooled: (d, d) their mean.
        noise: (classes,) variance of the noise in a diagonal entry; half of that off the diagonal.
        shares: (classes,) of the records.

    Returns:
        (classes, d, d), and (classes,) root-mean-square eigenvalue of the noise in one, or of what classes differ by
        and the noise of all, where that is less: the covariance of a rare class is little but that of all classes.
    """
    d = len(pooled)
    values, axes = np.linalg.eigh((pooled + pooled.T) / 2.0)
    values = np.maximum(values, FLOOR * max(float(values.mean()), 1e-12))
    size = np.outer(values, values)
    differences = np.einsum("ia,cij,jb->cab", axes, own, axes) - np.diag(values)
    entry_noise = noise[:, None, None] * (np.eye(d) + 1.0) / 2.0
    weights = (shares**2)[:, None, None] * size
    beyond = float((weights * (differences**2 - entry_noise)).sum())
    tau = max(beyond, 0.0) / max(float((weights * size).sum()), 1e-300)
    kept = tau * size / (tau * size + entry_noise + 1e-300)
    moved = np.einsum("ia,cab,jb->cij", axes, np.diag(values) + kept * differences, axes)
    squared = noise * (1.0 + (OFF_DIAGONAL_STD**2) * (d - 1))
    shared = tau * float(size.sum()) / d + float(shares**2 @ squared)
    found = np.stack([positive_definite(matrix, same_trace=True) for matrix in moved])
    return found, np.sqrt(np.minimum(squared, shared))


def without_hidden_variance(matrix: NDArray[np.float64], *, error: float) -> NDArray[np.float64]:
    """A covariance whose directions keep the part of their variance that its error could not have made.

    Variance w becomes w w^2 / (w^2 + s^2), s being the size of the error's own eigenvalues: Wiener's filter, on the
    spectrum. A direction that noise hides points anywhere, and records that are drawn along it are like none.

    Args:
        matrix: Symmetric, positive semi-definite.
        error: s, root-mean-square eigenvalue of what the matrix may be off by.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    values = np.maximum(values, 0.0)
    found: NDArray[np.float64] = (vectors * (values**3 / (values**2 + error**2 + 1e-300))) @ vectors.T
    return found


def positive_definite(matrix: NDArray[np.float64], *, same_trace: bool = False) -> NDArray[np.float64]:
    """A matrix without negative variances; what was negative becomes next to nothing.

    Args:
        matrix: Symmetric.
        same_trace: Whether all variances are scaled so that their sum stays. Noise spreads eigenvalues to both sides;
            raising the negative ones alone would add some percent of all variance, which shows as blots. Where a
            negative one is no noise, but a spread that was taken out of a covariance, the others are right as they are.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    total = max(float(values.sum()), 1e-12)
    values = np.maximum(values, FLOOR * total / len(values))
    scale = total / float(values.sum()) if same_trace else 1.0
    found: NDArray[np.float64] = (vectors * (values * scale)) @ vectors.T
    return found


def _shrunk(
    means: NDArray[np.float64], noise: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Means (classes, d) moved towards 0 along each direction, by the part of their spread that is noise."""
    spread = np.maximum((shares[:, None] * (means**2 - noise[:, None])).sum(axis=0), 0.0)
    kept: NDArray[np.float64] = means * (spread / (spread + noise[:, None] + 1e-300))
    return kept
