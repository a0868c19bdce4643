from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, r2_score

from keshi.auditing import use_probe
from keshi.auditing.use_probe import check_uses, measure_use, measure_uses
from keshi.errors import DomainError, RecordsError
from keshi.records.further import is_measurement, per_window

ROWS = 600


def world(*, telling: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features of six people; a column says the side of the sensor, another a pulse. 30 recordings."""
    rng = np.random.default_rng(seed)
    side, pulse = rng.integers(0, 2, ROWS), rng.normal(70, 10, ROWS)
    z = rng.normal(size=(ROWS, 5))
    z[:, 0] += telling * side
    z[:, 1] += telling * (pulse - 70) / 10
    return z, np.arange(ROWS) % 6, np.where(side == 1, "left", "right"), pulse


def parts(subject: np.ndarray) -> dict[str, np.ndarray]:
    late = np.arange(ROWS) >= 400
    return {"learn": ~late & (subject < 4), "known": late & (subject < 4), "unknown": subject >= 4}


def test_an_attribute_in_the_features_is_read_off_for_known_people_and_strangers_and_another_is_not() -> None:
    z, subject, side, pulse = world(telling=4.0)
    for use, measure, least in ((side, "macro-F1", 0.9), (pulse, "R2", 0.8)):
        found = measure_use(use, subject, z, trial=np.arange(ROWS) // 20, **parts(subject))
        assert found.measure == measure
        assert found.unknown is not None
        for one in (found.known, found.unknown):
            assert one.lower <= one.score <= one.upper
            assert one.score > least > one.floor
        assert not found.of_person
    z, subject, side, pulse = world(telling=0.0)
    assert measure_use(side, subject, z, **parts(subject)).known.score < 0.65
    assert measure_use(pulse, subject, z, **parts(subject)).known.score < 0.1


def test_the_figures_are_those_of_scikit_learn_and_the_floor_says_always_the_same() -> None:
    z, subject, side, pulse = world(telling=1.0)
    rows = {name: np.flatnonzero(one) for name, one in parts(subject).items()}
    flat = (z - z[rows["learn"]].mean(axis=0)) / z[rows["learn"]].std(axis=0)
    # ridge by the normal equations: an independent slow version
    x, y = flat[rows["learn"]], pulse[rows["learn"]]
    slope = np.linalg.solve(x.T @ x + np.eye(5), x.T @ (y - y.mean()))
    said = flat[rows["known"]] @ slope + y.mean()
    found = measure_use(pulse, subject, z, **rows).known
    assert found.score == pytest.approx(r2_score(pulse[rows["known"]], said), abs=1e-9)
    assert found.floor == pytest.approx(r2_score(pulse[rows["known"]], np.full(len(rows["known"]), y.mean())))
    found = measure_use(side, subject, z, **rows).known
    names, counts = np.unique(side[rows["learn"]], return_counts=True)
    always = np.full(len(rows["known"]), names[counts.argmax()])
    assert found.floor == pytest.approx(f1_score(side[rows["known"]], always, average="macro"))


def test_the_interval_over_recordings_is_that_of_the_figure_recomputed_on_drawn_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(use_probe, "DRAWS", 20)
    rng = np.random.default_rng(1)
    truth, recording = rng.integers(0, 3, 300), np.repeat(np.arange(30), 10)
    said = np.where(rng.random(300) < 0.7, truth, 0)
    found = use_probe._interval(truth, said, recording, amount=False, seed=0)
    draws = np.random.default_rng(0)
    slow = []
    for _ in range(use_probe.DRAWS):
        rows = np.concatenate([np.flatnonzero(recording == one) for one in draws.integers(30, size=30)])
        slow.append(f1_score(truth[rows], said[rows], average="macro"))
    assert found == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=1e-9)


def test_whole_numbers_are_classes_while_they_are_few_and_a_value_a_person_is_told() -> None:
    z, subject, _, _ = world(telling=1.0)
    height = 150 + 5 * subject
    found = measure_use(height, subject, z, **parts(subject))
    assert found.measure == "macro-F1"
    assert found.of_person
    # strangers' heights were never learnt: nothing to say of them
    assert found.unknown is not None
    assert found.unknown.score == 0
    assert measure_use(np.arange(ROWS), subject, z, **parts(subject)).measure == "R2"


def test_an_attribute_without_two_values_or_with_gaps_is_refused() -> None:
    subject = np.arange(4)
    with pytest.raises(DomainError, match="use 'side' has the same value everywhere"):
        check_uses({"side": np.array(["left"] * 4)}, subject)
    with pytest.raises(RecordsError, match="use 'pulse' needs one value a row, none of them missing"):
        check_uses({"pulse": np.array([1.0, np.nan, 2.0, 3.0])}, subject)
    with pytest.raises(ValueError, match="use pulse"):
        check_uses({"pulse": np.ones(3)}, subject)


def test_nobody_is_a_stranger_where_too_few_people_would_be_left() -> None:
    z, subject, side, _ = world(telling=4.0)
    subject, learn = subject % 3, np.arange(ROWS) < 400
    for most, has_strangers in ((1, True), (2, False)):
        found = measure_uses(
            {"side": side}, subject, {"features": z, "softmax": None}, learn=learn, strange=subject < most,
            trial=np.arange(ROWS) // 20,
        )  # fmt: skip
        assert set(found["side"]) == {"features"}
        assert (found["side"]["features"].unknown is not None) == has_strangers
        assert found["side"]["features"].known.score > 0.9


def test_codes_in_floats_are_classes_and_gaps_are_refused() -> None:
    assert not is_measurement(np.array([1.0, 2.0, 1.0]))
    assert is_measurement(np.array([1.0, 2.5, 1.0]))
    with pytest.raises(RecordsError, match="missing values"):
        per_window([{"worn": "left"}, {"worn": None}], [np.array([0]), np.array([0])], window=1)


def test_one_recording_has_no_interval_and_nothing_held_out_is_refused() -> None:
    use, who = np.array([0, 1] * 10), np.repeat([0, 1], 10)
    z = use[:, None] + np.random.default_rng(0).normal(0, 0.1, (20, 2))
    learn = np.arange(20) < 16
    rows = {"learn": learn, "unknown": np.zeros(20, dtype=bool), "trial": np.where(learn, 0, 1)}
    found = measure_use(use, who, z, known=~learn, **rows).known
    assert found.score == 1.0
    assert np.isnan([found.lower, found.upper]).all()
    with pytest.raises(RecordsError, match="hold some out"):
        measure_use(use, who, z, known=np.zeros(20, dtype=bool), **rows)
