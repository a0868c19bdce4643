"""Exact sums of records: no order, batch, shard or thread changes a bit of them, and nothing odd is ever summed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.records.column_kinds import Categorical
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.synthesis.characteristic import CharacteristicFeatures
from keshi.synthesis.features import AMPLITUDE, WEIGHT, ClassCounts, SpreadStatistic
from keshi.synthesis.frequencies import draw_gaussian_frequencies
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partial_sums import Partial, embed_partial, merge
from keshi.synthesis.partitions import class_partition
from keshi.synthesis.private_embedding import Plan

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


def test_merge_refuses_sums_of_another_plan_and_of_records_weighed_otherwise() -> None:
    for other in (plan(seed=1), plan(k=8), replace(plan(), shares=(0.4, 0.4, 0.2))):
        with pytest.raises(ValueError, match="different plans"):
            merge([shard(0), shard(1, other)], shards=2)
    weighed = embed_partial([records(5)], plan(), shard=1, weights=np.ones(5, dtype=np.uint32))
    with pytest.raises(ValueError, match="weigh all or none"):
        merge([shard(0), weighed], shards=2)


def test_more_records_than_fit_the_grid_are_refused(monkeypatch) -> None:
    monkeypatch.setattr("keshi.synthesis.partial_sums.MOST_RECORDS", 10)
    with pytest.raises(ValueError, match="more than 10 records"):
        embed_partial([records(11)], plan())
    parts = [embed_partial([records(6)], plan(), shard=number) for number in (0, 1)]
    with pytest.raises(ValueError, match="more than 10 records"):
        merge(parts, shards=2)


def test_batches_of_any_size_are_summed_in_slices(monkeypatch) -> None:
    whole = embed_partial([records()], plan())
    seen = []
    monkeypatch.setattr("keshi.synthesis.partial_sums.LARGEST_BATCH", 100)
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
