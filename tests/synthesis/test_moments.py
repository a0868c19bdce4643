import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.privacy.unit import PrivacyUnit
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.array_basis import ArrayBasis
from keshi.synthesis.entry_values import EntryValues
from keshi.synthesis.features import AMPLITUDE, WEIGHT, SpreadStatistic
from keshi.synthesis.moments import LEVELS, MomentFeatures, on_grid

BASIS = ArrayBasis((4, 3, 2), False, 9)
GRID = 2.0**FEATURE_BITS


def some_moments(seed=0, *, weights=(900, 40, 1), pooled=False, cells=(0, 0, 1), rotation=True, radius=1.5):
    randomness = np.random.default_rng(seed)
    axes = np.linalg.qr(randomness.normal(size=(9, 9)))[0][:5]
    d = 5 if rotation else 9
    centres = on_grid(randomness.normal(size=(len(cells), d)), 12)
    radii = np.full(len(cells), radius)
    return MomentFeatures(
        BASIS, on_grid(axes, 16) if rotation else None, centres, radii, np.array(cells), 2, weights, pooled
    )


def some_values(seed=0):
    randomness = np.random.default_rng(seed)
    inner = np.sort(np.rint(randomness.uniform(-0.9, 0.9, size=(3, 4)) * GRID), axis=1) / GRID
    ends = np.full((3, 1), -1 + 1 / GRID), np.ones((3, 1))
    groups = np.append(randomness.integers(0, 3, BASIS.width - 1), 2)
    return EntryValues(groups, np.concatenate([ends[0], inner, ends[1]], axis=1), 2)


def records(n, seed, *, extreme=False):
    randomness = np.random.default_rng(seed)
    vectors = randomness.uniform(-1, 1, size=(n, BASIS.width))
    if extreme:
        vectors = np.where(randomness.random(vectors.shape) < 0.8, np.sign(vectors), vectors)
    return EncodedBatch(np.rint(vectors * GRID) / GRID, randomness.integers(0, 2, n))


@given(st.integers(0, 2**32), st.booleans(), st.booleans(), st.sampled_from([0.05, 0.7, 3.0, 40.0]))
@settings(max_examples=40)
def test_no_record_moves_the_sums_further_than_the_sensitivity(seed, extreme, pooled, radius):
    batch = records(100, seed, extreme=extreme)
    for block in (
        some_moments(seed % 7, pooled=pooled, radius=radius),
        some_moments(seed % 7, rotation=False, weights=(0, 164, 1), pooled=True, radius=radius),
        some_values(seed % 7),
    ):
        features = np.stack(
            [
                block.sums(EncodedBatch(batch.vectors[i : i + 1], batch.classes[i : i + 1]), np.ones(1))
                for i in range(100)
            ]
        ).astype(np.float64)
        assert np.linalg.norm(features, axis=1).max() <= block.norm * (1 + 1e-12)
        apart = np.linalg.norm(features[:50] - features[50:], axis=1).max()
        assert WEIGHT * apart <= block.sensitivity(PrivacyUnit("replace-one")) * (1 + 1e-12)
        assert np.abs(features).max() <= AMPLITUDE


def test_the_declared_norm_is_reached_so_no_noise_is_wasted():
    block = some_moments(weights=(900, 40, 1), radius=0.01)
    far = records(500, 1, extreme=True)
    features = [
        block.sums(EncodedBatch(far.vectors[i : i + 1], far.classes[i : i + 1]), np.ones(1)).astype(float)
        for i in range(500)
    ]
    assert max(map(np.linalg.norm, features)) > 0.96 * block.norm
    values = some_values()
    all_low = EncodedBatch(np.full((1, BASIS.width), -1.0), np.zeros(1, dtype=np.int64))
    found = values.sums(all_low, np.ones(1)).astype(float)
    assert found.sum() == values.norm
    assert np.linalg.norm(found) > 0.5 * values.norm  # in three groups


@pytest.mark.parametrize("block", [some_moments(), some_moments(rotation=False, pooled=True), some_values()])
def test_order_batches_and_weights_cannot_change_a_bit(block):
    batch = records(5_000, 3)
    weights = np.random.default_rng(4).integers(1, WEIGHT, 5_000).astype(np.float64)
    whole = block.sums(batch, weights)
    order = np.random.default_rng(5).permutation(5_000)
    parts = sum(
        block.sums(EncodedBatch(batch.vectors[rows], batch.classes[rows]), weights[rows])
        for rows in np.array_split(order, 7)
    )
    assert np.array_equal(whole, parts)
    assert np.array_equal(
        WEIGHT * block.sums(batch, np.ones(5_000)), block.sums(batch, np.full(5_000, WEIGHT))
    )


def test_moments_without_noise_are_those_of_a_plain_computation():
    block = some_moments(cells=(0, 0, 1), radius=50.0)
    batch = records(3_000, 6)
    found = block.moments(block.sums(batch, np.ones(3_000)) / AMPLITUDE, noise_std=0.0)
    coordinates = batch.vectors @ block.basis.matrix.T @ block.rotation.T
    away = coordinates[:, None] - block.centres
    away_squared = (away**2).sum(axis=2) + np.where(block.cell_classes == batch.classes[:, None], 0, np.inf)
    cell = away_squared.argmin(axis=1)
    step = 50.0 / LEVELS
    for one in range(3):
        own = away[cell == one, one]
        assert found.counts[one] == pytest.approx(len(own), abs=2)
        assert np.abs(found.sums[one] - own.sum(axis=0)).max() < 5 * step * math.sqrt(len(own) / 12) + step
        # Rounding to whole steps adds its own variance, step^2 / 12, to the diagonal.
        expected = own.T @ own + len(own) * step**2 / 12 * np.eye(5)
        assert np.abs(found.squares[one] - expected).max() < 0.1 * np.abs(expected).max()


def test_the_noise_that_is_told_is_the_noise_that_is_there():
    block = some_moments(weights=(900, 40, 1))
    randomness = np.random.default_rng(7)
    draws = [block.moments(randomness.normal(0, 0.3, block.size), noise_std=0.3) for _ in range(2_000)]
    assert np.std([d.counts for d in draws]) == pytest.approx(draws[0].count_std, rel=0.03)
    assert np.std([d.sums[0] for d in draws]) == pytest.approx(draws[0].sum_std[0], rel=0.03)
    assert np.std([d.squares[0][1, 1] for d in draws]) == pytest.approx(draws[0].square_std[0], rel=0.07)
    assert np.std([d.squares[0][1, 2] for d in draws]) == pytest.approx(
        draws[0].square_std[0] * 5 / 7, rel=0.07
    )


def test_histograms_without_noise_are_those_of_a_double_loop():
    block, batch = some_values(), records(200, 8, extreme=True)
    found = block.histograms(block.sums(batch, np.ones(200)) / AMPLITUDE)
    expected = np.zeros_like(found)
    for row in batch.vectors:
        for entry, value in enumerate(row):
            group = block.groups[entry]
            expected[group, int((block.edges[group] <= value).sum())] += 1
    expected /= np.bincount(block.groups)[:, None]
    assert found == pytest.approx(expected)


def test_settings_that_would_break_the_proof_are_refused():
    block = some_moments()
    with pytest.raises(ValueError, match="grid"):
        replace(block, centres=block.centres + 1e-9)
    with pytest.raises(ValueError, match="directions of norm 1"):
        replace(block, rotation=2.0 * block.rotation)
    with pytest.raises(ValueError, match="weights"):
        replace(block, weights=(AMPLITUDE + 1, 1, 1))
    with pytest.raises(ValueError, match="radius"):
        replace(block, radii=np.array([1.0, np.nan, 1.0]))
    with pytest.raises(ValueError, match="share one radius"):
        replace(block, radii=np.array([1.0, 2.0, 1.0]), pooled=True)
    values = some_values()
    with pytest.raises(ValueError, match="ascend"):
        EntryValues(values.groups, values.edges[:, [0, 2, 1, 3, 4, 5]], 2)


def test_the_basis_is_orthonormal_up_to_its_grid_and_smooth_directions_come_first():
    for basis in (ArrayBasis((6, 5, 3), False, 90), ArrayBasis((10, 2), True, 20)):
        assert np.abs(basis.matrix @ basis.matrix.T - np.eye(basis.width)).max() < 1e-3
    grey = ArrayBasis((6, 5, 1), False, 1).matrix.reshape(6, 5)
    assert np.ptp(grey) == 0.0
    series = ArrayBasis((10, 2), True, 2).matrix.reshape(2, 10, 2)
    assert np.ptp(series[0, :, 0]) == 0.0
    assert not series[0, :, 1].any()
    assert np.ptp(series[1, :, 1]) == 0.0


def test_a_block_that_was_cut_for_an_audit_keeps_one_cell_of_each_class_and_its_bound():
    block = some_moments(cells=(0, 0, 0, 1, 1))
    cut = block.cut(4)
    assert (cut.cell_classes.tolist(), cut.directions) == ([0, 1], 2)
    far = records(200, 3, extreme=True)
    for own in (cut, SpreadStatistic(BASIS.width, math.sqrt(BASIS.width)).cut(4)):
        features = [
            own.sums(EncodedBatch(far.vectors[i : i + 1], far.classes[i : i + 1]), np.ones(1)).astype(float)
            for i in range(200)
        ]
        assert all(len(one) == own.size for one in features)
        assert max(map(np.linalg.norm, features)) <= own.norm


def test_a_block_that_was_cut_to_fewer_cells_sums_what_the_first_of_all_cells_hold():
    block = some_moments(cells=(0, 0, 1, 1))
    batch, weights = records(60, 4), np.arange(60.0)
    first, whole = replace(block, measured=1), block
    counts, sums, squares = (
        part.reshape(4, -1) for part in np.split(whole.sums(batch, weights), np.cumsum(whole._sizes)[:2])
    )
    assert first.sums(batch, weights).tolist() == [*counts[0], *sums[0], *squares[0]]
    assert first.moments(np.ones(first.size), noise_std=1.0).squares.shape == (1, 5, 5)
    restored = MomentFeatures(**first.settings(), **first.tensors())
    assert (restored.size, restored.measured) == (first.size, 1)
    assert "measured" not in whole.settings()
    with pytest.raises(ValueError, match="can be measured"):
        replace(block, measured=5)


def test_the_trials_of_an_audit_draw_few_values_of_images_of_many_classes():
    def coordinates(classes: int) -> int:
        centres, each = np.zeros((classes, 5)), np.ones(classes)
        block = MomentFeatures(
            BASIS, some_moments().rotation, centres, each, np.arange(classes), classes, (1, 1, 1), False
        )
        return block.cut(4).size

    assert coordinates(100) == coordinates(10) == 4 * (1 + 2 + 3)


def test_a_histogram_that_was_cut_keeps_the_cells_of_the_bounds_and_every_entry_of_its_group():
    whole = some_values()
    cut = whole.cut(4)
    batch = records(50, 5)
    counted = whole.sums(batch, np.ones(50)).reshape(len(whole.edges), -1)[0] // whole.weight
    found = cut.sums(batch, np.ones(50)) // cut.weight
    assert cut.size == 4
    assert (found[0], found[-1], found.sum()) == (counted[0], counted[-1], counted.sum())


def test_a_whole_length_scale_is_described_as_it_always_was():
    whole = SpreadStatistic(7, 2.0)
    assert whole.settings() == {"width": 7, "radius": 2.0}
    assert SpreadStatistic(**whole.cut(3).settings()).size == 5
