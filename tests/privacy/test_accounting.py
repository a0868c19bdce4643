"""The account is the closed form, is bracketed by PLD accounting, and rounds towards more noise."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keshi.privacy.accounting import (
    compose,
    delta_from_mu,
    epsilon_from_mu,
    grid_distance,
    mu_from_epsilon,
)

EPSILONS = [1e-3, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0]


def exact_delta(mu: float, epsilon: float) -> float:
    """Balle & Wang (2018), eq. 6, with 60 digits."""
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return float(mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m))


@pytest.mark.filterwarnings("error")
def test_the_account_warns_nobody_of_a_logarithm_of_zero():
    for delta in (1e-10, 1e-5, 0.1):
        for epsilon in EPSILONS:
            epsilon_from_mu(mu_from_epsilon(epsilon, delta), delta)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_calibrated_mu_meets_delta_and_wastes_less_than_a_millionth(epsilon):
    mu = mu_from_epsilon(epsilon, 1e-5)
    assert exact_delta(mu, epsilon) <= 1e-5
    assert exact_delta(mu * (1 + 1e-6), epsilon) > 1e-5


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_epsilon_of_mu_is_the_inverse_and_never_below_the_truth(epsilon):
    mu = mu_from_epsilon(epsilon, 1e-5)
    back = epsilon_from_mu(mu, 1e-5)
    assert back == pytest.approx(epsilon, rel=1e-6)
    assert exact_delta(mu, back) <= 1e-5


@pytest.mark.parametrize(
    ("epsilon", "sigma"), [(0.1, 30.75), (0.2, 16.30), (0.5, 7.03), (1, 3.731), (2, 1.994), (10, 0.500)]
)
def test_noise_for_one_release_is_that_of_the_specification(epsilon, sigma):
    assert 1 / mu_from_epsilon(epsilon, 1e-5) == pytest.approx(sigma, rel=2e-3)


def test_delta_of_mu_agrees_with_sixty_digits():
    for mu, epsilon in [(0.01, 0.001), (0.27, 1.0), (1.0, 3.0), (4.0, 10.0)]:
        assert delta_from_mu(mu, epsilon) == pytest.approx(exact_delta(mu, epsilon), rel=1e-6)
        assert delta_from_mu(mu, epsilon) >= exact_delta(mu, epsilon)


def test_pld_accounting_brackets_the_closed_form():
    from dp_accounting.pld import privacy_loss_distribution as pld

    sigma = 1 / mu_from_epsilon(1.0, 1e-5)
    pessimistic = pld.from_gaussian_mechanism(sigma, value_discretization_interval=1e-4)
    optimistic = pld.from_gaussian_mechanism(
        sigma, pessimistic_estimate=False, value_discretization_interval=1e-4
    )
    assert optimistic.get_epsilon_for_delta(1e-5) <= 1.0 <= pessimistic.get_epsilon_for_delta(1e-5) + 1e-6


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=8))
def test_composition_is_the_root_of_the_sum_of_squares_rounded_up(mus):
    assert compose(mus) >= math.sqrt(math.fsum(m * m for m in mus))
    assert compose(mus) == pytest.approx(math.sqrt(sum(m * m for m in mus)), rel=1e-12)


def test_grid_distance_bounds_the_true_distance_of_the_discrete_gaussian():
    """Total variation between the discrete Gaussian and a rounded continuous one, summed term by term."""
    from scipy.stats import norm

    for scale in (64.0, 100.0):
        points = np.arange(-int(12 * scale), int(12 * scale) + 1)
        discrete = np.exp(-(points**2) / (2 * scale**2))
        discrete /= discrete.sum()
        rounded = norm.cdf((points + 0.5) / scale) - norm.cdf((points - 0.5) / scale)
        truth = 0.5 * np.abs(discrete - rounded).sum()
        assert truth <= grid_distance([(1, scale)]) <= 1.01 * truth


def test_a_coarse_grid_is_refused():
    with pytest.raises(ValueError, match="at least 64 grid steps, got 3"):
        grid_distance([(10, 3.0)])


@pytest.mark.parametrize("epsilon", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_bad_epsilon_is_named_with_its_value(epsilon):
    with pytest.raises(ValueError, match="epsilon must be a finite number above 0"):
        mu_from_epsilon(epsilon, 1e-5)
