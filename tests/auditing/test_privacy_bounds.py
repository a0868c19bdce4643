"""Lower bounds on epsilon are valid, sharp where they can be, and silent where there is too little to go by."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm

from keshi.auditing.privacy_bounds import (
    delta_of_mu,
    epsilon_of_mu,
    lower_bounds,
    minimum_samples,
    mu_of_epsilon,
)


def gaussian_worlds(mu, n, *, seed=0):
    noise = np.random.default_rng(seed).normal(size=(2, n))
    return noise[0], noise[1] + mu


@pytest.mark.parametrize("mu", [0.05, 0.3, 1.0, 3.0])
def test_delta_agrees_with_the_integral_that_defines_it(mu):
    """delta = integral of max(0, p - e^epsilon q) for the two normal densities."""
    for epsilon in (0.0, 0.5, 2.0):
        slow, _ = quad(
            lambda x, e=epsilon: max(0.0, norm.pdf(x - mu) - math.exp(e) * norm.pdf(x)), -10, 14, limit=500
        )
        assert delta_of_mu(mu, epsilon) == pytest.approx(slow, abs=1e-7)


def test_epsilon_and_mu_are_inverse_to_each_other():
    for epsilon in (0.01, 0.5, 1.0, 4.0, 20.0):
        assert epsilon_of_mu(mu_of_epsilon(epsilon, 1e-5), 1e-5) == pytest.approx(epsilon, rel=1e-6)
    assert epsilon_of_mu(0.0, 1e-5) == 0.0


def test_bounds_hold_at_their_confidence_and_fail_no_more_often_than_alpha():
    """At alpha = 10 % and a mechanism exactly at its claim: at most 10 % violated (binomial slack 1e-6)."""
    mu = mu_of_epsilon(1.0, 1e-5)
    runs = 300
    alarms = sum(
        lower_bounds(*gaussian_worlds(mu, 2_000, seed=seed), epsilon=1.0, delta=1e-5, alpha=0.1).verdict
        == "violated"
        for seed in range(runs)
    )
    assert alarms <= binom.isf(1e-6, runs, 0.1)


def test_the_pure_bound_holds_for_randomised_response_and_comes_near():
    """One bit, kept with probability e/(1 + e): exactly (1, 0)-private, and far from Gaussian."""
    randomness = np.random.default_rng(1)
    keep = math.e / (1.0 + math.e)
    without = (randomness.uniform(size=100_000) > keep).astype(float)
    with_unit = (randomness.uniform(size=100_000) < keep).astype(float)
    bounds = lower_bounds(without, with_unit, epsilon=1.0, delta=1e-5, gaussian=False)
    assert 0.9 < bounds.epsilon_bound <= 1.0
    assert bounds.verdict == "consistent"
    # Called a Gaussian mechanism it would be refuted: at delta = 1e-5 such error rates need another epsilon.
    assert lower_bounds(without, with_unit, epsilon=1.0, delta=1e-5).verdict == "violated"


def test_a_release_without_noise_is_refuted_by_both_bounds():
    bounds = lower_bounds(np.zeros(5_000), np.ones(5_000), epsilon=4.0, delta=1e-5)
    assert bounds.verdict == "violated"
    assert min(bounds.gaussian_epsilon, bounds.epsilon_bound) > 4.0


def test_worlds_that_are_the_same_prove_nothing():
    bounds = lower_bounds(*gaussian_worlds(0.0, 50_000), epsilon=1.0, delta=1e-5)
    assert (bounds.gaussian_epsilon, bounds.epsilon_bound) == (0.0, 0.0)


def test_too_few_samples_are_inconclusive_and_the_result_says_how_many_are_needed():
    mu = mu_of_epsilon(1.0, 1e-5)
    needed = minimum_samples(1.0, 1e-5, alpha=1e-6)
    few = lower_bounds(*gaussian_worlds(mu, needed // 2), epsilon=1.0, delta=1e-5)
    assert (few.verdict, few.minimum_n) == ("inconclusive", needed)
    enough = lower_bounds(*gaussian_worlds(mu, int(needed * 1.2)), epsilon=1.0, delta=1e-5)
    assert enough.verdict == "consistent"
    assert enough.gaussian_epsilon > 0.3
    for n in (0, 1, 3, 60):
        nothing = lower_bounds(np.zeros(n), np.ones(n), epsilon=1.0, delta=1e-5)
        assert nothing.verdict == "inconclusive"


def test_the_pilot_is_not_counted_and_its_values_cannot_move_the_rates():
    without, with_unit = gaussian_worlds(0.5, 4_000)
    bounds = lower_bounds(without, with_unit, epsilon=4.0, delta=1e-5, pilot=1_000)
    assert bounds.n == 3_000
    far = with_unit.copy()
    far[:1_000] = np.sort(far[:1_000])  # the same fit, another order
    assert lower_bounds(without, far, epsilon=4.0, delta=1e-5, pilot=1_000) == bounds


def test_statistics_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="without NaN"):
        lower_bounds(np.array([np.nan] * 100), np.zeros(100), epsilon=1.0, delta=1e-5)
