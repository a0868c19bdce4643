"""Marginals are what a group-by counts, exact whatever the order, and a record moves them by exactly their norm."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keshi.privacy.unit import PrivacyUnit
from keshi.records.column_kinds import Categorical, Numerical
from keshi.records.domain import Domain
from keshi.records.encoded import EncodedBatch
from keshi.records.tables import TableEncoder
from keshi.synthesis.features import AMPLITUDE, WEIGHT
from keshi.synthesis.marginals import MarginalFeatures
from keshi.synthesis.partitions import class_partition, column_partitions

DOMAIN = Domain(
    {
        "age": Numerical(0, 9, integer=True, missing=True),
        "job": Categorical(("a", "b", "c")),
        "y": Categorical(("no", "yes")),
    },
    label="y",
)


def features():
    age, job = column_partitions(DOMAIN, most_cells=5).values()
    wide = age.joining([0, 0, 1, 1, 1])
    partitions = (class_partition(DOMAIN), age, wide, job)
    marginals = ((1,), (0, 3), (2, 3), (0, 2, 3))
    return MarginalFeatures(partitions, marginals, (AMPLITUDE, 5_000, 9_001, 1), DOMAIN.n_classes)


def rows(n, seed=0):
    random = np.random.default_rng(seed)
    age = np.where(random.random(n) < 0.1, np.nan, random.integers(0, 10, n))
    return pd.DataFrame(
        {"age": age, "job": random.choice(list("abc"), n), "y": random.choice(["no", "yes"], n)}
    )


def test_tables_equal_a_group_by():
    people, block = rows(500), features()
    batch = TableEncoder(DOMAIN).encode(people)
    tables = block.tables(block.sums(batch, np.ones(500)) / AMPLITUDE)
    cell = people["age"].floordiv(2).where(people["age"].notna(), 5).astype(int)
    coarse = np.array([0, 0, 1, 1, 1, 2])[cell]
    assert tables[0].tolist() == [int((cell == c).sum()) for c in range(6)]
    for y, label in enumerate(["no", "yes"]):
        for j, job in enumerate("abc"):
            own = (people["y"] == label) & (people["job"] == job)
            assert tables[1][y, j] == own.sum()
            for c in range(3):
                assert tables[3][y, c, j] == (own & (coarse == c)).sum()
    assert np.allclose(tables[2], tables[3].sum(axis=0))


def test_order_and_batches_cannot_change_a_bit_and_weights_count():
    block, batch = features(), TableEncoder(DOMAIN).encode(rows(300))
    order = np.random.default_rng(1).permutation(300)
    weights = np.random.default_rng(2).integers(1, WEIGHT, 300).astype(float)
    whole = block.sums(batch, weights)
    shuffled = EncodedBatch(batch.vectors[order], batch.classes[order])
    assert np.array_equal(whole, block.sums(shuffled, weights[order]))
    alone = [
        block.sums(EncodedBatch(batch.vectors[i : i + 1], batch.classes[i : i + 1]), weights[i : i + 1])
        for i in range(300)
    ]
    assert np.array_equal(whole, np.sum(alone, axis=0))


@settings(max_examples=500)
@given(st.integers(0, 2**32 - 1))
def test_a_record_moves_the_sums_by_its_norm_and_two_by_at_most_the_sensitivity(seed):
    block, batch = features(), TableEncoder(DOMAIN).encode(rows(2, seed))
    first, second = (
        block.sums(EncodedBatch(batch.vectors[i : i + 1], batch.classes[i : i + 1]), np.ones(1))
        for i in (0, 1)
    )
    assert math.isclose(np.linalg.norm(first), block.norm)
    assert WEIGHT * np.linalg.norm(first) <= block.sensitivity(PrivacyUnit("add-or-remove")) * (1 + 1e-12)
    moved = np.linalg.norm(first - second)
    assert WEIGHT * moved <= block.sensitivity(PrivacyUnit("replace-one")) * (1 + 1e-12)


def test_replacing_a_record_by_one_of_other_cells_reaches_the_sensitivity():
    block = features()
    people = pd.DataFrame({"age": [0, 9], "job": ["a", "b"], "y": ["no", "yes"]})
    batch = TableEncoder(DOMAIN).encode(people)
    first, second = (
        block.sums(EncodedBatch(batch.vectors[i : i + 1], batch.classes[i : i + 1]), np.ones(1))
        for i in (0, 1)
    )
    reached = WEIGHT * np.linalg.norm(first - second)
    assert math.isclose(reached, block.sensitivity(PrivacyUnit("replace-one")), rel_tol=1e-12)


def test_settings_make_the_same_block_again_and_bad_ones_none():
    block = features()
    again = MarginalFeatures(**block.settings())
    assert again.settings() == block.settings()
    assert again.size == block.size == 6 + 2 * 3 + 3 * 3 + 2 * 3 * 3
    with pytest.raises(ValueError, match="weight"):
        MarginalFeatures(block.partitions, block.marginals, (1, 1, 1, AMPLITUDE + 1), 2)
    assert block.fits(DOMAIN)
    assert not block.fits(Domain({"age": Numerical(0, 9, integer=True), "job": Categorical(("a", "b"))}))
