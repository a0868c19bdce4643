from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from keshi.censoring import window_noise
from keshi.censoring.censor import Censor
from keshi.censoring.training import Schedule
from keshi.errors import DomainError

TINY = Schedule(
    pretrain_epochs=1, pretrain_rate=1e-3, rounds=1, iterations=3, batch_size=16, encoder_rate=1e-3
)


# These compare two fits, and every fit of a robust encoder has noise of its own from the operating system, which no
# seed repeats: with the same noise in two encoders the difference of their features would be free of it. One encoder
# gives the same whenever it is asked. The tag non_deterministic says so, by which other checks skip themselves.
REASON = "every fit of a robust encoder has noise of its own"
EXCEPTIONS = dict.fromkeys(
    ("check_fit_idempotent", "check_classifier_data_not_an_array", "check_supervised_y_2d"), REASON
)


def windows(n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2, 12)).astype(np.float32), np.arange(n) % 2, np.arange(n) // 2 % 3


@pytest.mark.parametrize("robust", [{}, {"noise": 0.3, "shared": 1.0}], ids=["plain", "robust"])
def test_scikit_learn_finds_no_fault(robust: dict[str, float]) -> None:
    """Its checks pass no person, so they are of the method that needs none. EXCEPTIONS are all that is declared."""
    schedule = Schedule(
        pretrain_epochs=12, pretrain_rate=1e-2, batch_size=32, rounds=0, dropout=0.0, **robust
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            Censor("cnn", preset=schedule, features=8),
            on_fail=None,
            on_skip=None,
            expected_failed_checks=EXCEPTIONS if robust else {},
        )
    assert len(results) > 50
    found = {r["check_name"]: r["status"] for r in results if r["status"] not in ("passed", "skipped")}
    assert set(found.values()) <= {"xfail"}
    assert ("check_fit_idempotent" in found) == bool(robust)


@pytest.mark.parametrize("check", EXCEPTIONS)
def test_the_key_of_the_noise_is_the_only_reason_for_an_exception(
    check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_noise.secrets, "token_bytes", bytes)
    schedule = Schedule(pretrain_epochs=1, batch_size=32, rounds=0, dropout=0.0, noise=0.3, shared=1.0)
    censor = Censor("cnn", preset=schedule, features=8)
    assert censor.__sklearn_tags__().non_deterministic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, check)("Censor", censor)


def test_options_are_cloned_and_set_and_the_clone_is_not_fitted() -> None:
    x, y, s = windows()
    censor = Censor("lsm", strength=0.5, preset=TINY, features=4, pairs="natural").fit(x, y, subject=s)
    copy = clone(censor).set_params(strength=2.0)
    assert (copy.method, copy.strength, copy.pairs) == ("lsm", 2.0, "natural")
    with pytest.raises(SklearnNotFittedError, match="not fitted yet"):
        copy.predict(x)
    np.testing.assert_array_equal(clone(censor).fit(x, y, subject=s).transform(x), censor.transform(x))
    np.testing.assert_array_equal(censor.classes_, [0, 1])
    assert 0 <= censor.score(x, y) <= 1


def test_features_come_as_a_table_where_asked_for() -> None:
    x, y, s = windows()
    censor = Censor("sct", preset=TINY, features=4).set_output(transform="pandas")
    table = censor.fit_transform(x, y, subject=s)
    assert table.columns.tolist() == ["censor0", "censor1", "censor2", "censor3"]
    np.testing.assert_array_equal(table.to_numpy(), censor.encoder_.transform(x))


def test_rows_of_a_table_are_censored_as_windows_are() -> None:
    x, y, s = windows()
    flat = x.reshape(len(x), -1)
    censor = Censor("sct", preset=TINY, features=4).fit(flat, y, subject=s)
    assert censor.transform(flat).shape == (60, 4)
    assert censor.n_features_in_ == 24
    pd = pytest.importorskip("pandas")
    named = Censor("cnn", preset=TINY, features=4).fit(pd.DataFrame(flat).add_prefix("c"), y)
    assert hasattr(named, "feature_names_in_")
    assert not hasattr(named.fit(x, y), "feature_names_in_")


def test_people_are_needed_to_be_erased() -> None:
    x, y, s = windows()
    with pytest.raises(DomainError, match="method sct needs subject=, the person of every window"):
        Censor("sct", preset=TINY).fit(x, y)
    for nobody in ({}, {"person": None}, {"person": s, "age": None}):  # would hide nothing, or not all
        with pytest.raises(DomainError, match="method sct needs subject="):
            Censor("sct", preset=TINY).fit(x, y, subject=nobody)
    with pytest.raises(DomainError, match="age has only one value"):
        Censor("sct", preset=TINY).fit(x, y, subject={"person": s, "age": np.full(60, 30)})


def test_several_attributes_are_erased_at_once_measurements_among_them() -> None:
    pd = pytest.importorskip("pandas")
    x, y, s = windows()
    height = 150 + np.random.default_rng(1).uniform(0, 50, size=60)
    attributes = {"person": s, "height": height}
    censor = Censor("sct", preset=TINY, features=4).fit(x, y, subject=attributes)
    # Two pair games: their uninformed losses add up.
    assert censor.curve_[0].adversary_uninformed == pytest.approx(2 * np.log(2))
    table = Censor("sct", preset=TINY, features=4).fit(x, y, subject=pd.DataFrame(attributes))
    np.testing.assert_array_equal(table.transform(x), censor.transform(x))
    alone = Censor("sct", preset=TINY, features=4).fit(x, y, subject=s)
    assert not np.array_equal(alone.transform(x), censor.transform(x))
