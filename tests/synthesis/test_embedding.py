from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keshi.errors import BudgetError, DomainError
from keshi.privacy.accounting import delta_from_mu, mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain, Learned
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.embedding import embed, measure
from keshi.synthesis.features import ClassCounts, SpreadStatistic
from keshi.synthesis.frequencies import draw_gaussian_frequencies
from keshi.synthesis.partial_sums import embed_partial
from keshi.synthesis.presets import PaperPreset
from keshi.synthesis.private_embedding import Plan

DOMAIN = Domain({"c": Categorical(("a", "b")), "n": Numerical(0, 1), "y": Categorical((0, 1))}, label="y")
PRESET = PaperPreset(frequencies=8)
N = 700


def plan(k: int = 9, seed: int = 0) -> Plan:
    frequencies = draw_gaussian_frequencies(k, 3, squared_length_scale=1.0, seed=seed)
    return Plan((CharacteristicFeatures(frequencies, 2), ClassCounts(2)), (0.5, 0.5), "x")


def records(n: int = N, seed: int = 1) -> EncodedBatch:
    random = np.random.default_rng(seed)
    return EncodedBatch(random.integers(-(2**20), 2**20, (n, 3)) / 2**20, random.integers(0, 2, n))


def test_sums_of_another_plan_are_never_measured() -> None:
    total, book = embed_partial([records(5)], plan()), PrivacyLedger.in_memory(epsilon=1, delta=1e-5)
    for other in (plan(seed=1), plan(k=8), replace(plan(), shares=(0.6, 0.4))):
        with pytest.raises(ValueError, match="another plan"):
            measure(total, other, unit=PrivacyUnit(), mu=1.0, run="a", index=0, ledger=book)


def embedded(batches, **options):
    settings = {"epsilon": 1.0, "delta": 1e-5, "unit": PrivacyUnit(), **options}
    return embed(batches, DOMAIN, PRESET, **settings)


@pytest.mark.real_noise
def test_noise_is_fresh_for_every_run_whatever_the_seed() -> None:
    first, again, other = (embedded(lambda: [records()], seed=seed) for seed in (0, 0, 1))
    spread = SpreadStatistic
    noises = [e.measurement(spread).sums for e in (first, again, other)]
    assert not any((a == b).any() for a, b in ((noises[0], noises[1]), (noises[0], noises[2])))
    assert first.measurements[0].plan.hash == again.measurements[0].plan.hash


def test_a_resumed_run_gets_the_values_it_paid_for_and_pays_nothing() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=1, delta=1e-5)
    first = embedded(lambda: [records()], ledger=ledger, run="monday")
    spent = ledger.spent()
    again = embedded(lambda: [records()], ledger=ledger, run="monday")
    assert [m.sums.tobytes() for m in first.measurements] == [m.sums.tobytes() for m in again.measurements]
    assert ledger.spent() == spent
    with pytest.raises(BudgetError):
        embedded(lambda: [records()], ledger=ledger, run="tuesday")


def test_records_that_fail_half_way_spend_nothing() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=1, delta=1e-5)

    def broken():
        yield records()
        raise DomainError("the last batch contradicts the domain")

    before = ledger.head
    with pytest.raises(DomainError):
        embedded(broken, ledger=ledger)
    assert ledger.head == before
    assert ledger.spent().mu == 0


def test_no_records_are_refused_only_where_their_number_is_public() -> None:
    ledger = PrivacyLedger.in_memory(epsilon=1, delta=1e-5)
    with pytest.raises(DomainError, match=r"no records.*nothing was spent"):
        embedded(lambda: [records(0)], unit=PrivacyUnit(relation="replace-one"), ledger=ledger)
    assert ledger.spent().mu == 0
    assert embedded(lambda: [records(0)], ledger=ledger).count > 0.999


def test_the_number_of_records_is_kept_only_where_it_is_public() -> None:
    assert embedded(lambda: [records()]).public_count is None
    assert embedded(lambda: [records()], unit=PrivacyUnit(relation="replace-one")).public_count == N


def test_progress_counts_the_records_of_every_reading() -> None:
    calls = []
    embedded(lambda: [records(), records()], progress=lambda what, n: calls.append(n))
    assert calls == [N, 2 * N] * 2


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 10.0, 20.0])
def test_a_budget_from_tiny_to_large_is_enough_for_all_measurements_of_the_paper(epsilon: float) -> None:
    paper = embed(lambda: [records()], DOMAIN, PaperPreset(), epsilon=epsilon, delta=1e-5, unit=PrivacyUnit())
    assert len(paper.measurements) == 2
    assert paper.statement.remaining < 0.01 * epsilon


def test_sums_of_records_are_never_measured_for_a_subject() -> None:
    total, book = embed_partial([records()], plan()), PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5)
    with pytest.raises(ValueError, match="weighed by subject"):
        measure(total, plan(), unit=PrivacyUnit(subject="id"), mu=0.1, ledger=book, run="r", index=0)


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.5, 0.4), (1.5, -0.5)])
def test_a_preset_that_spends_more_than_it_says_is_refused(shares) -> None:
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        embed(
            lambda: [records()],
            DOMAIN,
            replace(PRESET, shares=shares),
            epsilon=1.0,
            delta=1e-5,
            unit=PrivacyUnit(),
        )


def test_what_learning_the_domain_cost_is_part_of_the_promise() -> None:
    """Gaussian parts compose in mu, the rest of delta adds up; a domain learnt for another unit is refused."""
    learned = Learned(
        mu=mu_from_epsilon(2.0, 1e-5), delta=1e-6, unit="adding or removing one record", epsilon=2.0
    )
    domain = replace(DOMAIN, learned=learned)
    made = embed(lambda: [records()], domain, PRESET, epsilon=1.0, delta=1e-5, unit=PrivacyUnit())
    promised = made.statement
    mu = (mu_from_epsilon(1.0, 1e-5) ** 2 + learned.mu**2) ** 0.5
    assert promised.mu == pytest.approx(mu, rel=1e-5)
    assert delta_from_mu(mu, promised.epsilon) == pytest.approx(1e-5, rel=1e-2)
    assert promised.epsilon > 2.0
    assert promised.delta == pytest.approx(1.1e-5, rel=1e-2)
    assert promised.measurements[0] == "learned domain"
    assert "learnt" in promised.assumed_public[0]
    book = PrivacyLedger.in_memory(epsilon=9.0, delta=1e-4)
    with pytest.raises(BudgetError, match="does not have that among its spends"):
        embed(lambda: [records()], domain, PRESET, epsilon=1.0, delta=1e-5, unit=PrivacyUnit(), ledger=book)
    with pytest.raises(DomainError, match="was learnt for adding or removing one record"):
        embed(lambda: [records()], domain, PRESET, epsilon=1.0, delta=1e-5, unit=PrivacyUnit("replace-one"))
