"""Thresholded counts: what one record alone holds stays hidden, and the ledger pays for the rest."""

import itertools
import json
import math
from statistics import NormalDist

import numpy as np
import pytest

from keshi.errors import BudgetError
from keshi.privacy import mechanisms
from keshi.privacy.accounting import delta_from_mu
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.mechanisms import COUNT, release_above_threshold, threshold, threshold_scale
from keshi.privacy.unit import PrivacyUnit

ADD, REPLACE = PrivacyUnit(), PrivacyUnit(relation="replace-one")


def publish(
    counts, *, ledger=None, unit=ADD, mu=0.5, delta_threshold=1e-6, touched=1, smallest=1, plan="plan"
):
    ledger = ledger or PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    return release_above_threshold(
        counts,
        touched=touched,
        smallest=smallest,
        unit=unit,
        mu=mu,
        delta_threshold=delta_threshold,
        ledger=ledger,
        run="run",
        index=0,
        what="categories",
        plan_hash=plan,
    )


@pytest.mark.parametrize("unit", [ADD, REPLACE], ids=lambda unit: unit.relation)
@pytest.mark.parametrize(("delta_threshold", "touched"), [(1e-7, 1), (1e-3, 3), (0.4, 1)])
def test_a_value_of_one_record_is_published_with_at_most_its_part_of_delta(unit, delta_threshold, touched):
    """The exact tail of the discrete Gaussian, summed; the bound is not loose either."""
    scale = 2_000
    least = threshold(scale, touched=touched, smallest=1, unit=unit, delta_threshold=delta_threshold) - COUNT
    points = np.arange(-12 * scale, 12 * scale + 1)
    weight = np.exp(-(points**2) / (2 * scale**2))
    probability = weight[points >= least].sum() / weight.sum()
    sides = 1 if unit is ADD else 2
    assert probability <= delta_threshold / (2 * sides * touched)
    assert probability >= 0.98 * delta_threshold / (2 * sides * touched)


def test_published_names_of_single_records_are_as_rare_as_the_threshold_says():
    """A large artificial delta: each of 20,000 names with probability .1; 2,000 +- 5 standard deviations (1e-6)."""
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=0.5)
    names = {("name", str(i)): 1 for i in range(20_000)}
    published = publish(names, ledger=ledger, delta_threshold=0.2)
    deviation = math.sqrt(20_000 * 0.1 * 0.9)
    assert len(published) == pytest.approx(2_000, abs=5 * deviation)
    # noise 10 % too small would be seen
    assert 20_000 * (1 - NormalDist().cdf(NormalDist().inv_cdf(0.9) / 0.9)) < 2_000 - 5 * deviation


@pytest.mark.parametrize(
    ("mu", "deltas"),
    [(0.1, (1e-6,)), (0.5, (0.3, 0.3)), (1.0, (0.5,)), (3.0, (0.2, 0.1, 0.4)), (1.0, (1.0,))],
)
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 4.0])
@pytest.mark.parametrize("touched", [1, 4])
def test_the_deltas_of_thresholds_add_to_the_delta_of_the_noise(mu, deltas, epsilon, touched):
    """The exact curve of Gaussian noise beside values that one world hides, against what the account claims.

    Hiding has probability prod (1 - q)^touched and is independent of the rest. With h that probability, and g the
    curve of mu-GDP: hidden in one world only (add-or-remove) gives 1 - h + h g(epsilon - log h) in one direction
    and g(epsilon + log h) in the other; in both worlds (replace-one) 1 - h + h g(epsilon).
    """

    def curve(at):
        return delta_from_mu(mu, at) if at >= 0 else 1 - math.exp(at) * (1 - delta_from_mu(mu, -at))

    claim = delta_from_mu(mu, epsilon) + sum(deltas)
    for sides in (1, 2):
        hidden = math.prod((1 - delta / (2 * sides * touched)) ** touched for delta in deltas)
        log = math.log(hidden)
        if sides == 1:
            exact = max(1 - hidden + hidden * curve(epsilon - log), curve(epsilon + log))
        else:
            exact = 1 - hidden + hidden * curve(epsilon)
        assert exact <= claim + 1e-12


@pytest.mark.parametrize("unit", [ADD, REPLACE], ids=lambda unit: unit.relation)
def test_the_scale_covers_every_pair_of_neighbours(unit):
    """Three columns of two values: all neighbouring pairs of tables with one fixed record."""
    records = list(itertools.product("ab", repeat=3))

    def counts(table):
        return np.array([sum(r[c] == v for r in table) for c in range(3) for v in "ab"])

    before_after = (
        [([], [one]) for one in records]
        if unit is ADD
        else [([one], [two]) for one in records for two in records]
    )
    farthest = max(
        float(np.linalg.norm(counts([records[0], *new]) - counts([records[0], *old])))
        for old, new in before_after
    )
    scale = threshold_scale(touched=3, unit=unit, mu=0.25)
    assert farthest * COUNT / scale <= 0.25
    assert farthest * COUNT / scale == pytest.approx(0.25, rel=1e-6)


def test_nothing_below_the_threshold_leaves_or_is_kept():
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    published = publish(
        {("country", "Home"): 10_000, ("country", "Rareland"): 2, ("name", "Ann"): 1}, ledger=ledger
    )
    assert list(published) == [("country", "Home")]
    assert published["country", "Home"] / COUNT == pytest.approx(10_000, abs=20)  # ten standard deviations
    kept = ledger.stored("run", 0)
    assert json.loads(kept) == [["country", "Home", published["country", "Home"]]]
    lines = repr(ledger.entries())
    assert "Rareland" not in lines
    assert "Ann" not in lines


def test_the_ledger_line_does_not_depend_on_how_many_values_occur():
    """Neither the slack of the grid nor anything else; the noisy values that are kept differ, of course."""
    spends = []
    for counts in ({}, {("c", str(i)): 5 for i in range(1_000)}):
        ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
        publish(counts, ledger=ledger)
        spends.append(ledger.entries()[1])
    assert spends[0] == spends[1]
    assert spends[0].fields["delta_threshold"] == 1e-6


def test_values_of_too_few_records_are_never_published_whatever_the_noise(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda sums, scale: sums + 1_000 * scale)
    assert list(publish({("c", "two"): 2, ("c", "three"): 3}, smallest=3)) == [("c", "three")]


def test_published_values_stand_in_an_order_that_the_records_do_not_decide():
    keys = [("b", "x"), ("a", "z"), ("a", None), ("a", "y")]
    published = publish(dict.fromkeys(keys, 1_000))
    assert list(published) == [("a", "y"), ("a", "z"), ("a", None), ("b", "x")]


def test_the_thresholds_delta_is_spent_and_over_spending_it_is_refused_before_any_noise(monkeypatch):
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    publish({}, ledger=ledger, delta_threshold=4e-6)
    assert ledger.spent().delta_slack == pytest.approx(4e-6, rel=1e-6)
    assert ledger.spent().epsilon > ledger_without_threshold(0.5).spent().epsilon
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda *_: pytest.fail("noise was drawn"))
    with pytest.raises(BudgetError, match="remain"):
        release_above_threshold(
            {},
            touched=1,
            smallest=1,
            unit=ADD,
            mu=0.01,
            delta_threshold=7e-6,
            ledger=ledger,
            run="run",
            index=1,
            what="categories",
            plan_hash="plan",
        )


def ledger_without_threshold(mu):
    """The same ledger and mu, without a threshold."""
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    ledger.spend(run="run", index=0, what="x", mu=mu)
    return ledger


def test_the_ledger_knows_before_the_noise_is_drawn(monkeypatch):
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    seen = []
    monkeypatch.setattr(
        mechanisms, "discrete_gaussian", lambda sums, scale: seen.append(ledger.spent().mu) or sums
    )
    publish({("a", "b"): 5}, ledger=ledger)
    assert seen == [pytest.approx(0.5)]


def test_a_resumed_run_gets_the_same_list_and_pays_nothing():
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    first = publish({("a", "b"): 500, ("a", None): 700}, ledger=ledger)
    spent = ledger.spent()
    assert publish({("a", "b"): 1}, ledger=ledger) == first
    assert ledger.spent() == spent
    with pytest.raises(BudgetError, match="another plan"):
        publish({}, ledger=ledger, plan="other")


def test_a_subject_unit_and_an_impossible_delta_are_refused_before_anything_is_spent():
    ledger = PrivacyLedger.in_memory(epsilon=4.0, delta=1e-5)
    with pytest.raises(ValueError, match="single records"):
        publish({}, ledger=ledger, unit=PrivacyUnit(subject="person"))
    with pytest.raises(ValueError, match="delta_threshold"):
        publish({}, ledger=ledger, delta_threshold=0.0)
    assert len(ledger.entries()) == 1
