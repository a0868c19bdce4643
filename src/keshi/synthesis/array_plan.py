"""Which moments preset `keshi` measures of images and windows: four looks, each planned from the noisy ones before.

1. An overview: how many records of each class, their mean and spread.
2. The second moment over the lowest cosine frequencies, for a subspace, and the means of the classes.
3. Count, mean and second moment of each class in that subspace.
4. Count and mean in cells of each class, planned on points drawn from the third look's Gaussians; and histograms of the
   values that entries take, which say how sharp the arrays are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.records.domain import Domain
from keshi.records.encoded import FEATURE_BITS
from keshi.synthesis.array_basis import ArrayBasis
from keshi.synthesis.array_estimates import ClassGaussians, Overview, Subspace
from keshi.synthesis.entry_values import EntryValues
from keshi.synthesis.features import AMPLITUDE, ClassCounts, SpreadStatistic
from keshi.synthesis.moments import COORDINATE_BITS, LEVELS, MOST_DIRECTIONS, MomentFeatures, on_grid
from keshi.synthesis.private_embedding import Measurement, Plan

WEIGHT_OF_SQUARES = 5 * LEVELS**2  # the norm that squares add, next to which means and counts are weighed
POINTS = 4_000  # drawn from a class to plan its cells, and ...
PIXELS = 2_000  # ... records drawn to plan groups and edges of values
ROUNDS = 12  # of k-means
EVEN_EDGES = 12  # cells of values of equal width ...
LEVELS_OF_EDGES = (
    0.01,
    0.05,
    0.15,
    0.3,
    0.5,
    0.7,
    0.85,
    0.95,
    0.99,
)  # ... and further ones at these quantiles


@dataclass(frozen=True)
class ArrayResolution:
    """How finely to look at images and windows. Shares of privacy are parts of a measurement's mu^2.

    Attributes:
        radius: Where records are clipped, in root-mean-square distances from the mean.
        fewest_directions: Of the second look.
        directions: As many as this times the cube root of how many have a noise whose largest eigenvalue ...
        noise_of_squares: ... is this share of the variance: many directions are worth some noise, but not any.
        mean_share: Of the second and third look's privacy that the means of classes take.
        cell_records: Records of a cell at least, in noise standard deviations of one record.
        most_cells: Of a class.
        count_share: Of the privacy of a cell's moments that its count takes.
        values_share: Of the fourth look's privacy that the values of entries take.
        group_records: Records that a group of entries has at least, in noise standard deviations of one record.
        most_groups: Of entries, in a channel.
    """

    radius: float = 1.2
    fewest_directions: int = 8
    directions: float = 26.0
    noise_of_squares: float = 0.006
    mean_share: float = 0.25
    cell_records: float = 50.0
    most_cells: int = 32
    count_share: float = 0.1
    values_share: float = 0.25
    group_records: float = 150.0
    most_groups: int = 16


def overview_plan(domain: Domain) -> Plan:
    """Counts of classes, mean and spread."""
    return Plan(
        (SpreadStatistic(domain.width, domain.largest_norm), ClassCounts(domain.n_classes)),
        (0.75, 0.25),
        "overview",
    )


def subspace_plan(
    domain: Domain, earlier: Sequence[Measurement], *, mu: float, resolution: ArrayResolution
) -> Plan:
    """Second moment over the lowest frequencies, and class means."""
    overview = Overview.of(earlier[0])
    noise = unit_noise(earlier[0]) / mu / math.sqrt(1.0 - resolution.mean_share)
    affordable = (resolution.noise_of_squares * overview.count / noise) ** 2 / 2.0
    wanted = resolution.directions * affordable ** (1 / 3)
    size = int(np.clip(wanted, resolution.fewest_directions, MOST_DIRECTIONS))
    basis = ArrayBasis.of(domain, size)
    centre = on_grid(overview.mean @ basis.matrix.T, COORDINATE_BITS)
    classes = domain.n_classes
    moments = MomentFeatures(
        basis,
        None,
        np.repeat(centre[None], classes, axis=0),
        np.full(classes, _radius(resolution, overview.spread, domain.width)),
        np.arange(classes),
        classes,
        (0, mean_weight(resolution.mean_share), 1),
        True,
    )
    return Plan((moments,), (1.0,), "second moments and class means")


def classes_plan(domain: Domain, earlier: Sequence[Measurement], *, resolution: ArrayResolution) -> Plan:
    """Mean and second moment of every class in the subspace."""
    overview = Overview.of(earlier[0])
    subspace = Subspace.of(earlier[1], overview)
    shares = overview.class_counts / overview.count
    between = float(shares @ (subspace.class_means**2).sum(axis=1))
    total = float(subspace.variances.sum())
    within = max(total - between, 0.2 * total)
    classes = domain.n_classes
    moments = MomentFeatures(
        subspace.basis,
        subspace.rotation,
        _placeable(subspace.class_means + subspace.mean @ subspace.rotation.T, domain.width),
        np.full(classes, _radius(resolution, within, domain.width)),
        np.arange(classes),
        classes,
        (0, mean_weight(resolution.mean_share), 1),
        False,
    )
    return Plan((moments,), (1.0,), "moments of classes")


def cells_plan(
    domain: Domain, earlier: Sequence[Measurement], *, mu: float, resolution: ArrayResolution
) -> Plan:
    """Counts and means in cells of the classes, and the values of entries."""
    overview = Overview.of(earlier[0])
    subspace = Subspace.of(earlier[1], overview)
    gaussians = ClassGaussians.of(earlier[2], overview)
    randomness = np.random.default_rng(0)
    noise = unit_noise(earlier[0]) / mu
    own = noise / math.sqrt(1.0 - resolution.values_share)
    centres, radii, labels = [], [], []
    points = []
    for label, count in enumerate(overview.class_counts):
        drawn = randomness.multivariate_normal(
            gaussians.means[label], gaussians.covariances[label], POINTS, method="eigh"
        )
        points.append(drawn[: max(1, round(PIXELS * count / overview.count))])
        cells = int(np.clip(count / (resolution.cell_records * own), 1, resolution.most_cells))
        found, spread = nearest_means(drawn, cells, randomness)
        centres.append(_placeable(found, domain.width))
        radii.append(np.full(len(found), _radius(resolution, spread, domain.width)))
        labels.append(np.full(len(found), label))
    means = math.floor(AMPLITUDE / LEVELS)
    counts = round(means * LEVELS * math.sqrt(resolution.count_share / (1.0 - resolution.count_share)))
    moments = MomentFeatures(
        subspace.basis,
        subspace.rotation,
        np.concatenate(centres),
        np.concatenate(radii),
        np.concatenate(labels).astype(np.int64),
        domain.n_classes,
        (counts, means, 0),
        False,
    )
    arrays = reconstructed(np.concatenate(points), subspace)
    noise /= math.sqrt(resolution.values_share)
    values = values_plan(
        arrays, subspace.basis, overview, noise=noise, resolution=resolution, classes=domain.n_classes
    )
    return Plan(
        (moments, values),
        (1.0 - resolution.values_share, resolution.values_share),
        "means of cells and values of entries",
    )


def values_plan(
    arrays: NDArray[np.float64],
    basis: ArrayBasis,
    overview: Overview,
    *,
    noise: float,
    resolution: ArrayResolution,
    classes: int,
) -> EntryValues:
    """Groups of entries of one channel and like mean, and edges that fit what arrays of the third look hold.

    Args:
        arrays: (n, width) drawn from the third look's Gaussians.
        basis: Says which entry is of which channel.
        overview: Of the first look.
        noise: Standard deviation, in records, of a histogram that all entries share.
        resolution: How finely.
        classes: Number of classes.
    """
    channels = basis.shape[-1]
    channel = np.tile(np.arange(channels), basis.width // channels)
    affordable = overview.count / (resolution.group_records * noise * channels)
    groups_each = int(np.clip(affordable, 1, resolution.most_groups))
    mean = arrays.mean(axis=0)
    groups = np.empty(basis.width, dtype=np.int64)
    for one in range(channels):
        own = np.flatnonzero(channel == one)
        cuts = np.quantile(mean[own], np.linspace(0, 1, groups_each + 1)[1:-1])
        groups[own] = one * groups_each + np.searchsorted(cuts, mean[own])
    groups = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    even = np.linspace(-1.0, 1.0, EVEN_EDGES + 1)[1:-1]
    edges = []
    for group in range(int(groups.max()) + 1):
        seen = np.quantile(arrays[:, groups == group], LEVELS_OF_EDGES)
        edges.append(np.concatenate([even, np.clip(seen, -1.0, 1.0)]))
    counted = groups.copy()
    counted[
        np.arange(basis.width) % -(-basis.width // AMPLITUDE) != 0
    ] = -1  # more entries than can be weighed
    return EntryValues(counted, _spread_edges(np.array(edges)), classes)


def _spread_edges(inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending edges on the grid with the bounds' own cells at both ends; where two fall together, a step apart."""
    steps = np.sort(np.rint(inner * 2.0**FEATURE_BITS), axis=1)
    last = 2.0**FEATURE_BITS
    steps = np.column_stack([np.full(len(steps), -last + 1), steps, np.full(len(steps), last)])
    for index in range(1, steps.shape[1]):
        steps[:, index] = np.maximum(steps[:, index], steps[:, index - 1] + 1)
    steps[:, -1] = last
    for index in range(steps.shape[1] - 2, -1, -1):
        steps[:, index] = np.minimum(steps[:, index], steps[:, index + 1] - 1)
    return steps / last


def reconstructed(points: NDArray[np.float64], subspace: Subspace) -> NDArray[np.float64]:
    """(n, width) arrays of (n, d) points of the subspace."""
    inside = subspace.mean @ subspace.rotation.T
    return (subspace.mean + (points - inside) @ subspace.rotation) @ subspace.basis.matrix


def _placeable(centres: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Centres on their grid, and where records can be: noise alone may put them anywhere."""
    return on_grid(np.clip(centres, -math.sqrt(width), math.sqrt(width)), COORDINATE_BITS)


def _radius(resolution: ArrayResolution, spread: float, width: int) -> float:
    """Where to clip for a mean squared distance, which noise alone may make larger than any record is long."""
    return math.sqrt(min(resolution.radius**2 * spread, width))


def mean_weight(share: float) -> int:
    """Weight of means next to squares, so that they take this share of mu^2."""
    wanted = WEIGHT_OF_SQUARES * math.sqrt(share / (1.0 - share)) / LEVELS
    return int(np.clip(round(wanted), 1, AMPLITUDE // LEVELS))


def unit_noise(first: Measurement) -> float:
    """Noise, in records, of a block of norm 1 that is measured alone with mu = 1, for the same unit of privacy."""
    block = first.features(SpreadStatistic)
    share = math.sqrt(first.share(SpreadStatistic))
    return first.noise_std(SpreadStatistic) * AMPLITUDE * first.mu * share / block.norm


def nearest_means(
    points: NDArray[np.float64], cells: int, randomness: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """k-means on made-up points: (cells or fewer, d) centres, and the mean squared distance from the nearest."""
    centres = points[randomness.permutation(len(points))[:cells]]
    squared = (points**2).sum(axis=1)
    for _ in range(ROUNDS):
        away = squared[:, None] - 2.0 * points @ centres.T + (centres**2).sum(axis=1)
        nearest = away.argmin(axis=1)
        kept = np.unique(nearest)
        centres = np.stack([points[nearest == one].mean(axis=0) for one in kept])
    away = squared[:, None] - 2.0 * points @ centres.T + (centres**2).sum(axis=1)
    return centres, max(float(away.min(axis=1).mean()), 1e-9)
