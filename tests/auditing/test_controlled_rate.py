import json

import numpy as np
import pytest
from scipy.stats import binom

from keshi.auditing.controlled_rate import FEWEST_TARGETS, controlled_rate, wilson


def hits(count, n):
    return np.arange(n) < count


def test_the_risk_is_the_share_of_what_the_control_leaves_to_guess():
    rate = controlled_rate("guess", hits(750, 1000), hits(500, 1000))
    assert rate.risk == pytest.approx(0.5)
    low, high = rate.interval()
    assert low < 0.5 < high
    assert 0.03 < (high - low) / 2 < 0.08
    json.dumps(rate.to_json())


@pytest.mark.parametrize(("base", "risk"), [(0.5, 0.0), (0.02, 0.0), (0.9, 0.0), (0.3, 0.2), (0.0005, 0.05)])
def test_the_95_percent_interval_covers_the_true_risk_in_19_of_20_draws(base, risk):
    rng = np.random.default_rng(0)
    n, trials = 300, 600
    covered = 0
    for _ in range(trials):
        train = rng.random(n) < base + risk * (1 - base)
        low, high = controlled_rate("guess", train, rng.random(n) < base).interval()
        covered += low <= risk <= high
    assert covered >= binom.ppf(1e-4, trials, 0.95)


def test_shares_as_successes_have_intervals_of_their_own_width():
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for _ in range(300):
        low, high = controlled_rate("all", rng.beta(8, 4, 250), rng.beta(8, 4, 250)).interval()
        covered += low <= 0 <= high
        widths.append(high - low)
    assert 270 <= covered < 300  # an interval that never misses is too wide
    assert np.mean(widths) < 0.16  # yes or no at this rate would give 0.5


def test_few_rows_are_inconclusive_and_never_a_leak():
    few = controlled_rate("guess", hits(FEWEST_TARGETS - 1, FEWEST_TARGETS - 1), hits(0, 5000))
    assert not few.is_conclusive
    assert "100 of each" in str(few.reason)
    assert not few.is_leak(0.05)
    one = controlled_rate("guess", hits(1, 1), hits(0, 1))
    assert not one.is_conclusive  # a table of one row has "risk 0.000" elsewhere
    assert not controlled_rate("guess", hits(0, 0), hits(0, 0)).is_conclusive


def test_where_the_control_is_always_right_there_is_nothing_to_guess():
    sure = controlled_rate("guess", hits(1000, 1000), hits(1000, 1000))
    assert sure.nothing_to_guess
    assert not sure.is_leak(0.05)
    assert np.isnan(sure.risk)


def test_a_certain_leak_is_one():
    copied = controlled_rate("copy", hits(1000, 1000), hits(0, 1000))
    assert copied.risk == 1
    assert copied.is_leak(1e-6)
    assert copied.interval()[0] > 0.98


def test_wilson_matches_known_values():
    # Brown, Cai & DasGupta's worked form at p = 0.2, n = 50
    assert wilson(0.2, 50) == pytest.approx((0.1124, 0.3304), abs=2e-4)
    assert wilson(0.0, 0) == (0.0, 1.0)
