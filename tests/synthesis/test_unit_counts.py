"""How many units there are: least squares over every noisy count, far nearer than the counts of classes alone."""

import numpy as np
import pytest

from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.features import AMPLITUDE, WEIGHT, ClassCounts
from keshi.synthesis.marginal_plan import Resolution, first_look, second_look
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import CLASS
from keshi.synthesis.private_embedding import Measurement, Plan
from keshi.synthesis.unit_counts import counts_of_classes

NUMBERS = {f"x{i}": Numerical(0.0, 1.0) for i in range(8)}
DOMAIN = Domain({**NUMBERS, "y": Categorical(("a", "b", "c"))}, label="y")
RESOLUTION = Resolution(leaves=64)


def measured(blocks, batch, scales, random) -> Measurement:
    sums = np.concatenate([block.sums(batch, np.full(len(batch.classes), float(WEIGHT))) for block in blocks])
    noise = np.concatenate([random.normal(0, s, b.size) for b, s in zip(blocks, scales, strict=True)])
    share = (1 / len(blocks),) * len(blocks)
    return Measurement(Plan(blocks, share, "counts"), sums + np.rint(noise).astype(np.int64), scales, 0.1)


def both_looks(rows, noise, seed):
    random = np.random.default_rng(seed)
    batch = EncodedBatch(
        random.integers(-(2**20), 2**20, (rows, 8)) / 2**20, random.choice(3, rows, p=[0.6, 0.3, 0.1])
    )
    step = AMPLITUDE * WEIGHT
    scales = (noise * step, 3 * noise * step)
    first = measured((first_look(DOMAIN, RESOLUTION), ClassCounts(3)), batch, scales, random)
    block = second_look(DOMAIN, first, mu=0.2, resolution=RESOLUTION)
    return batch, [first, measured((block,), batch, scales[:1], random)]


def slow_least_squares(measurements) -> np.ndarray:
    """One row of a design for the sum of every table, or of every row of it where the label leads it."""
    design, seen = [], []
    for one in measurements:
        for block in one.plan.features:
            if isinstance(block, ClassCounts):
                for label, count in enumerate(one.values(ClassCounts)):
                    std = one.noise_std(ClassCounts)
                    design.append(np.eye(3)[label] / std)
                    seen.append(count / std)
                continue
            tables = block.tables(one.values(MarginalFeatures))
            stds = block.noise_stds(one.noise_std(MarginalFeatures))
            for marginal, table, std in zip(block.marginals, tables, stds, strict=True):
                first = block.partitions[marginal[0]]
                groups = np.array(first.joined) if first.start == CLASS else np.zeros(3, dtype=int)
                rows = table if first.start == CLASS else table.reshape(1, -1)
                for group, row in enumerate(rows):
                    design.append((groups == group) / (std * np.sqrt(row.size)))
                    seen.append(row.sum() / (std * np.sqrt(row.size)))
    return np.linalg.lstsq(np.array(design), np.array(seen), rcond=None)[0]


def test_it_is_the_least_squares_of_all_counts():
    _, measurements = both_looks(500, 40, seed=0)
    assert counts_of_classes(measurements, 3) == pytest.approx(slow_least_squares(measurements), rel=1e-6)


def test_few_records_are_counted_several_times_as_well_as_by_their_classes_alone():
    """Of 500 records the classes alone said 1,000 or 100 where the noise was large."""
    alone, together = [], []
    for seed in range(20):
        batch, measurements = both_looks(500, 40, seed)
        truth = np.bincount(batch.classes, minlength=3)
        alone.append(measurements[0].values(ClassCounts) - truth)
        together.append(counts_of_classes(measurements, 3) - truth)

    def error(of) -> float:
        return float(np.sqrt(np.mean(np.sum(of, axis=1) ** 2)))

    assert error(alone) > 150
    assert error(together) < error(alone) / 3
    assert np.sqrt(np.mean(np.square(together))) < np.sqrt(np.mean(np.square(alone))) / 2
