from __future__ import annotations

import numpy as np
import pytest

from keshi.censoring.window_noise import window_noise

KEY = bytes(range(16))


def windows(n: int = 4000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2, 5)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 16, 40])
def test_the_noise_is_standard_normal_and_independent_between_windows_and_features(width: int) -> None:
    from scipy.stats import kstest

    noise = window_noise(windows(), width, key=KEY)
    assert noise.shape == (4000, width)
    assert noise.dtype == np.float32
    # 4,000 windows: standard error of a mean and of a correlation 0.016; the largest of at most 800
    assert np.abs(noise.mean(axis=0)).max() < 0.08
    assert np.abs(noise.std(axis=0) - 1).max() < 0.06
    assert np.abs(np.corrcoef(noise.T) - np.eye(width)).max() < 0.08
    assert np.abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.08
    assert kstest(noise[:, 0], "norm").pvalue > 1e-3


def test_no_windows_have_no_noise() -> None:
    assert window_noise(windows(0), 16, key=KEY).shape == (0, 16)


def test_a_window_has_its_noise_wherever_it_stands_and_another_window_or_key_has_other_noise() -> None:
    x = windows(8)
    noise = window_noise(x, 20, key=KEY)
    np.testing.assert_array_equal(window_noise(x[::-1], 20, key=KEY), noise[::-1])
    np.testing.assert_array_equal(window_noise(x[3:4].astype(np.float64), 20, key=KEY), noise[3:4])
    np.testing.assert_array_equal(window_noise(x * 0.0, 3, key=KEY), window_noise(-x * 0.0, 3, key=KEY))
    assert not np.isclose(noise, window_noise(np.nextafter(x, np.float32(9)), 20, key=KEY)).any(axis=1).all()
    assert np.abs(noise - window_noise(x, 20, key=bytes(16))).max() > 1
    # the first sixteen are not the next sixteen, nor do they change where more are asked for
    np.testing.assert_array_equal(window_noise(x, 40, key=KEY)[:, :20], noise)
    assert np.abs(window_noise(x, 32, key=KEY)[:, :16] - window_noise(x, 32, key=KEY)[:, 16:]).max() > 1
