"""Few records in many cells: the shape that is likely, in place of the peaks of the noise."""

import numpy as np
import pytest

from keshi.synthesis.column_counts import leaf_counts, tree_levels
from keshi.synthesis.likely_shapes import likely_shares

EDGES = np.linspace(0, 1, 4_097)


def released(values, noise, seed):
    """Levels, noisy counts and truth of a column between 0 and 1, its bounds cells by themselves."""
    alone = np.zeros(4_096, dtype=bool)
    alone[[0, -1]] = True
    levels = tree_levels(alone)
    random = np.random.default_rng(seed)
    truth = np.histogram(values, EDGES)[0].astype(float)
    noisy = [np.bincount(level, weights=truth) + random.normal(0, noise, level[-1] + 1) for level in levels]
    return levels, noisy, truth


def in_twentieths(counts) -> np.ndarray:
    cumulative = np.interp(np.linspace(0, 1, 21), EDGES, np.concatenate([[0], np.cumsum(counts)]))
    return np.diff(cumulative) / counts.sum()


@pytest.mark.parametrize(("low", "high", "most"), [(2, 18, 0.15), (6, 6, 0.23), (4, 1.5, 0.26), (1, 1, 0.2)])
def test_a_column_whose_cells_all_drown_in_noise_keeps_place_and_width(low, high, most):
    """500 records, noise 35 a cell: with peaks of the noise taken for records the distances were .15, .26 and .32."""
    distance, shift = [], []
    for seed in range(15):
        values = np.random.default_rng(seed).beta(low, high, 500)
        levels, noisy, truth = released(values, 35.0, 100 + seed)
        counts = leaf_counts(levels, noisy, [35.0] * 3, 500.0)
        assert counts.sum() == pytest.approx(500.0)
        distance.append(np.abs(in_twentieths(counts) - in_twentieths(truth)).sum() / 2)
        shift.append(in_twentieths(counts) @ (np.arange(20) / 20 + 0.025) - values.mean())
    assert np.mean(distance) < most
    assert np.sqrt(np.mean(np.square(shift))) < 0.13


def test_the_shares_are_those_of_the_counts_where_there_is_no_noise_to_speak_of():
    widths = np.ones(16)
    middle = (np.arange(16) + 0.5) / 16
    truth = 1 / (np.cosh((middle - 0.4) / 0.1)) ** 2
    truth *= 10_000 / truth.sum()
    found = likely_shares(truth, np.full(16, 400.0), widths, 10_000.0, likely=np.zeros(16, dtype=bool))
    assert found.sum() == pytest.approx(1.0)
    assert np.abs(found - truth / 10_000).sum() / 2 < 0.05


def test_what_lies_on_a_bound_is_told_from_a_bulk_beside_it():
    widths = np.array([1e-6, *np.ones(16), 1e-6])
    likely = np.array([True] + 16 * [False] + [True])
    truth = np.zeros(18)
    truth[0], truth[8:12] = 300.0, 50.0
    random = np.random.default_rng(0)
    found = [
        likely_shares(truth + random.normal(0, 60, 18), np.full(18, 3_600.0), widths, 500.0, likely=likely)[0]
        for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(0.6, abs=0.15)
