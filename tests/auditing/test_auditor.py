"""The auditor audited: it finds planted leaks, spares harmless releases, and its intervals keep their word.

The quick form of experiments/auditor.py; the long one is run by hand. The mutants of the mechanism stand in
tests/privacy/test_mutants.py.
"""

import auditor
import numpy as np
import pytest
from scipy.stats import binom

from keshi.auditing.mixed_distance import encode_rows
from keshi.auditing.release_attacks import attack_release

CASES, HARMLESS = (
    2,
    6,
)  # 18 harmless releases: a false-alarm rate of 10 % is missed in 3 of 20 runs, of 20 % in 1 of 50
RUNS, ENOUGH = 40, 33  # binomial(40, .95) falls below in 1 of 1,000; the long form: 400, 366


@pytest.mark.parametrize("name", [*auditor.TABLES, *auditor.PICTURES])
def test_planted_leaks_are_flagged_and_harmless_releases_are_not(name):
    _, wanted = (auditor.TABLES | auditor.PICTURES)[name]
    cases = HARMLESS if wanted == "no leak found" else CASES
    assert auditor.right_verdicts(name, cases) == cases


def test_on_independent_data_every_95_percent_interval_covers_zero_often_enough():
    covered = auditor.covered(RUNS)
    assert len(covered) == 11 + 4
    assert binom.cdf(ENOUGH - 1, RUNS, 0.95) < 0.01  # that the bound itself is no coin toss
    assert min(covered.values()) >= ENOUGH


def test_the_order_of_the_rows_and_of_the_columns_leads_to_the_same_verdict():
    train, made, held = auditor.with_copies(3, 0.1)
    one = attack_release(made, train, held, targets=300)
    other = attack_release(
        made.sample(frac=1, random_state=1)[list(made.columns[::-1])], train, held, targets=300
    )
    assert one.verdict == other.verdict == "leak"
    assert one.copies.exact == other.copies.exact


@pytest.mark.parametrize("rows", [1, 30, 99])
def test_few_rows_are_inconclusive_whatever_they_hold(rows):
    train = auditor.people(rows, 0)
    found = attack_release(train, train, auditor.people(rows, 1))
    assert found.verdict == "inconclusive"
    assert not found.leaks


def test_a_table_of_one_column_can_be_attacked_for_copies_and_membership():
    train, held = auditor.people(300, 0)[["x"]], auditor.people(300, 1)[["x"]]
    found = attack_release(train, train, held)
    assert found.attribute is None
    assert found.linkability is None
    assert found.verdict == "leak"


def test_the_coding_treats_train_and_holdout_alike():
    one, two = encode_rows([auditor.people(50, 0), auditor.people(80, 1)], [])
    two_again, one_again = encode_rows([auditor.people(80, 1), auditor.people(50, 0)], [])
    numbers = one.numerical
    np.testing.assert_array_equal(one.codes[numbers], one_again.codes[numbers])
    np.testing.assert_array_equal(two.codes[numbers], two_again.codes[numbers])
