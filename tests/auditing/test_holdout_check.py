import numpy as np

from keshi.auditing.holdout_check import check_holdout


def test_one_population_is_not_told_apart_and_two_are():
    random = np.random.default_rng(0)
    alarms = sum(
        check_holdout(random.normal(size=(400, 3)), random.normal(size=(400, 3)), seed=seed).differs
        for seed in range(20)
    )
    assert alarms <= 2  # binomial(20, .01): more in 1 of 1,000
    moved = check_holdout(random.normal(size=(1000, 3)), random.normal(size=(1000, 3)) + 0.4)
    assert moved.differs
    assert moved.interval[0] < moved.auc < moved.interval[1]


def test_too_few_records_say_nothing():
    assert check_holdout(np.zeros((199, 2)), np.ones((500, 2))) is None
