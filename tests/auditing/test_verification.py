from __future__ import annotations

import numpy as np
import pytest

from keshi.auditing.few_shot import few_shot_f1
from keshi.auditing.verification import rates, verify
from keshi.errors import DomainError


def features(
    people: range, *, told: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of two labels and four recordings a person, each person somewhere on a circle of radius `told`."""
    rng = np.random.default_rng(seed)
    person = np.repeat(list(people), 80)
    label, trial = np.arange(len(person)) % 2, np.arange(len(person)) // 2 % 4
    where = rng.uniform(0, 2 * np.pi, size=100)[person]
    z = rng.normal(size=(len(person), 5))
    z[:, :2] += told * np.stack([np.cos(where), np.sin(where)], axis=1)
    z[:, 2] += 3 * label
    return z, person, trial, label


@pytest.mark.parametrize(("told", "low", "high"), [(8.0, 0.0, 0.2), (0.0, 0.45, 0.55)])
def test_strangers_are_verified_where_features_carry_people_and_not_where_they_do_not(
    told: float, low: float, high: float
) -> None:
    z, s, _, _ = features(range(30), told=told, seed=0)
    z_test, s_test, trial, label = features(range(50, 60), told=told, seed=1)
    found = verify(z, s, z_test, s_test, trial_test=trial, label_test=label, pairs=2000)
    assert low <= found.eer <= high
    assert found.people == 10
    assert found.pairs == 2000
    with pytest.raises(DomainError, match="in both"):
        verify(z, s, z, s, trial_test=s)
    with pytest.raises(DomainError, match="people with two recordings"):
        verify(z, s, z_test, s_test, trial_test=np.zeros(len(z_test)), pairs=100)


def test_rates_of_scores_that_tie_and_of_scores_worked_out_by_hand() -> None:
    same = np.array([True, False] * 50)
    tied = rates(np.ones(100), same, people=2)
    assert (tied.eer, tied.auc) == (0.5, 0.5)  # the order of equal scores says nothing
    assert rates(same.astype(float), same, people=2).eer == 0
    # one of four pairs on the wrong side of each kind: both error rates are 1/4 at a threshold of 0.5
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.0])
    by_hand = rates(scores, np.arange(8) < 4, people=2)
    assert by_hand.eer == pytest.approx(0.25)
    assert by_hand.auc == 14 / 16


def test_a_probe_learns_other_labels_where_features_carry_them_and_not_where_they_do_not() -> None:
    z, _, trial, label = features(range(10), told=1.0, seed=0)
    carried = few_shot_f1(z, label, trial=trial, draws=4)
    lost = few_shot_f1(np.delete(z, 2, axis=1), label, trial=trial, draws=4)
    assert carried.f1 > 0.8
    assert lost.f1 < 0.6
    assert carried.lower <= carried.f1 <= carried.upper
    with pytest.raises(DomainError, match=r"'0' \(6 windows in 6 recordings\)"):
        few_shot_f1(z[:12], label[:12])
