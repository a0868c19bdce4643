"""From the noisy moments of images or windows to an ArrayMixture. Its only input is a PrivateEmbedding.

Everything is in closed form and takes seconds: there are no steps, no rates, and nothing is chosen on records.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from keshi.synthesis.array_estimates import (
    ClassGaussians,
    Overview,
    Subspace,
    positive_definite,
    without_hidden_variance,
)
from keshi.synthesis.array_mixture import ArrayMixture
from keshi.synthesis.array_plan import reconstructed
from keshi.synthesis.entry_values import EntryValues
from keshi.synthesis.moments import MomentFeatures
from keshi.synthesis.private_embedding import PrivateEmbedding, project_to_simplex

DRAWN = 12_000  # records that say which values the entries of blurred arrays take
DRAWN_VALUES = 2**24  # and in numbers, at most: 128 MiB
ROUNDS = 1  # of correction: more make arrays more varied, and less like real ones
RATE = 0.2  # of a correction of a covariance: more follows its noise
LEAST_SHARE = (
    0.25  # of a cell, in even shares: what is less is noise for sure, since cells were planned alike
)
# The map of contrast is known at these quantiles, closely spaced where few entries are.
QUANTILES = np.unique(
    np.concatenate([np.linspace(0, 1, 201), np.geomspace(1e-4, 5e-3, 9), 1.0 - np.geomspace(1e-4, 5e-3, 9)])
)


def fit_array_mixture(embedding: PrivateEmbedding, *, seed: int = 0) -> ArrayMixture:
    """The mixture that an embedding says. The same seed gives the same bytes.

    Args:
        embedding: Its four looks are all that is looked at.
        seed: Of the made-up records that the map of contrast is found on.
    """
    first, second, third, fourth = embedding.measurements
    overview = Overview.of(first)
    subspace = Subspace.of(second, overview)
    gaussians = ClassGaussians.of(third, overview)
    block: MomentFeatures = fourth.features(MomentFeatures)
    found = block.moments(fourth.values(MomentFeatures), noise_std=fourth.noise_std(MomentFeatures))
    assert found.counts is not None
    assert found.sums is not None
    shares = np.empty(block.cells)
    centres = np.empty_like(block.centres)
    factors = np.empty_like(gaussians.covariances)
    for label in range(block.n_classes):
        cells = np.flatnonzero(block.cell_classes == label)
        shares[cells], centres[cells], within = _cells_of_class(
            found.counts[cells],
            found.sums[cells],
            found.sum_std[cells],
            block.centres[cells],
            mean=gaussians.means[label],
            mean_noise=float(gaussians.mean_noise[label]),
            covariance=gaussians.covariances[label],
        )
        factors[label] = _root(
            without_hidden_variance(within, error=float(gaussians.covariance_errors[label]))
        )
    origin = reconstructed(np.zeros((1, block.directions)), subspace)[0]
    histogram: EntryValues = fourth.features(EntryValues)
    groups = _all_groups(histogram.groups)
    identity = np.tile([-1.0, 1.0], (len(histogram.edges), 1))
    blurred = ArrayMixture(
        origin,
        subspace.rotation @ subspace.basis.matrix,
        block.cell_classes,
        shares,
        centres,
        factors,
        groups,
        identity,
        identity,
    )
    measured = fourth.values(EntryValues)
    mixture = _with_contrast(blurred, histogram, measured, embedding.class_counts, seed)
    targets = _class_moments(mixture)
    for _ in range(ROUNDS):
        mixture = _with_means(_corrected(mixture, targets, seed), overview, seed)
        mixture = _with_contrast(mixture, histogram, measured, embedding.class_counts, seed)
    return mixture


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix whose product with its transpose is the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))  # type: ignore[no-any-return]


def _class_moments(mixture: ArrayMixture) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Mean and covariance of every class in the subspace, before the map of contrast: what was measured, less noise."""
    found = []
    for label in range(mixture.n_classes):
        own = mixture.cell_classes == label
        shares, centres = mixture.shares[own], mixture.centres[own]
        mean = shares @ centres
        within = mixture.factors[label] @ mixture.factors[label].T
        found.append((mean, within + (centres - mean).T @ ((centres - mean) * shares[:, None])))
    return found


def _corrected(
    mixture: ArrayMixture, targets: list[tuple[NDArray[np.float64], NDArray[np.float64]]], seed: int
) -> ArrayMixture:
    """The mixture with its classes moved so that records after the map of contrast have the measured moments."""
    randomness = np.random.default_rng(seed)
    rows = int(np.clip(DRAWN_VALUES // len(mixture.mean), 200, DRAWN)) // mixture.n_classes
    centres, factors = mixture.centres.copy(), mixture.factors.copy()
    for label, (mean, covariance) in enumerate(targets):
        drawn = mixture.blurred(np.full(max(rows, 100), label), randomness=randomness)
        points = (mixture.mapped(drawn) - mixture.mean) @ mixture.directions.T
        own = mixture.cell_classes == label
        centres[own] += mean - points.mean(axis=0)
        within = factors[label] @ factors[label].T + RATE * (covariance - np.cov(points, rowvar=False))
        factors[label] = _root(positive_definite(within))
    return replace(mixture, centres=centres, factors=factors)


def _with_means(mixture: ArrayMixture, overview: Overview, seed: int) -> ArrayMixture:
    """The mixture with its mean array moved towards the one that was measured, entry by entry.

    The subspace and the map of contrast, which is one for many entries, leave a border grey that is black. Of what is
    missing as much is added as noise does not explain.
    """
    randomness = np.random.default_rng(seed)
    rows = int(np.clip(DRAWN_VALUES // len(mixture.mean), 200, DRAWN))
    shares = overview.class_counts / overview.count
    classes = np.sort(randomness.choice(len(shares), size=rows, p=shares))
    missing = overview.mean - mixture.mapped(mixture.blurred(classes, randomness=randomness)).mean(axis=0)
    size = float((missing**2).mean())
    kept = max(size - overview.mean_noise, 0.0) / max(size, 1e-300)
    return replace(mixture, mean=mixture.mean + kept * missing)


def _cells_of_class(
    counts: NDArray[np.float64],
    sums: NDArray[np.float64],
    sum_std: NDArray[np.float64],
    planned: NDArray[np.float64],
    *,
    mean: NDArray[np.float64],
    mean_noise: float,
    covariance: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shares and centres of the cells of one class, and the covariance within them.

    What moves a cell's mean away from its planned centre is kept by the part that noise does not explain. The mean of
    all cells is brought to that of the class, known from two looks; what the cells' centres spread is taken from the
    covariance of the class, so that class and cells together have the second moment that was measured.
    """
    total = max(float(counts.sum()), 1.0)
    held = np.maximum(project_to_simplex(counts, total), LEAST_SHARE * total / len(counts))
    shares = held / held.sum()
    moved, noise = sums / held[:, None], (sum_std / held)[:, None] ** 2
    beyond = np.maximum((shares[:, None] * (moved**2 - noise)).sum(axis=0), 0.0)
    centres = planned + moved * (beyond / (beyond + noise + 1e-300))
    seen = shares @ (planned + moved)
    seen_noise = float((shares**2 * noise[:, 0]).sum())
    best = (mean * seen_noise + seen * mean_noise) / (seen_noise + mean_noise + 1e-300)
    centres = centres + (best - shares @ centres)
    spread = (centres - best).T @ ((centres - best) * shares[:, None])
    return shares, centres, positive_definite(covariance - spread)


def _with_contrast(
    mixture: ArrayMixture,
    histogram: EntryValues,
    measured: NDArray[np.float64],
    class_counts: NDArray[np.float64],
    seed: int,
) -> ArrayMixture:
    """The mixture with the rising map, for each group of entries, of its values onto the measured histogram."""
    randomness = np.random.default_rng(seed)
    rows = int(np.clip(DRAWN_VALUES // len(mixture.mean), 200, DRAWN))
    classes = randomness.choice(len(class_counts), size=rows, p=class_counts / class_counts.sum())
    blurred = mixture.blurred(np.sort(classes), randomness=randomness)
    levels, values = [], []
    for group, (cells, edges) in enumerate(zip(histogram.histograms(measured), histogram.edges, strict=True)):
        levels.append(np.quantile(blurred[:, mixture.groups == group], QUANTILES))
        shares = project_to_simplex(cells, max(float(class_counts.sum()), 1.0))
        values.append(_quantiles(shares, edges))
    return replace(mixture, levels=np.array(levels), values=np.array(values))


def _quantiles(shares: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(knots,) values at the quantiles of a histogram: even within a cell, the outermost at the bounds alone."""
    lower, upper = np.concatenate([[-1.0], edges]), np.concatenate([[-1.0], edges[1:], [1.0]])
    cumulative = np.cumsum(shares) / max(float(shares.sum()), 1e-300)
    cell = np.minimum(np.searchsorted(cumulative, QUANTILES), len(shares) - 1)
    before = np.concatenate([[0.0], cumulative[:-1]])[cell]
    inside = np.clip((QUANTILES - before) / np.maximum(cumulative[cell] - before, 1e-12), 0.0, 1.0)
    return np.maximum.accumulate(lower[cell] + inside * (upper[cell] - lower[cell]))


def _all_groups(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entries that were left out of the count join the group of the entry before."""
    place = np.maximum.accumulate(np.where(groups >= 0, np.arange(len(groups)), 0))
    return groups[place]
