from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from keshi.censoring.certified import (
    CertifiedEncoder,
    accuracy_by_divergence,
    accuracy_by_fano,
    certify,
    clipping_norm,
)
from keshi.errors import RecordsError

EVEN = np.full(10, 0.1)


def certified(norm: float = 2.0, noise: float = 0.5) -> CertifiedEncoder:
    return CertifiedEncoder(encoder=None, norm=norm, noise=noise)  # type: ignore[arg-type]


@pytest.mark.real_noise
def test_released_features_are_clipped_and_have_the_stated_noise() -> None:
    z = np.zeros((4000, 3), dtype=np.float32)
    z[:, 0] = 100.0  # far beyond the norm
    noisy = certified().release(z)
    # 4,000 rows: standard error of a mean 0.016, of a standard deviation 0.011
    np.testing.assert_allclose(noisy.mean(axis=0), [2.0, 0.0, 0.0], atol=0.08)
    np.testing.assert_allclose(noisy.std(axis=0), 1.0, atol=0.06)
    assert not np.array_equal(noisy, certified().release(z))  # never the same noise, whatever the seed
    small = np.full((2, 3), 0.5, dtype=np.float32)
    np.testing.assert_allclose(certified(noise=1e-4).release(small), small, atol=2e-3)
    with pytest.raises(RecordsError, match="missing or infinite"):
        certified().release(z * np.nan)


@pytest.mark.parametrize("windows", [1, 4])
@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_the_best_attacker_on_the_worst_encoder_stays_below_the_certificate(
    noise: float, windows: int
) -> None:
    """Everybody at a corner of a simplex is what tells people apart best; the attacker knows the corners."""
    rng = np.random.default_rng(0)
    shares = np.array([0.4, 0.2, 0.2, 0.1, 0.1])
    person = rng.choice(5, size=20_000, p=shares)
    released = np.zeros((len(person), 5))
    for _ in range(windows):
        released += np.eye(5)[person] + rng.normal(size=released.shape) * noise
    best = (released / noise**2 + np.log(shares)).argmax(axis=1)
    accuracy = float((best == person).mean())
    found = certify(noise=noise, dimension=5, shares=shares, windows=windows)
    assert accuracy < found.accuracy + 0.01  # standard error 0.0035
    assert found.accuracy >= found.guess == 0.4
    if noise == 0.3:
        assert found.accuracy > 0.9  # nothing is hidden there, and nothing is claimed to be


def test_the_bound_on_even_shares_has_its_closed_form() -> None:
    for distance in (0.01, 0.5, 2.0):
        expected = norm.cdf(norm.ppf(0.1) + distance)
        assert accuracy_by_divergence(distance, EVEN) == pytest.approx(expected, abs=1e-9)


def test_the_bound_is_the_maximum_over_how_regions_are_divided() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    grid = np.linspace(1e-4, 1 - 1e-4, 400)
    q1, q2 = np.meshgrid(grid, grid)
    q = np.stack([q1, q2, 1 - q1 - q2])[:, q1 + q2 < 1 - 1e-4]
    slow = (shares @ norm.cdf(norm.ppf(q) + 0.7)).max()
    assert accuracy_by_divergence(0.7, shares) == pytest.approx(slow, abs=1e-4)
    assert accuracy_by_divergence(0.7, shares) >= slow


def test_fano_in_its_binary_form() -> None:
    assert accuracy_by_fano(0.0, 0.1) == pytest.approx(0.1, abs=1e-6)
    a = 0.4
    nats = a * np.log(a / 0.1) + (1 - a) * np.log((1 - a) / 0.9)
    assert accuracy_by_fano(nats, 0.1) == pytest.approx(a, abs=1e-9)
    assert accuracy_by_fano(nats, 0.1) < (nats + np.log(2)) / np.log(10)  # tighter than its usual form
    assert accuracy_by_fano(np.log(10), 0.1) == pytest.approx(1.0)


def test_more_windows_prove_less_and_more_noise_proves_more() -> None:
    one, trial = (certify(noise=2.0, dimension=16, shares=EVEN, windows=n) for n in (1, 100))
    assert one.accuracy < trial.accuracy
    assert trial.mu == pytest.approx(10 * one.mu)
    assert one.epsilon < trial.epsilon
    assert certify(noise=4.0, dimension=16, shares=EVEN).accuracy < one.accuracy < 0.25
    assert "From 100 windows of one trial no attacker" in trial.sentence


def test_people_are_as_frequent_as_their_trials_in_what_is_proven_of_a_trial() -> None:
    trial = np.repeat(np.arange(7), [2, 2, 2, 2, 2, 2, 12])  # six trials of one person, a long one of another
    release = CertifiedEncoder(encoder=SimpleNamespace(features=4), norm=1.0, noise=1000.0)  # type: ignore[arg-type]
    proven = release.certificate_of_trials((trial == 6).astype(int), trial)
    assert proven.windows == 2
    assert proven.guess == pytest.approx(6 / 7)  # naming the first person is right so often
    assert proven.accuracy >= 6 / 7


def test_the_clipping_norm_is_a_quantile_of_norms() -> None:
    z = np.diag([1.0, 2.0, 3.0]).astype(np.float32)
    assert clipping_norm(z) == 2.0
    assert clipping_norm(z, quantile=1.0) == 3.0


def test_little_noise_promises_no_differential_privacy_and_no_delta_above_1() -> None:
    weak = certify(noise=0.25, dimension=16, shares=np.ones(10), windows=18)
    assert weak.delta == 1
    assert weak.accuracy > 0.99
    assert "no local differential privacy to speak of (epsilon 720)" in weak.sentence
    worthy = certify(noise=1.0, dimension=16, shares=np.ones(10))
    assert "(10.00, 1.01e-05)-local differential privacy" in worthy.sentence


@pytest.mark.parametrize("shares", [[], [0.0, 0.0], [-1.0, 2.0], [np.nan, 1.0]])
def test_shares_that_are_none_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="shares must be numbers of at least 0"):
        certify(noise=1.0, dimension=4, shares=np.array(shares))
