import json

import numpy as np
import pandas as pd
import pytest

from keshi.auditing.membership import delong, membership_attacks, score_membership
from keshi.auditing.mixed_distance import encode_rows


def test_the_auc_is_that_of_a_double_loop_with_ties_counting_half():
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 6, 40) + 1.0, rng.integers(0, 6, 30) * 1.0
    pairs = [(a > b) + 0.5 * (a == b) for a in ours for b in theirs]
    assert delong(ours, theirs)[0] == pytest.approx(np.mean(pairs))


def test_the_standard_error_is_the_spread_over_repeated_samples():
    rng = np.random.default_rng(1)
    found = np.array([delong(rng.normal(0.5, 1, 150), rng.normal(0, 1, 200)) for _ in range(400)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.1)  # 400 draws: 3.5 % error


def test_rates_at_few_false_positives_need_many_nonmembers():
    rng = np.random.default_rng(2)
    members = np.concatenate([rng.normal(size=950), np.full(50, 9.0)])
    one, tenth = score_membership("score", members, rng.normal(size=1000)).rates
    assert 0.05 <= one.true_positive_rate < 0.08
    assert one.interval[0] > 0.01
    assert "5,000 are needed" in str(tenth.reason)
    blind = score_membership("score", rng.normal(size=5000), rng.normal(size=5000)).rates
    assert all(rate.reason is None and rate.interval[0] < rate.false_positive_rate * 1.6 for rate in blind)


def test_constant_scores_are_blind_and_perfect_ones_have_an_interval():
    blind = score_membership("score", np.zeros(200), np.zeros(200))
    assert blind.auc == 0.5
    assert blind.rates[0].true_positive_rate == 0
    sure = score_membership("score", np.ones(200), np.zeros(200))
    assert sure.auc == 1
    assert sure.interval()[0] < 1
    assert sure.is_leak(1e-6)


def test_few_rows_are_inconclusive():
    few = score_membership("score", np.ones(99), np.zeros(5000))
    assert not few.is_conclusive
    assert not few.is_leak(0.05)
    none = score_membership("score", np.ones(1), np.zeros(0))
    assert not none.is_conclusive
    json.dumps(none.to_json())


def test_both_attacks_find_members_whose_records_were_kept():
    rng = np.random.default_rng(3)

    def people(n):
        return pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))

    train, held = people(800), people(1600)
    kept = train + rng.normal(scale=0.02, size=train.shape)
    real, other, made = encode_rows([train, held], [kept])
    reference, strangers = other.take(np.arange(800)), other.take(np.arange(800, 1600))
    distance, density = membership_attacks(made, reference, real, strangers)
    assert distance.interval()[0] > 0.9
    assert density.interval()[0] > 0.9
    assert density.rates[0].true_positive_rate > 0.3
    no_reference = membership_attacks(made, other.take(np.arange(0)), real, strangers)[1]
    assert not no_reference.is_conclusive
