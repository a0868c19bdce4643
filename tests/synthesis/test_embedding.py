from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.errors import BudgetError, DomainError
from keshi.privacy.accounting import delta_from_mu, mu_from_epsilon
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain, Learned
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.embedding import Partial, embed, embed_partial, measure, merge
from keshi.synthesis.features import AMPLITUDE, WEIGHT, ClassCounts, SpreadStatistic
from keshi.synthesis.frequencies import draw_gaussian_frequencies
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import class_partition
from keshi.synthesis.presets import PaperPreset
from keshi.synthesis.private_embedding import Plan

DOMAIN = Domain({"c": Categorical(("a", "b")), "n": Numerical(0, 1), "y": Categorical((0, 1))}, label="y")
PRESET = PaperPreset(frequencies=8)
N = 700


def plan(k: int = 9, seed: int = 0) -> Plan:
    frequencies = draw_gaussian_frequencies(k, 3, squared_length_scale=1.0, seed=seed)
    return Plan(
        (CharacteristicFeatures(frequencies, 2), ClassCounts(2), SpreadStatistic(3, 2.0)),
        (0.5, 0.3, 0.2),
        "x",
    )


def records(n: int = N, seed: int = 1) -> EncodedBatch:
    random = np.random.default_rng(seed)
    return EncodedBatch(random.integers(-(2**20), 2**20, (n, 3)) / 2**20, random.integers(0, 2, n))


def part(batch: EncodedBatch, rows) -> EncodedBatch:
    return EncodedBatch(batch.vectors[rows], batch.classes[rows])


@settings(max_examples=25)
@given(st.permutations(range(N)), st.lists(st.integers(0, N), max_size=5), st.integers(1, 4), st.randoms())
def test_order_batches_shards_and_threads_change_not_one_bit(order, cuts, shards, random) -> None:
    whole, the_plan = records(), plan()
    expected = embed_partial([whole], the_plan)
    shuffled = part(whole, np.array(order))
    pieces = [
        part(shuffled, slice(*ends)) for ends in zip([0, *sorted(cuts)], [*sorted(cuts), N], strict=True)
    ]
    with ThreadPoolExecutor(shards) as threads:
        work = [threads.submit(embed_partial, pieces[s::shards], the_plan, shard=s) for s in range(shards)]
        partials = [one.result() for one in work]
    random.shuffle(partials)
    merged = merge(partials, shards=shards)
    assert merged.sums.tobytes() == expected.sums.tobytes()
    assert merged.rows == N
    assert merged.shards == frozenset(range(shards))


def test_sums_of_classes_are_counts_in_grid_steps() -> None:
    batch = records()
    sums = embed_partial([batch], Plan((ClassCounts(2),), (1.0,), "x")).sums
    assert sums.tolist() == [int((batch.classes == c).sum()) * AMPLITUDE * WEIGHT for c in (0, 1)]


def shard(number: int, the_plan: Plan | None = None) -> Partial:
    return embed_partial([records(5)], the_plan or plan(), shard=number)


@pytest.mark.parametrize(
    ("shards", "says"),
    [([0, 0], "shard 0 came twice"), ([0], r"shards \[1\] of 2 are missing"), ([], r"shards \[0, 1\] of 2"),
     ([0, 1, 2], "shard 2 is none of the 2 expected"),
     ([0, 7], "shard 7 is none"), ([-1, 0, 1], r"none of the 2")],
)  # fmt: skip
def test_merge_refuses_a_shard_that_comes_twice_is_missing_or_unknown(shards, says) -> None:
    with pytest.raises(ValueError, match=says):
        merge([shard(number) for number in shards], shards=2)


def test_merge_and_measure_refuse_sums_of_another_plan() -> None:
    for other in (plan(seed=1), plan(k=8), replace(plan(), shares=(0.4, 0.4, 0.2))):
        with pytest.raises(ValueError, match="different plans"):
            merge([shard(0), shard(1, other)], shards=2)
        with pytest.raises(ValueError, match="another plan"):
            measure(shard(0), other, unit=PrivacyUnit(), mu=1.0, run="a", index=0,
                    ledger=PrivacyLedger.in_memory(epsilon=1, delta=1e-5))  # fmt: skip


def embedded(batches, **options):
    settings = {"epsilon": 1.0, "delta": 1e-5, "unit": PrivacyUnit(), **options}
    return embed(batches, DOMAIN, PRESET, **settings)


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
    assert embedded(lambda: [records(0)], ledger=ledger).count >= 1


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


def test_more_records_than_fit_the_grid_are_refused(monkeypatch) -> None:
    monkeypatch.setattr("keshi.synthesis.embedding.MOST_RECORDS", 10)
    with pytest.raises(ValueError, match="more than 10 records"):
        embed_partial([records(11)], plan())
    parts = [embed_partial([records(6)], plan(), shard=number) for number in (0, 1)]
    with pytest.raises(ValueError, match="more than 10 records"):
        merge(parts, shards=2)


def test_batches_of_any_size_are_summed_in_slices(monkeypatch) -> None:
    whole = embed_partial([records()], plan())
    seen = []
    monkeypatch.setattr("keshi.synthesis.embedding.LARGEST_BATCH", 100)
    sums = CharacteristicFeatures.sums
    monkeypatch.setattr(
        CharacteristicFeatures, "sums", lambda s, b, w: (seen.append(len(b)), sums(s, b, w))[1]
    )
    assert embed_partial([records()], plan()).sums.tobytes() == whole.sums.tobytes()
    assert seen == [100] * 7


@pytest.mark.parametrize("more", [-1, 1])
def test_weights_that_do_not_fit_the_records_are_refused(more) -> None:
    with pytest.raises(ValueError, match="changed between two readings"):
        embed_partial([records(20)], plan(), weights=np.ones(20 + more, dtype=np.uint32))


@pytest.mark.parametrize("bad", [50.0, -1.5, 0.1, float("nan"), float("inf")])
def test_records_that_no_encoder_makes_are_never_summed(bad) -> None:
    batch = records(5)
    batch.vectors[2, 1] = bad
    with pytest.raises(ValueError, match="must lie in"):
        embed_partial([batch], plan())
    with pytest.raises(ValueError, match="lie below 2"):
        embed_partial([EncodedBatch(records(5).vectors, np.full(5, 2))], plan())


def marginal_plan() -> Plan:
    """Of the class alone: no count of classes stands beside it that would notice a class too many."""
    cells = class_partition(Domain({"y": Categorical((0, 1))}, label="y"))
    return Plan((MarginalFeatures((cells,), ((0,),), (5,), 2),), (1.0,), "classes")


@pytest.mark.parametrize("classes", [np.zeros(5, int), np.zeros((1, 5), int), np.zeros(0, int)])
def test_a_batch_of_more_or_fewer_classes_than_records_is_never_summed(classes) -> None:
    """One vector with five classes would count five times, and be paid for once."""
    with pytest.raises(ValueError, match="one vector and one class"):
        embed_partial([EncodedBatch(np.zeros((1, 1)), classes)], marginal_plan())


@pytest.mark.parametrize("wrong", [-1, 2])
def test_a_class_that_the_domain_has_not_is_never_summed_into_a_marginal(wrong) -> None:
    with pytest.raises(ValueError, match="lie below 2"):
        embed_partial([EncodedBatch(np.zeros((1, 1)), np.array([wrong]))], marginal_plan())


def test_sums_of_records_are_never_measured_for_a_subject() -> None:
    total, book = embed_partial([records()], plan()), PrivacyLedger.in_memory(epsilon=1.0, delta=1e-5)
    with pytest.raises(ValueError, match="weighed by subject"):
        measure(total, plan(), unit=PrivacyUnit(subject="id"), mu=0.1, ledger=book, run="r", index=0)
    weighed = embed_partial([records(5)], plan(), shard=1, weights=np.ones(5, dtype=np.uint32))
    with pytest.raises(ValueError, match="weigh all or none"):
        merge([total, weighed], shards=2)


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
