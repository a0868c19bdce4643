"""Noise has the scale it claims, comes from the operating system, and exists only after the ledger knows."""

import math

import numpy as np
import pytest
from scipy import stats

from keshi.errors import BudgetError
from keshi.privacy import mechanisms
from keshi.privacy.accounting import mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import Block, discrete_gaussian, noise_scales, release
from keshi.privacy.unit import PrivacyUnit

pytestmark = pytest.mark.real_noise

SCALE = 1_000


def free_ledger():
    return PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5)


RECORD = PrivacyUnit()


def do_release(ledger, *, mu=0.1, plan_hash="plan", largest_distance=1e-12, unit=RECORD):
    run, index = "run", 0
    blocks = [Block("a", 2, 2.0**30, 0.5), Block("b", 1, 2.0**28, 0.5)]
    return release(
        np.arange(3),
        blocks,
        mu=mu,
        ledger=ledger,
        run=run,
        index=index,
        what="a test",
        plan_hash=plan_hash,
        unit=unit,
        largest_distance=largest_distance,
    )


def test_noise_follows_the_discrete_gaussian():
    """Chi-square over 40 cells; N = 120,000; false alarm 1e-6. The sampler has no seed: this is a real draw."""
    noise = discrete_gaussian(np.zeros(120_000, dtype=np.int64), SCALE)
    edges = np.quantile(np.random.default_rng(0).normal(0, SCALE, 100_000), np.linspace(0, 1, 41)[1:-1])
    edges = np.floor(edges) + 0.5
    points = np.arange(-10 * SCALE, 10 * SCALE + 1)
    weight = np.exp(-(points**2) / (2 * SCALE**2))
    expected = np.bincount(np.searchsorted(edges, points), weights=weight / weight.sum(), minlength=40)
    observed = np.bincount(np.searchsorted(edges, noise), minlength=40)
    assert stats.chisquare(observed, expected * len(noise)).pvalue > 1e-6
    # The same test sees a scale that is 10 % off.
    wrong = np.bincount(np.searchsorted(edges, np.rint(noise * 0.9)), minlength=40)
    assert stats.chisquare(wrong, expected * len(noise)).pvalue < 1e-6


def test_two_draws_differ_whatever_seeds_are_set():
    import torch

    draws = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002  a user's seed must not reach the noise
        torch.manual_seed(0)
        draws.append(discrete_gaussian(np.zeros(8, dtype=np.int64), SCALE))
    assert not np.array_equal(*draws)


def test_shares_of_mu_squared_add_up_to_the_whole():
    blocks = [Block("a", 10, 3.0e9, 0.2), Block("b", 5, 1.0e9, 0.8)]
    scales = noise_scales(blocks, 0.25)
    together = sum((b.sensitivity / s) ** 2 for b, s in zip(blocks, scales, strict=True))
    assert math.sqrt(together) == pytest.approx(0.25, rel=1e-6)
    assert math.sqrt(together) <= 0.25


def test_scales_agree_with_dp_accounting_for_a_single_block():
    from dp_accounting.gaussian_mechanism import get_sigma_gaussian

    (scale,) = noise_scales([Block("a", 1, 1e9, 1.0)], mu_from_epsilon(1.0, 1e-5))
    assert scale / 1e9 == pytest.approx(get_sigma_gaussian(1.0, 1e-5), rel=1e-6)
    assert scale / 1e9 >= get_sigma_gaussian(1.0, 1e-5)


def test_shares_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        noise_scales([Block("a", 1, 1.0, 0.5)], 1.0)


def test_the_ledger_knows_the_spend_before_the_noise_is_drawn(monkeypatch):
    ledger = free_ledger()
    seen = []

    def spy(sums, scale):
        seen.append(ledger.spent().mu)
        return sums

    monkeypatch.setattr(mechanisms, "discrete_gaussian", spy)
    do_release(ledger, mu=0.1)
    assert seen[0] == pytest.approx(0.1)


def test_a_resumed_run_gets_the_stored_value_and_pays_nothing():
    ledger = free_ledger()
    first = do_release(ledger)
    spent = ledger.spent().mu
    assert np.array_equal(do_release(ledger), first)
    assert ledger.spent().mu == spent


def test_another_plan_under_the_same_run_is_refused():
    ledger = free_ledger()
    do_release(ledger)
    with pytest.raises(BudgetError):
        do_release(ledger, plan_hash="another plan")


def test_a_smaller_epsilon_cannot_be_claimed_for_a_stored_value():
    ledger = free_ledger()
    do_release(ledger, mu=0.1)
    with pytest.raises(BudgetError):
        do_release(ledger, mu=0.01)


@pytest.mark.parametrize(
    "other",
    [
        PrivacyUnit("replace-one"),
        PrivacyUnit(subject="id"),
        PrivacyUnit(subject="id", max_records=3),
    ],
)
def test_noise_for_records_is_never_issued_again_for_another_unit(other):
    """Record and subject can have the same sensitivity; the stored value protects records only."""
    ledger = free_ledger()
    do_release(ledger)
    with pytest.raises(BudgetError):
        do_release(ledger, unit=other)


def test_a_grid_too_coarse_for_the_delta_is_refused_before_anything_is_spent():
    ledger = free_ledger()
    with pytest.raises(BudgetError, match="too large, or delta too small, for this grid"):
        do_release(ledger, largest_distance=1e-30)
    assert ledger.spent().mu == 0


def test_overspending_is_refused_and_draws_no_noise(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda *_: pytest.fail("noise was drawn"))
    with pytest.raises(BudgetError, match="remain"):
        do_release(free_ledger(), mu=10.0)


def test_sums_that_could_overflow_are_refused():
    with pytest.raises(ValueError, match="too large for 64-bit"):
        release(
            np.array([2**62]),
            [Block("a", 1, 2.0**30, 1.0)],
            mu=0.1,
            ledger=free_ledger(),
            run="r",
            index=0,
            what="x",
            plan_hash="p",
            unit=RECORD,
        )
