"""The embedding equals the paper's formula, is exact, and one record moves it by at most its sensitivity."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.privacy.unit import PrivacyUnit
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.characteristic import CharacteristicFeatures, characteristic_function
from keshi.synthesis.features import AMPLITUDE, WEIGHT, ClassCounts, SpreadStatistic, squared_norms
from keshi.synthesis.frequencies import draw_gaussian_frequencies

WIDTH, K, CLASSES = 3, 7, 2


def batch(rows, classes):
    vectors = np.rint(np.asarray(rows, dtype=float).reshape(-1, WIDTH) * 2**20) / 2**20
    return EncodedBatch(vectors, np.asarray(classes, dtype=np.int64))


def some_batch(n, seed=0):
    random = np.random.default_rng(seed)
    return batch(random.uniform(-1, 1, (n, WIDTH)), random.integers(0, CLASSES, n))


def characteristic():
    return CharacteristicFeatures(
        draw_gaussian_frequencies(K, WIDTH, squared_length_scale=0.5, seed=1), CLASSES
    )


def all_features():
    return [characteristic(), ClassCounts(CLASSES), SpreadStatistic(WIDTH, math.sqrt(WIDTH))]


def total(features, records, weights=None):
    weights = np.ones(len(records)) if weights is None else weights
    return features.sums(records, weights)


def test_embedding_equals_a_double_loop_over_records_and_frequencies():
    """F(x, y) = [cos(t.x), sin(t.x)] (outer) onehot(y), summed; PEARL section 3."""
    features, records = characteristic(), some_batch(50)
    expected = np.zeros((CLASSES, K, 2))
    for x, y in zip(records.vectors, records.classes, strict=True):
        for j, t in enumerate(2 * math.pi * features.frequencies):
            phase = sum(x[d] * t[d] for d in range(WIDTH))
            expected[y, j] += (math.cos(phase), math.sin(phase))
    measured = features.shaped(total(features, records) / AMPLITUDE)
    # The circle has 16,384 steps: a phase is off by at most pi / 16,384, and the table by half a step.
    assert np.abs(measured - expected).max() <= 50 * (math.pi / 2**14 + 0.5 / AMPLITUDE)


def test_order_batches_and_neighbours_in_a_batch_cannot_change_a_bit():
    records = some_batch(1_000)
    order = np.random.default_rng(2).permutation(1_000)
    shuffled = EncodedBatch(records.vectors[order], records.classes[order])
    for features in all_features():
        whole = total(features, records)
        assert np.array_equal(whole, total(features, shuffled))
        parts = [
            total(features, EncodedBatch(records.vectors[a:b], records.classes[a:b]))
            for a, b in [(0, 1), (1, 257), (257, 1_000)]
        ]
        assert np.array_equal(whole, sum(parts))


entries = st.floats(-1, 1, width=32) | st.sampled_from([-1.0, 1.0, 0.0])
vectors = st.lists(entries, min_size=WIDTH, max_size=WIDTH)
record = st.tuples(vectors, st.integers(0, CLASSES - 1))


@settings(max_examples=3_500)  # with three blocks more than 10,000 neighbouring pairs
@given(record, record)
def test_replacing_one_row_moves_the_sums_by_at_most_the_sensitivity(first, second):
    unit = PrivacyUnit("replace-one")
    for features in all_features():
        moved = total(features, batch(*zip(first, strict=True))) - total(
            features, batch(*zip(second, strict=True))
        )
        assert WEIGHT * np.linalg.norm(moved) <= features.sensitivity(unit)


@settings(max_examples=500)
@given(record)
def test_adding_one_row_moves_the_sums_by_at_most_the_sensitivity(row):
    unit = PrivacyUnit("add-or-remove")
    for features in all_features():
        assert WEIGHT * np.linalg.norm(
            total(features, batch(*zip(row, strict=True)))
        ) <= features.sensitivity(unit)


def test_the_bounds_are_met_within_a_thousandth():
    """A bound that is loose would waste accuracy; these records reach it."""
    add, replace = PrivacyUnit("add-or-remove"), PrivacyUnit("replace-one")
    features = CharacteristicFeatures(np.array([[0.5, 0.0, 0.0]]), 1)
    left, right = (total(features, batch([[x, 0, 0]], [0])) for x in (0.0, 1.0))  # cos 0 = 1 and cos pi = -1
    assert WEIGHT * np.linalg.norm(left) == pytest.approx(features.sensitivity(add), rel=1e-3)
    assert WEIGHT * np.linalg.norm(left - right) == pytest.approx(features.sensitivity(replace), rel=1e-3)
    counts = ClassCounts(CLASSES)
    zero, one = (total(counts, batch([[0, 0, 0]], [c])) for c in (0, 1))
    assert WEIGHT * np.linalg.norm(zero) == counts.sensitivity(add)
    assert WEIGHT * np.linalg.norm(zero - one) == pytest.approx(counts.sensitivity(replace))


def test_a_subject_whose_records_share_its_weight_stays_within_the_bound():
    unit = PrivacyUnit("add-or-remove", subject="id", max_records=7)
    records = some_batch(7)
    weights = np.full(7, WEIGHT // 7, dtype=float)
    for features in all_features():
        assert np.linalg.norm(total(features, records, weights)) <= features.sensitivity(unit)


def test_the_generators_characteristic_function_is_that_of_the_embedding():
    import torch

    features, records = characteristic(), some_batch(64)
    frequencies = torch.tensor(2 * math.pi * features.frequencies, dtype=torch.float64)
    cosine, sine = characteristic_function(torch.tensor(records.vectors), frequencies)
    summed = torch.stack([cosine.sum(0), sine.sum(0)], dim=1).numpy()
    measured = features.shaped(total(features, records) / AMPLITUDE).sum(axis=0)
    assert np.abs(summed - measured).max() < 64 * 3e-4


def test_length_scale_is_the_mean_squared_distance_of_two_records():
    records, features = some_batch(2_000), SpreadStatistic(WIDTH, math.sqrt(WIDTH))
    scale = features.squared_length_scale(total(features, records) / AMPLITUDE, noise_std=0.0)
    pairs = records.vectors[:1000] - records.vectors[1000:]
    assert scale == pytest.approx((pairs**2).sum(axis=1).mean(), rel=0.05)


def test_a_length_scale_drowned_in_noise_stays_possible():
    features = SpreadStatistic(WIDTH, math.sqrt(WIDTH))
    for values in ([0.0] * 5, [-100.0, 5, 5, 5, -9], [1.0, 50, 50, 50, 1e6]):
        assert 0 < features.squared_length_scale(np.array(values), noise_std=1.0) <= 2 * WIDTH


def test_frequencies_that_are_off_the_grid_are_refused():
    with pytest.raises(ValueError, match="multiples of"):
        CharacteristicFeatures(np.array([[0.1, 0, 0]]), 1)
    with pytest.raises(ValueError, match="too high"):
        CharacteristicFeatures(np.full((1, 3), 2.0**20), 1)


def test_noise_in_many_coordinates_does_not_make_the_length_scale_smaller():
    """|noisy mean|^2 is too large by the noise of every coordinate; unless that is taken out, nothing is left here."""
    width, count, noise_std = 1_000, 1_000.0, 29.0
    statistic = SpreadStatistic(width, np.sqrt(width))
    randomness = np.random.default_rng(0)
    exact = np.concatenate([[count], np.zeros(width), [0.15 * count]])  # E|x|^2 = 0.15 R^2 around 0
    found = [
        statistic.squared_length_scale(
            exact + randomness.normal(0, noise_std, width + 2), noise_std=noise_std
        )
        for _ in range(20)
    ]
    assert np.mean(found) == pytest.approx(0.3 * width, rel=0.2)
    assert (
        statistic.squared_length_scale(exact + randomness.normal(0, noise_std, width + 2), noise_std=0.0) < 15
    )


def test_the_squared_norm_of_a_large_image_depends_on_that_image_alone():
    """More squares than a float64 sums exactly: plain sums differ with the number of images in the batch."""
    random = np.random.default_rng(0)
    vectors = 1.0 - random.integers(0, 9, (32, 32_768)) / 2**20
    norms = squared_norms(vectors)
    assert norms.tolist() == [float(squared_norms(vectors[row : row + 1])[0]) for row in range(32)]
    order = np.concatenate([random.permutation(2**13) + start for start in range(0, 2**15, 2**13)])
    assert norms.tolist() == squared_norms(vectors[:, order]).tolist()
    exact = [sum(int(entry) ** 2 for entry in vectors[row] * 2**20) / 2**40 for row in range(2)]
    assert np.allclose(norms[:2], exact, rtol=0, atol=4 * 2.0**-21)
