"""The audit of learning sees what learning publishes, runs the code that learns, and says when it cannot tell."""

import os

import numpy as np
import pytest

from keshi.auditing.privacy_bounds import lower_bounds
from keshi.errors import DomainError
from keshi.privacy.accounting import mu_from_epsilon
from keshi.privacy.histograms import ladder
from keshi.privacy.learned_domain import learn_domain
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical, Timestamp
from keshi.records.domain import Domain, Learned
from keshi.synthesis.learning_audit import audit_learning
from keshi.synthesis.learning_claim import LearningClaim
from keshi.synthesis.learning_trials import LearningTrials, RepeatedLadder, SmallPlan

pytestmark = pytest.mark.real_noise

TYPES = {"age": "integer", "city": "text", "ill": "boolean"}


def audit(types=TYPES, *, epsilon=1.0, delta=1e-5, relation="add-or-remove", **options):
    claim = LearningClaim(types, epsilon, delta, PrivacyUnit(relation))
    return audit_learning(claim, **({"bound": lower_bounds, "trials": 300} | options))


@pytest.mark.parametrize("kind", ["integer", "timestamp"])
def test_a_repeated_ladder_counts_like_its_ladder_every_time(kind):
    steps = ladder(kind)
    copies = RepeatedLadder(kind, steps.edges, steps.parts, 3)
    values = np.array([0.0, 1.0, 1e6, np.nan, np.inf, -4.0])
    once, thrice = steps.count(values), copies.count(values)
    coarse, fine = np.split(thrice, [copies.cells + 1])
    assert np.array_equal(coarse, np.tile(once[: steps.cells + 1], 3))
    padded = np.append(once[steps.cells + 1 :], np.zeros(steps.parts))
    assert np.array_equal(np.append(fine, np.zeros(steps.parts)), np.tile(padded, 3))
    assert len(fine) == copies.cells * copies.parts


@pytest.mark.parametrize("relation", ["add-or-remove", "replace-one"])
def test_the_trials_spend_what_the_whole_plan_spends_and_lie_as_far_apart(relation):
    plan = SmallPlan(1.0, PrivacyUnit(relation), 0.2, 0.1, 1e-6)
    trial = LearningTrials(plan, alpha=1e-6)
    # of five text columns three always show what the unit brings
    assert trial.reached == pytest.approx(np.sqrt(0.2**2 + 0.1**2 * 3 / 5), rel=1e-6)


def test_the_borderline_value_is_published_half_the_time_and_the_new_one_never():
    trial = LearningTrials(SmallPlan(1.0, PrivacyUnit(), 0.0, 0.1, 1e-6), alpha=1e-6)
    _, published = trial._draw(1, 2_000)
    assert published.mean(axis=0) == pytest.approx([0.0, 0.5], abs=0.06)  # five standard errors


def test_enough_trials_are_consistent_and_prove_most_of_the_claim():
    """epsilon 4 needs few trials; a deaf attack would fail the second assertion."""
    found = audit({"age": "integer", "city": "text"}, epsilon=4.0, trials=3_000)
    assert found.verdict == "consistent"
    assert 0.4 * 4 < found.bounds.gaussian_epsilon <= 4
    assert found.bounds.epsilon_bound <= 4


@pytest.mark.parametrize("types", [{"age": "number", "seen": "timestamp"}, {"city": "text"}])
def test_a_domain_of_one_kind_of_columns_is_audited_too_and_nothing_is_left_behind(
    types, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = audit(types, relation="replace-one")
    assert not found.failed
    assert found.verdict == "inconclusive"  # 300 trials
    assert list(tmp_path.iterdir()) == []


def test_columns_that_cost_nothing_leave_nothing_to_audit():
    found = audit({"ill": "boolean"})
    assert (found.failed, found.reached, found.verdict) == ((), 0.0, "inconclusive")


def test_the_claim_of_a_learnt_domain_is_that_of_its_file(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,city,ill\n" + "34,Nara,true\n47,Otsu,false\n" * 3_000)
    domain = Domain.loads(learn_domain(path, epsilon=0.7).text)
    claim = LearningClaim.of(domain)
    assert claim.types == TYPES
    assert (claim.epsilon, claim.unit) == (0.7, PrivacyUnit())
    assert claim.delta == pytest.approx(1e-5, rel=1e-4)
    assert domain.learned.mu == pytest.approx(mu_from_epsilon(0.7, 9e-6), rel=1e-4)


def test_a_declared_domain_and_an_unknown_unit_are_refused():
    columns = {"x": Numerical(0, 1), "t": Timestamp("2020-01-01", "2021-01-01"), "c": Categorical(("a",))}
    with pytest.raises(DomainError, match="no learning to audit"):
        LearningClaim.of(Domain(columns))
    with pytest.raises(DomainError, match="expected a unit"):
        LearningClaim.of(Domain(columns, learned=Learned(0.1, 1e-6, "one household", 0.3)))


@pytest.mark.skipif(os.environ.get("KESHI_LONG") != "1", reason="KESHI_LONG=1 runs it: some minutes")
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 4.0])
def test_a_hundred_thousand_trials_prove_six_tenths_of_the_claim(epsilon):
    found = audit(epsilon=epsilon, trials=100_000, time_limit=600.0)
    assert found.verdict == "consistent"
    assert found.bounds.gaussian_epsilon >= 0.6 * epsilon
    assert found.bounds.epsilon_bound <= epsilon
