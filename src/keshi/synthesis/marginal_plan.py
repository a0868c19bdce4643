"""Which marginals preset `keshi` measures: a first look at each column by itself, then at all pairs of columns.

The first look depends on the domain alone. The second depends on the noisy values of the first: columns are divided by
what stands out from the noise, and cells too rare to be seen in a pair are joined. Never on a record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from keshi.records.domain import Domain
from keshi.synthesis.column_counts import joined_to, leaf_counts, rare_joined, tree_levels
from keshi.synthesis.features import AMPLITUDE, ClassCounts
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import GRID, Partition, class_partition, column_partitions, cuts_before, whole_values
from keshi.synthesis.private_embedding import Measurement, project_to_simplex

LEAVES = 4096
ZOOM = 64
T = dict(K=20, F=64, rare=3.0, one=2.0, expo=1/3, fine_w=1.0, uncond=0.0, Fnoise=4.0, Knoise=0.0)


def first_look(domain: Domain) -> MarginalFeatures:
    """Every column by itself; numbers in a tree of intervals."""
    partitions: list[Partition] = []
    for partition in column_partitions(domain, most_cells=LEAVES).values():
        if partition.categories:
            partitions.append(partition)
            continue
        intervals = len(partition.edges) - 1
        missing = [np.array([], dtype=np.int64)]
        for level in tree_levels(intervals):
            joined = np.append(level, level[-1] + 1) if partition.missing else level
            partitions.append(partition.joining(joined))
    marginals = tuple((position,) for position in range(len(partitions)))
    return MarginalFeatures(tuple(partitions), marginals, (AMPLITUDE,) * len(marginals), domain.n_classes)


@dataclass(frozen=True, eq=False)
class ColumnLook:
    """What the first look says of one column: counts of its finest cells, and the noise in a count."""

    partition: Partition
    counts: NDArray[np.float64]
    noise_std: float


def columns_seen(first: Measurement, total: float) -> list[ColumnLook]:
    """Counts of each column's finest cells, made consistent."""
    block: MarginalFeatures = first.features(MarginalFeatures)
    tables = block.tables(first.values(MarginalFeatures))
    stds = block.noise_stds(first.noise_std(MarginalFeatures))
    seen: list[ColumnLook] = []
    position = 0
    while position < len(block.partitions):
        source = block.partitions[position].source
        last = position
        while last + 1 < len(block.partitions) and block.partitions[last + 1].source == source:
            last += 1
        finest = block.partitions[last]
        if finest.categories:
            seen.append(ColumnLook(finest, project_to_simplex(tables[last], total), float(stds[last])))
        else:
            group = range(position, last + 1)
            missing = 0.0
            noisy = [tables[p] for p in group]
            if finest.missing:
                missing = float(np.clip(np.mean([t[-1] for t in noisy]), 0.0, total))
                noisy = [t[:-1] for t in noisy]
            leaves = leaf_counts(tree_levels(len(finest.edges) - 1), noisy, [float(stds[p]) for p in group], total - missing)
            counts = np.append(leaves, missing) if finest.missing else leaves
            seen.append(ColumnLook(finest, counts, float(stds[last])))
        position = last + 1
    return seen


def second_look(domain: Domain, first: Measurement, *, mu: float) -> MarginalFeatures:
    """Fine marginals of all columns, and coarse ones of all pairs, both with the class where there is one."""
    total = max(float(first.values(ClassCounts).sum()), 1.0)
    seen = columns_seen(first, total)
    index = first._index(MarginalFeatures)
    block = first.plan.features[index]
    # noise of a marginal per unit norm and unit mu
    base = first.noise_std(MarginalFeatures) * AMPLITUDE * first.mu * math.sqrt(first.plan.shares[index]) / block.norm
    d = len(seen)
    pair_std = base * math.sqrt(d * (d + 1) / 2) / mu
    fine, coarse = [], []
    columns = [domain.columns[name] for name in dict.fromkeys(slot.column for slot in domain.slots)]
    for look, column in zip(seen, columns, strict=True):
        threshold = max(T["rare"] * look.noise_std, T.get("rare2", 0.0) * pair_std)
        if look.partition.categories:
            joined = rare_joined(look.counts, threshold)
            fine.append(None)
            coarse.append(look.partition.joining(joined))
            continue
        own_fine = _fine_partition(look, column, max(total / T["F"], T["Fnoise"] * look.noise_std))
        K = T["K"]
        if T["Knoise"]:
            K = int(np.clip(T["Knoise"] * math.sqrt(total / pair_std), 4, 32))
        fine.append(own_fine)
        n = len(own_fine.edges) - 1
        # parts of a leaf that was divided again stay together: how they differ is not known yet
        leaf = np.searchsorted(look.partition.edges, own_fine.edges[:-1], side="right") - 1
        group = np.unique(leaf, return_inverse=True)[1]
        joined = joined_to(np.bincount(group, weights=_counts_in(own_fine, look)), max(total / K, threshold))[group]
        if own_fine.missing:
            joined = np.append(joined, joined[-1] + 1)
        coarse.append(own_fine.joining(joined))
    partitions: list[Partition] = []
    marginals: list[tuple[int, ...]] = []
    weights: list[float] = []

    def add(marginal, factor):
        marginals.append(marginal)
        weights.append(factor * math.prod(partitions[p].cells for p in marginal) ** T["expo"])

    with_class = domain.n_classes > 1
    if with_class:
        partitions.append(class_partition(domain))
    label = (0,) if with_class else ()
    at = []
    for c in coarse:
        at.append(len(partitions))
        partitions.append(c)
    for p in at:
        add((*label, p), T["one"])
    for a, b in combinations(at, 2):
        add((*label, a, b), 1.0)
        if T["uncond"] and with_class:
            add((a, b), T["uncond"])
    for f in fine:
        if f is not None:
            partitions.append(f)
            add((len(partitions) - 1,), T["fine_w"])
    largest = max(weights)
    return MarginalFeatures(
        tuple(partitions), tuple(marginals), tuple(max(1, round(w / largest * AMPLITUDE)) for w in weights), domain.n_classes
    )


def _fine_partition(look: ColumnLook, column, target: float) -> Partition:
    """Intervals that hold about `target` records; a leaf that holds more is divided again."""
    edges = np.array(look.partition.edges)
    n = len(edges) - 1
    counts = look.counts[:n]
    groups = joined_to(counts, target)
    cuts = set(edges[np.flatnonzero(np.diff(groups)) + 1].tolist())
    values = whole_values(column)
    for leaf in np.flatnonzero(counts >= 2 * target):
        low, high = int(edges[leaf]), int(edges[leaf + 1])
        if values is None:
            cuts.update(np.unique(np.rint(np.linspace(low, high, ZOOM + 1)).astype(np.int64)).tolist())
        else:
            first = math.ceil((low / GRID + 1) / 2 * (values - 1) - 1e-9)
            last = math.ceil((high / GRID + 1) / 2 * (values - 1) - 1e-9)
            if last - first > 1:
                cuts.update(cuts_before(np.arange(first + 1, last), values) if last - first <= 4096 else ())
            cuts.update((low, high))
    cuts -= {-GRID, GRID}
    new = (-GRID, *sorted(cuts), GRID)
    return Partition(look.partition.start, 0, new, look.partition.missing, tuple(range(len(new) - 1 + look.partition.missing)))


def _counts_in(partition: Partition, look: ColumnLook) -> NDArray[np.float64]:
    """Counts of the first look in the intervals of another partition; a divided leaf is spread evenly."""
    edges = np.array(look.partition.edges)
    n = len(edges) - 1
    cumulative = np.concatenate([[0.0], np.cumsum(look.counts[:n])])
    return np.diff(np.interp(partition.edges, edges, cumulative))
