"""The few-shot probe where recordings are few: it is tried on other recordings than it was learnt from, or says no."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keshi.auditing import few_shot
from keshi.auditing.few_shot import check_few_shot, few_shot_f1
from keshi.auditing.labels import macro_f1
from keshi.errors import DomainError


def recordings(*per_label: int, rows: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Label and recording of every row, for labels of so many recordings."""
    label = np.repeat(np.arange(len(per_label)), np.array(per_label) * rows)
    return label, np.arange(len(label)) // rows


@pytest.mark.parametrize("counts", [(2, 2), (4, 4), (10, 10)])
def test_features_that_tell_recordings_and_not_labels_do_not_look_useful(counts: tuple[int, int]) -> None:
    label, trial = recordings(*counts)
    z = 5 * np.random.default_rng(0).normal(size=(trial.max() + 1, 30))[trial]
    z += np.random.default_rng(1).normal(size=z.shape)
    # a probe that is tried on recordings it knows reaches 1
    assert few_shot_f1(z, label, trial=trial).f1 < 0.7


def test_every_label_is_tried_in_every_draw_however_few_its_recordings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[set[int]] = []

    def seen(truth: np.ndarray, said: np.ndarray) -> float:
        tried.append(set(truth.tolist()))
        return macro_f1(truth, said)

    monkeypatch.setattr(few_shot, "macro_f1", seen)
    label, trial = recordings(2, 3, 40)
    few_shot_f1(np.random.default_rng(0).normal(size=(len(label), 2)), label, trial=trial)
    assert tried == [{0, 1, 2}] * few_shot.DRAWS
    # recordings in which both labels stand: what one label gives to learn cannot be tried on for the other
    tried.clear()
    both, trial = np.arange(600) % 2, np.arange(600) // 50
    few_shot_f1(np.random.default_rng(0).normal(size=(600, 2)), both, trial=trial)
    assert tried == [{0, 1}] * few_shot.DRAWS


def test_where_recordings_are_many_the_draws_are_those_of_the_published_figures() -> None:
    label, trial = recordings(11, 15, rows=4)
    z = np.random.default_rng(0).normal(size=(len(label), 3)) + label[:, None]
    rng, found = np.random.default_rng(3), []
    for _ in range(5):
        shown = np.concatenate([rng.choice(np.flatnonzero(label == k), 10, replace=False) for k in (0, 1)])
        rest = ~np.isin(trial, trial[shown])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(z[shown], label[shown])
        found.append(macro_f1(label[rest], model.predict(z[rest])))
    assert few_shot_f1(z, label, trial=trial, draws=5, seed=3).f1 == np.mean(found)


@pytest.mark.parametrize(
    ("label", "trial", "named"),
    [
        (
            np.repeat(["hop", "row"], 30),
            np.repeat([0, 1, 2], [30, 15, 15]),
            r"of 'hop' \(30 windows in 1 recordings",
        ),
        (np.repeat(["hop", "row"], 12), np.arange(24) // 6, r"'hop' \(12 windows in 2 .*'row' \(12"),
        (np.repeat(["hop", "row"], [10, 30]), None, r"of 'hop' \(10 windows in 10 recordings\)\."),
        (np.repeat("hop", 30), None, r"at least 2 labels, got 1: \['hop'\]"),
    ],
)
def test_what_cannot_be_measured_is_named(label: np.ndarray, trial: np.ndarray | None, named: str) -> None:
    with pytest.raises(DomainError, match=named):
        check_few_shot(label, trial=trial)
    with pytest.raises(DomainError, match=named):
        few_shot_f1(np.zeros((len(label), 2)), label, trial=trial)
