import numpy as np
import pytest
from scipy.linalg import sqrtm

from keshi.auditing.image_distances import frechet_distance, kernel_distance
from keshi.errors import RecordsError


def features(n, seed, shift=0.0, scale=1.0, width=5):
    mixing = np.random.default_rng(99).normal(size=(width, width))
    return scale * (np.random.default_rng(seed).normal(size=(n, width)) @ mixing) + shift


def test_the_frechet_distance_is_that_of_the_general_matrix_root() -> None:
    x, y = features(300, 0), features(200, 1, shift=0.7, scale=1.3)
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    moved = x.mean(axis=0) - y.mean(axis=0)
    expected = moved @ moved + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)


def test_a_shift_and_a_scale_give_the_known_frechet_distance() -> None:
    x = features(400, 0)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(x, x + 2.0) == pytest.approx(4.0 * x.shape[1])
    centred = x - x.mean(axis=0)
    variance = np.trace(np.cov(x, rowvar=False))
    assert frechet_distance(centred, 3.0 * centred) == pytest.approx(4.0 * variance)


def test_features_of_one_number_and_of_less_than_full_rank_have_a_frechet_distance() -> None:
    x = features(50, 0, width=1)
    assert frechet_distance(x, x + 1.0) == pytest.approx(1.0)
    flat = np.tile(features(50, 0)[:, :1], 3)
    assert frechet_distance(flat, flat) == pytest.approx(0.0, abs=1e-9)


def test_the_kernel_distance_is_that_of_a_double_loop() -> None:
    x, y = features(10, 0), features(10, 1, shift=0.5)

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    found = kernel_distance(x, y, subset_size=2, seed=3)
    randomness = np.random.default_rng(3)
    ours, theirs = randomness.permutation(10).reshape(5, 2), randomness.permutation(10).reshape(5, 2)
    estimates = []
    for a, b in zip(ours, theirs, strict=True):
        across = np.mean([kernel(x[i], y[j]) for i in a for j in b])
        estimates.append(kernel(*x[a]) + kernel(*y[b]) - 2 * across)
    assert found.value == pytest.approx(np.mean(estimates))
    assert (found.subsets, found.subset_size) == (5, 2)


def test_the_kernel_distance_is_without_bias_and_its_interval_holds_what_it_should() -> None:
    held = 0
    for seed in range(100):
        found = kernel_distance(features(200, 2 * seed), features(200, 2 * seed + 1), subset_size=20)
        held += found.lower <= 0.0 <= found.upper
    assert held >= 85  # of 100 intervals of 95 %: fewer come about with probability 0.0001
    apart = kernel_distance(features(200, 0), features(200, 1, shift=1.0))
    assert apart.lower > 0.0


def test_too_few_records_and_features_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RecordsError, match="one width"):
        frechet_distance(features(9, 0), features(9, 0, width=4))
    with pytest.raises(RecordsError, match="two records"):
        frechet_distance(features(1, 0), features(9, 0))
    with pytest.raises(RecordsError, match="needs 10 records"):
        kernel_distance(features(9, 0), features(20, 0))
    with pytest.raises(RecordsError, match="finite"):
        frechet_distance(np.full((3, 2), np.nan), np.zeros((3, 2)))
