"""The auditor audited: it finds planted leaks, spares harmless releases, and its intervals keep their word.

The quick form runs in CI; KESHI_LONG=1 runs the long one. `print` lines (pytest -s) give cases tried and right.
"""

import os

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from keshi.auditing.mixed_distance import encode_rows
from keshi.auditing.release_attacks import attack_release
from keshi.auditing.yardsticks import independent_columns

LONG = os.environ.get("KESHI_LONG") == "1"
CASES = 40 if LONG else 6
RUNS, ENOUGH = (400, 366) if LONG else (60, 51)  # binomial(n, .95) falls below in 1 of 500 and 1 of 300


def people(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame(
        {
            "x": x,
            "pay": np.where(rng.random(rows) < 0.1, np.nan, np.exp(x + rng.normal(size=rows)).round(2)),
            "job": rng.choice(list("abcdefg"), rows),
            "sex": np.where(rng.random(rows) < 0.5, "f", "m"),
            "rich": np.where(x + rng.normal(size=rows) > 0, "yes", "no"),
        }
    )


def with_copies(seed, share):
    train = people(1000, seed)
    made = people(1000, seed + 10_000)
    count = round(share * 1000)
    return train, pd.concat([made[count:], train[:count]])


def memorised(seed):
    """A generator that has learnt its rows by heart and blurs the numbers a little."""
    train = people(1000, seed)
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(2, 1000))
    return train, train.assign(x=train["x"] + noise[0], pay=train["pay"] * np.exp(noise[1]))


def few_memorised(seed):
    """Forty odd people stand in the release as they are; all others are fresh."""
    train, made = people(1000, seed), people(1000, seed + 10_000)
    odd = train["x"].abs().nlargest(40).index
    return train, pd.concat([made[40:], train.loc[odd]])


def fresh(seed):
    return people(1000, seed), people(1000, seed + 10_000)


def margins_only(seed):
    """Real values of real people, column by column: no row is kept."""
    train = people(1000, seed).round({"x": 1, "pay": 0})
    return train, independent_columns(train, seed=seed)


PLANTED = {
    "5 % copied rows": (lambda seed: with_copies(seed, 0.05), True),
    "all rows copied": (lambda seed: with_copies(seed, 1.0), True),
    "a generator that memorises": (memorised, True),
    "40 odd people kept": (few_memorised, True),
    "a fresh real sample": (fresh, False),
    "independent columns": (margins_only, False),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_leaks_are_flagged_and_harmless_releases_are_not(name):
    make, leaks = PLANTED[name]
    right = 0
    for seed in range(CASES):
        train, made = make(seed)
        held = people(1000, seed + 20_000)
        if name == "independent columns":
            held = held.round({"x": 1, "pay": 0})
        verdict = attack_release(made, train, held, targets=600, seed=seed).verdict
        right += verdict == ("leak" if leaks else "no leak found")
    print(f"\n{name}: {right} right of {CASES}")
    assert right >= CASES - (1 if LONG else 0)


def test_on_independent_data_every_95_percent_interval_covers_zero_often_enough():
    covered: dict[str, int] = {}
    for run in range(RUNS):
        train, held, made = (people(250, 3 * run + part + 50_000) for part in range(3))
        found = attack_release(made, train, held, seed=run)
        for attack in found.membership:
            low, high = attack.interval()
            covered[attack.attack] = covered.get(attack.attack, 0) + (low <= 0.5 <= high)
        for rate in found.rates:
            low, high = rate.interval()
            covered[rate.what] = covered.get(rate.what, 0) + (low <= 0 <= high)
    print(f"\nintervals that cover 0 in {RUNS} runs: {covered}")
    assert len(covered) == 11
    assert binom.cdf(ENOUGH - 1, RUNS, 0.95) < 0.01  # that the bound itself is no coin toss
    assert min(covered.values()) >= ENOUGH


def test_the_order_of_the_rows_and_of_the_columns_leads_to_the_same_verdict():
    train, made = with_copies(3, 0.1)
    held = people(1000, 23)
    one = attack_release(made, train, held, targets=300)
    other = attack_release(
        made.sample(frac=1, random_state=1)[list(made.columns[::-1])], train, held, targets=300
    )
    assert one.verdict == other.verdict == "leak"
    assert one.copies.exact == other.copies.exact


@pytest.mark.parametrize("rows", [1, 30, 99])
def test_few_rows_are_inconclusive_whatever_they_hold(rows):
    train = people(rows, 0)
    found = attack_release(train, train, people(rows, 1))
    assert found.verdict == "inconclusive"
    assert not found.leaks


def test_a_table_of_one_column_can_be_attacked_for_copies_and_membership():
    train, held = people(300, 0)[["x"]], people(300, 1)[["x"]]
    found = attack_release(train, train, held)
    assert found.attribute is None
    assert found.linkability is None
    assert found.verdict == "leak"


def test_the_coding_treats_train_and_holdout_alike():
    one, two = encode_rows([people(50, 0), people(80, 1)], [])
    two_again, one_again = encode_rows([people(80, 1), people(50, 0)], [])
    numbers = one.numerical
    np.testing.assert_array_equal(one.codes[numbers], one_again.codes[numbers])
    np.testing.assert_array_equal(two.codes[numbers], two_again.codes[numbers])
