"""Counts of one column from noisy trees: consistent, never negative, nearer to the truth than the leaves alone."""

from itertools import pairwise

import numpy as np
import pytest

from keshi.synthesis.column_counts import (
    fine_to_coarse,
    joined_neighbours,
    joined_rare,
    leaf_counts,
    seen_together,
    shared_out,
    tree_levels,
)
from keshi.synthesis.private_embedding import project_to_simplex


def noisy_tree(truth, noise, seed):
    levels = tree_levels(np.zeros(len(truth), dtype=bool))
    random = np.random.default_rng(seed)
    noisy = [
        np.bincount(level, weights=truth) + noise * random.normal(size=level[-1] + 1) for level in levels
    ]
    return levels, noisy


def test_levels_branch_into_at_most_sixteen():
    levels = tree_levels(np.zeros(4_000, dtype=bool))
    assert [level[-1] + 1 for level in levels] == [16, 250, 4_000]
    for coarse, fine in pairwise(levels):
        assert np.bincount(fine_to_coarse(fine, coarse)).max() <= 16


def test_a_likely_value_is_a_cell_by_itself_at_every_level():
    alone = np.zeros(4_003, dtype=bool)
    alone[[0, 2_000, 4_002]] = True
    levels = tree_levels(alone)
    assert len(levels) == 3
    for level in levels:
        assert (np.bincount(level)[level[alone]] == 1).all()
        assert np.isin(np.diff(level), [0, 1]).all()
    assert levels[0][-1] + 1 == 16 + 3 + 1  # the one in the middle cuts a cell in two


def test_cells_far_from_any_that_stands_out_are_empty():
    levels = [np.repeat(np.arange(10), 2), np.arange(20)]
    noisy = np.array([500.0, 300, 30, 30, 0, 10, 20, 0, 0, 25])
    counts = leaf_counts(levels, [noisy, np.zeros(20)], [20.0, 1e9], 830.0)
    assert (counts[::2] > 0).tolist() == [True, True, True] + 7 * [False]
    even = np.where(noisy > 100, noisy, 45.0)
    together = leaf_counts(levels, [even, np.zeros(20)], [20.0, 1e9], 1_160.0)
    assert (together > 0).all()  # none of the last seven stands out, and all of them do
    assert leaf_counts(levels, [noisy / 100, np.zeros(20)], [20.0, 1e9], 5.0).sum() == pytest.approx(5.0)


def test_few_records_are_seen_together_where_none_of_their_cells_stands_out():
    variance = np.full(8, 100.0)
    seen = seen_together(np.array([0.0, 5, 22, 25, 24, 0, -8, 35]), variance)
    assert seen.tolist() == [
        False,
        False,
        True,
        True,
        False,
        False,
        False,
        True,
    ]  # the shortest stretch, no longer one
    assert not seen_together(np.full(3, 17.0), variance[:3]).any()
    assert seen_together(np.full(4, 17.0), variance[:4]).all()


def test_a_small_wide_column_is_not_filled_to_its_upper_bound_by_noise():
    """300 records, most of them 0 and the others around 4,000, in bounds of ten millions with noise of 12 a cell."""
    random = np.random.default_rng(0)
    alone = np.zeros(4_096, dtype=bool)
    alone[[0, -1]] = True
    levels, scale = tree_levels(alone), np.linspace(0, np.log1p(1e7), 4_096)
    ratios = []
    for _ in range(100):
        values = np.where(random.random(300) < 0.6, 0.0, np.exp(random.normal(8.35, 1.5, 300)))
        truth = np.bincount(np.searchsorted(scale, np.log1p(values), side="right") - 1, minlength=4_096)
        noisy = [np.bincount(level, weights=truth) + random.normal(0, 12, level[-1] + 1) for level in levels]
        counts = leaf_counts(levels, noisy, [12.0] * len(levels), 300 + random.normal(0, 12))
        ratios.append((counts @ np.expm1(scale)) / (truth @ np.expm1(scale)))
    assert np.quantile(ratios, 0.85) < 5  # each cell by itself: above 20


def test_many_cells_that_no_noise_level_tells_apart_do_not_vanish_into_a_peak():
    """Half of the records at 0, the others even: what is left beside the peak stands out as a whole."""
    levels = [np.repeat(np.arange(11), 2), np.arange(22)]
    truth = np.array([500.0] + 10 * [50.0])
    shares = []
    for seed in range(50):
        noisy = truth + 40.0 * np.random.default_rng(seed).normal(size=11)
        counts = leaf_counts(levels, [noisy, np.zeros(22)], [40.0, 1e9], 1_000.0)
        shares.append(counts[:2].sum() / 1_000)
    assert np.quantile(shares, 0.9) < 0.7
    assert abs(np.mean(shares) - 0.5) < 0.07


def test_what_is_not_divided_is_spread_by_width():
    levels = tree_levels(np.zeros(20, dtype=bool))
    widths = np.array([1.0] + 15 * [3.0] + 4 * [5.0])
    counts = leaf_counts(levels, [np.array([46.0, 20]), np.zeros(20)], [30.0, 1e6], 66.0, widths=widths)
    for cell in (slice(0, 16), slice(16, 20)):
        assert counts[cell] / counts[cell].sum() == pytest.approx(widths[cell] / widths[cell].sum(), rel=1e-6)


def test_without_noise_the_counts_are_the_truth():
    truth = np.random.default_rng(0).integers(0, 50, 600).astype(float)
    levels, noisy = noisy_tree(truth, 0.0, 0)
    assert np.allclose(leaf_counts(levels, noisy, [1e-9] * 3, truth.sum()), truth, atol=1e-6)


def test_ranges_are_nearer_to_the_truth_than_sums_of_noisy_leaves():
    truth = np.concatenate([np.full(2_000, 5.0), np.zeros(2_000), [9_000.0], np.zeros(95)])
    ours, leaves = [], []
    for seed in range(20):
        levels, noisy = noisy_tree(truth, 40.0, seed)
        counts = leaf_counts(levels, noisy, [40.0] * 3, truth.sum())
        assert (counts >= 0).all()
        assert np.isclose(counts.sum(), truth.sum())
        for bound in (777, 1_500, 3_000):
            ours.append(abs(counts[:bound].sum() - truth[:bound].sum()))
            leaves.append(abs(noisy[-1][:bound].sum() - truth[:bound].sum()))
    assert np.mean(ours) < 0.25 * np.mean(leaves)


def test_what_stands_out_is_kept_and_what_may_be_noise_is_spread_by_width():
    noisy = np.array([900.0, 40, 10, -20, 50])
    shares = shared_out(noisy, 30.0, np.array([1.0, 1, 1, 1, 2]), 1_000.0)
    assert shares == pytest.approx([900.0, 20, 20, 20, 40])
    assert shared_out(noisy, 1e-9, np.ones(5), 1_000.0) == pytest.approx([900.0, 40, 10, 0, 50])
    assert shared_out(noisy, 1e6, np.ones(5), 1_000.0) == pytest.approx(np.full(5, 200.0))


def test_sharing_out_is_nearer_to_the_truth_than_the_simplex_alone():
    """Total variation, 100 draws of noise each: by far where counts are even, a little worse where most are empty."""
    even, harmonic = np.full(95, 64.0), 1_000 / np.arange(1.0, 96.0)
    geometric = 6_000 * 0.9 ** np.arange(95) / 10
    for truth, ratio in ((even, 0.1), (harmonic, 0.8), (geometric, 1.15)):
        ours, plain = [], []
        for seed in range(100):
            noisy = truth + 60.0 * np.random.default_rng(seed).normal(size=len(truth))
            ours.append(np.abs(shared_out(noisy, 60.0, np.ones(95), truth.sum()) - truth).sum())
            plain.append(np.abs(project_to_simplex(noisy, truth.sum()) - truth).sum())
        assert np.mean(ours) < ratio * np.mean(plain)


def test_a_popular_value_stays_alone_and_neighbours_are_joined_to_the_target():
    counts = np.array([30.0, 30, 30, 30, 900, 10, 10, 90, 40])
    groups = joined_neighbours(counts, 100.0)
    held = np.bincount(groups, weights=counts)
    assert (groups == groups[4]).sum() == 1
    assert (np.diff(groups) >= 0).all()
    assert held.tolist() == [120.0, 900.0, 110.0, 40.0]


def test_rare_categories_share_the_last_group():
    assert joined_rare(np.array([50.0, 2, 60, 1, 0]), 3.0).tolist() == [0, 2, 1, 2, 2]
    assert joined_rare(np.array([50.0, 2, 60]), 3.0).tolist() == [0, 1, 2]


def test_of_too_many_categories_the_least_frequent_are_rare_too():
    counts = np.array([50.0, 7, 90, 60, 8, 70])
    assert joined_rare(counts, 10.0).tolist() == [0, 4, 1, 2, 4, 3]
    assert joined_rare(counts, 10.0, most=3).tolist() == [2, 2, 0, 2, 2, 1]
    assert joined_rare(counts, 0.0, most=6).tolist() == [0, 1, 2, 3, 4, 5]
