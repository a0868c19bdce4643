from __future__ import annotations

import math

import numpy as np
import pytest

from keshi.auditing.identification import identify, label_only_rate, trial_interval
from keshi.errors import DomainError, RecordsError

FAST = {"hidden": (32,), "batch_size": 64, "max_epochs": 6}


def people(n: int = 600, *, tell: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z (n, 6), person of four, trial: the person is written into z with strength `tell`."""
    rng = np.random.default_rng(seed)
    subject = np.arange(n) % 4
    z = rng.normal(size=(n, 6))
    z[:, 0] += tell * subject
    return z, subject, subject * 10 + rng.integers(5, size=n)


def test_a_fresh_attacker_finds_a_person_who_is_there_and_not_one_who_is_not() -> None:
    z, s, _ = people(tell=4.0)
    z2, s2, trial2 = people(tell=4.0, seed=1)
    open_ = identify(z, s, z2, s2, trial_test=trial2, **FAST)  # type: ignore[arg-type]
    # Bayes: neighbours 4 deviations apart err with 2 Phi(-2) = 4.6 % inside, half that at the ends.
    assert open_.accuracy > 0.9
    assert open_.trial_accuracy == 1.0
    assert open_.lower <= open_.accuracy <= open_.upper
    assert 1.4 < open_.bits < 2.0
    blind = identify(people(tell=0.0)[0], s, people(tell=0.0, seed=1)[0], s2, **FAST)  # type: ignore[arg-type]
    # 600 rows at 1/4: standard error 0.018.
    assert abs(blind.accuracy - 0.25) < 0.08
    assert blind.bits == pytest.approx(0, abs=0.05)
    assert blind.majority == 0.25
    assert math.isnan(blind.trial_accuracy)


def test_shrinking_or_shifting_z_hides_nobody() -> None:
    z, s, _ = people(tell=4.0)
    z2, s2, _ = people(tell=4.0, seed=1)
    plain = identify(z, s, z2, s2, **FAST)  # type: ignore[arg-type]
    small = identify(z * 1e-4 + 3, s, z2 * 1e-4 + 3, s2, **FAST)  # type: ignore[arg-type]
    assert small.accuracy > 0.9 * plain.accuracy


def test_a_trial_gives_more_away_than_its_windows() -> None:
    z, s, _ = people(3000, tell=0.7)
    z2, s2, trial2 = people(3000, tell=0.7, seed=1)
    found = identify(z, s, z2, s2, trial_test=trial2, **FAST)  # type: ignore[arg-type]
    assert found.accuracy < 0.6
    assert found.trial_accuracy > 0.9


def test_the_attacker_is_repeatable_and_does_not_touch_the_global_random_state() -> None:
    import torch

    z, s, _ = people(tell=1.0)
    before = torch.random.get_rng_state()
    a, b = (identify(z[:400], s[:400], z[400:], s[400:], seed=3, **FAST) for _ in range(2))  # type: ignore[arg-type]
    assert (a.accuracy, a.bits) == (b.accuracy, b.bits)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_majority_rate_names_the_person_most_frequent_in_training() -> None:
    z = np.random.default_rng(0).normal(size=(10, 2))
    train, test = np.array([7] * 6 + [8] * 4), np.array([7, 8, 8, 8, 8])
    found = identify(z, train, z[:5], test, **{**FAST, "max_epochs": 1})  # type: ignore[arg-type]
    assert found.majority == 0.2  # not the best constant guess on the test itself


def test_columns_that_never_change_do_no_harm() -> None:
    z, s, _ = people(tell=4.0)
    z[:, 5] = 7.0
    assert identify(z[:400], s[:400], z[400:], s[400:], **FAST).accuracy > 0.85  # type: ignore[arg-type]


def test_errors_name_the_people_and_the_rule() -> None:
    z, s, _ = people(40, tell=1.0)
    with pytest.raises(DomainError, match="at least 2 people in training and a held-out row, got 1 people"):
        identify(z, np.zeros(40), z, np.zeros(40))
    with pytest.raises(DomainError, match=r"subjects \[9\] are in the test but not in training"):
        identify(z, s, z, np.where(s == 3, 9, s))
    with pytest.raises(RecordsError, match="6 columns in training and 5 in the test"):
        identify(z, s, z[:, :5], s)
    with pytest.raises(RecordsError, match="missing or infinite"):
        identify(z * np.nan, s, z, s)
    with pytest.raises(ValueError, match="same length"):
        identify(z, s[:-1], z, s)


def test_the_interval_over_trials_is_wider_than_over_rows_when_trials_repeat_themselves() -> None:
    rng = np.random.default_rng(0)
    per_trial = rng.random(40) < 0.5
    correct, trial = np.repeat(per_trial, 50), np.repeat(np.arange(40), 50)
    by_trial, by_row = trial_interval(correct, trial), trial_interval(correct, None)
    mean = per_trial.mean()
    expected = 2 * 1.96 * np.sqrt(mean * (1 - mean) / 40)
    assert by_trial[1] - by_trial[0] == pytest.approx(expected, rel=0.15)
    assert by_row[1] - by_row[0] == pytest.approx(expected / np.sqrt(50), rel=0.15)
    assert by_trial[0] < mean < by_trial[1]


def test_the_interval_over_trials_covers_the_truth_about_19_times_in_20() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        rates = rng.beta(2, 2, size=40)  # trials differ; the truth is 1/2
        correct = rng.random((40, 20)) < rates[:, None]
        lower, upper = trial_interval(correct.ravel(), np.repeat(np.arange(40), 20), draws=300)
        hits += lower <= 0.5 <= upper
    # 95 % of 100 with a standard error of 2.2 %; a bootstrap over rows would cover about 55 %.
    assert 0.86 <= hits / 100 <= 1


def test_the_label_alone_gives_away_whoever_does_it_most() -> None:
    label_train = np.array(["run", "run", "run", "sit", "sit"])
    person_train = np.array([1, 1, 2, 2, 2])
    rate = label_only_rate(
        label_train, person_train, np.array(["run", "sit", "run", "hop"]), np.array([1, 2, 2, 2])
    )
    assert (
        rate == 0.75
    )  # run -> 1 (right, wrong), sit -> 2 (right), never seen -> 2, the most frequent (right)
