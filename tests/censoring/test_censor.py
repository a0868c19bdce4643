from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from keshi.auditing.identification import identify
from keshi.censoring import window_noise
from keshi.censoring.censor import Censor
from keshi.censoring.encoded import CensoredEncoder
from keshi.censoring.schedules import SCHEDULES, Schedule
from keshi.errors import ArtifactError, DomainError, NotFittedError, RecordsError

TINY = Schedule(
    pretrain_epochs=2, pretrain_rate=1e-3, rounds=2, iterations=5, batch_size=32, encoder_rate=1e-3
)


def simulated_people(
    n: int = 240, *, people: int = 4, length: int = 12, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows (n, 2, length), label, person: channel 0 swings slowly or fast, channel 1 has an offset."""
    rng = np.random.default_rng(seed)
    y, s = np.arange(n) % 2, np.arange(n) // 2 % people
    time = np.arange(length)
    x = rng.normal(size=(n, 2, length)) * 0.3
    x[:, 0] += np.sin((1 + y[:, None]) * 0.8 * time + rng.uniform(0, 6, size=(n, 1)))
    x[:, 1] += s[:, None] * 2.0
    return x.astype(np.float32), np.array(["slow", "fast"])[y], s + 1


def tiny(method: str = "sct", **options: object) -> Censor:
    return Censor(method, preset=TINY, features=16, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "method", ["maxent", "cnn", "afl-mlp", "afl-dnn", "afl-grl", "sct", "scl", "lsm", "hsic"]
)
def test_every_method_fits_transforms_predicts_and_comes_back_from_disk(method: str, tmp_path: Path) -> None:
    x, y, s = simulated_people(80)
    censor = tiny(method).fit(x, y, subject=s)
    assert censor.transform(x).shape == (80, 16)
    assert censor.transform(x).dtype == np.float32
    assert set(censor.predict(x).tolist()) <= {"slow", "fast"}
    assert len(censor.curve_) == (0 if method == "cnn" else 2)
    censor.save(tmp_path / "encoder")
    loaded = Censor.load(tmp_path / "encoder")
    np.testing.assert_array_equal(loaded.transform(x), censor.transform(x))
    np.testing.assert_array_equal(loaded.predict(x), censor.predict(x))
    assert (loaded.method, loaded.strength) == (censor.encoder_.settings["method"], 1.0)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    x, y, s = simulated_people(80)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(name) + seed)  # the global state must not matter
        tiny(seed=seed).fit(x, y, subject=s).save(tmp_path / name)
    a, b, c = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in "abc")
    assert a == b != c
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_starting_from_a_pretrained_encoder_gives_the_same_bytes_as_training_it_here() -> None:
    x, y, s = simulated_people(80)
    whole = tiny().fit(x, y, subject=s)
    started = tiny().fit(x, y, subject=s, start=whole.pretrained_)
    np.testing.assert_array_equal(whole.transform(x), started.transform(x))
    assert not np.array_equal(whole.transform(x), whole.pretrained_.transform(x))


@pytest.mark.parametrize(
    ("method", "killed_in"), [("sct", 1), ("sct", 2), ("sct", 3), ("maxent", 2), ("hsic", 2)]
)
def test_a_training_that_is_killed_goes_on_to_the_same_bytes(
    method: str, killed_in: int, tmp_path: Path
) -> None:
    x, y, s = simulated_people(80)
    noise = {"noise": 0.5, "decay": True, "shared": 1.0} if method == "maxent" else {}
    options = {"preset": replace(TINY, rounds=3, **noise), "features": 16}
    whole = Censor(method, **options).fit(x, y, subject=s)  # type: ignore[arg-type]

    keys: dict[int, set[bytes]] = {}

    def kill(number: int, encoder: CensoredEncoder) -> dict[str, float]:
        keys.setdefault(number, set()).add(encoder.noise_key)
        if number == killed_in:
            raise KeyboardInterrupt
        return {}

    def see(number: int, encoder: CensoredEncoder) -> dict[str, float]:
        seen.append(number)
        keys.setdefault(number, set()).add(encoder.noise_key)
        return {}

    with pytest.raises(KeyboardInterrupt):
        Censor(method, **options).fit(x, y, subject=s, checkpoint=tmp_path / "c", on_round=kill)  # type: ignore[arg-type]
    seen: list[int] = []
    again = Censor(method, **options).fit(  # type: ignore[arg-type]
        x, y, subject=s, checkpoint=tmp_path / "c", on_round=see,
        progress=lambda line: pytest.fail("trained again for the label") if "epoch" in line else None,
    )  # fmt: skip
    assert seen == list(range(killed_in, 4))  # only the round that was cut short is done again
    for name in ("encoder_", "pretrained_"):
        resumed, uninterrupted = getattr(again, name), getattr(whole, name)
        np.testing.assert_array_equal(resumed.without_noise(x), uninterrupted.without_noise(x))
    assert [len(keys[number]) for number in (1, 2, 3)] == [1, 1, 1]  # the noise goes on as well
    assert keys[3] == {again.encoder_.noise_key}
    assert [r.label_loss for r in again.curve_] == [r.label_loss for r in whole.curve_]


@pytest.mark.parametrize("method", ["cnn", "maxent"])
def test_a_training_for_the_label_that_is_killed_goes_on_after_its_last_epoch_to_the_same_bytes(
    method: str, tmp_path: Path
) -> None:
    x, y, s = simulated_people(80)
    more = {"noise": 0.5, "shared": 1.0} if method == "maxent" else {}
    censor = Censor(method, preset=replace(TINY, pretrain_epochs=4, dropout=0.5, **more), features=16)  # type: ignore[arg-type]
    whole = censor.fit(x, y, subject=s).encoder_
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        if "epoch 2 of 4" in line or "epoch 3 of 4" in line:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            censor.fit(x, y, subject=s, checkpoint=tmp_path / "c", progress=kill)
    censor.fit(x, y, subject=s, checkpoint=tmp_path / "c", progress=kill)
    epochs = [line[:26] for line in said if line.startswith("label")]
    assert epochs == [f"label training, epoch {number} of"[:26] for number in (1, 2, 3, 4)]
    assert "going on from the checkpoint: 3 of 4 epochs are done" in said
    np.testing.assert_array_equal(censor.encoder_.without_noise(x), whole.without_noise(x))
    assert not (tmp_path / "c" / "epochs.safetensors").exists()  # the network itself stands there by then


def test_a_checkpoint_of_other_options_or_data_is_refused(tmp_path: Path) -> None:
    x, y, s = simulated_people(80)
    tiny().fit(x, y, subject=s, checkpoint=tmp_path / "c")
    for other, data in ((tiny(strength=0.5), x), (tiny(), x + np.float32(1))):
        with pytest.raises(ArtifactError, match="other options or other data"):
            other.fit(data, y, subject=s, checkpoint=tmp_path / "c")
    (tmp_path / "c" / "rounds.safetensors").write_bytes(b"half a file")
    with pytest.raises(ArtifactError, match=r"rounds\.safetensors"):
        tiny().fit(x, y, subject=s, checkpoint=tmp_path / "c")


def test_no_rounds_leave_the_plain_network() -> None:
    x, y, s = simulated_people(80)
    censor = tiny(rounds=0).fit(x, y, subject=s)
    np.testing.assert_array_equal(censor.transform(x), censor.pretrained_.transform(x))


def test_the_saved_folder_names_no_person_and_counts_nobody(tmp_path: Path) -> None:
    x, y, s = simulated_people(80)
    names = np.array(["", "Ann-7731", "Bob-7731", "Cyd-7731", "Dee-7731"])[s]
    tiny().fit(x, y, subject=names).save(tmp_path / "encoder")
    everything = b"".join(file.read_bytes() for file in (tmp_path / "encoder").iterdir())
    assert b"7731" not in everything
    assert b"slow" in everything
    assert b"No worst-case guarantee" in everything


def test_rounds_are_measured_on_frozen_copies() -> None:
    x, y, s = simulated_people(80)
    seen = []
    censor = tiny().fit(
        x, y, subject=s, on_round=lambda number, encoder: seen.append(encoder) or {"n": float(number)}
    )
    assert [r.measures for r in censor.curve_] == [{"n": 1.0}, {"n": 2.0}]
    np.testing.assert_array_equal(seen[1].transform(x), censor.transform(x))
    assert not np.array_equal(seen[0].transform(x), censor.transform(x))


def test_the_attacker_succeeds_before_censoring_and_is_set_back_beyond_the_control_after() -> None:
    x, y, s = simulated_people(1000, seed=1)
    train, test = slice(0, 450), slice(450, 1000)
    schedule = Schedule(
        pretrain_epochs=6, pretrain_rate=1e-3, rounds=5, iterations=40, batch_size=64,
        encoder_rate=1e-3, adversary_rate=1e-3, dropout=0.0,
    )  # fmt: skip
    options = {"preset": schedule, "features": 32, "target": "prior"}
    censored = Censor("afl-mlp", strength=1.0, **options)  # type: ignore[arg-type]
    censored.fit(x[train], y[train], subject=s[train])
    control = Censor("afl-mlp", strength=0.0, **options)  # type: ignore[arg-type]
    control.fit(x[train], y[train], subject=s[train], start=censored.pretrained_)

    def attack(encoder: CensoredEncoder) -> float:
        z = encoder.transform(x)
        return identify(z[train], s[train], z[test], s[test], hidden=(64,), max_epochs=5).accuracy

    before, continued, after = map(attack, (censored.pretrained_, control.encoder_, censored.encoder_))
    # Four people, blind guess 1/4; 550 held-out windows, standard error 0.02.
    assert before > 0.55
    assert after < before - 0.2
    assert after < continued - 0.06
    assert (censored.predict(x[test]) == y[test]).mean() > 0.9


def test_errors_before_and_during_fit_say_what_was_expected() -> None:
    x, y, s = simulated_people(40)
    with pytest.raises(NotFittedError, match=r"not fitted yet; call fit"):
        tiny().transform(x)
    with pytest.raises(DomainError, match=r"y has only one value \(a\) in 40 windows.*something to keep"):
        tiny().fit(x, np.full(40, "a"), subject=s)
    with pytest.raises(DomainError, match=r"subject has only one value \(3\).*something to erase"):
        tiny().fit(x, y, subject=np.full(40, 3))
    with pytest.raises(RecordsError, match=r"must be windows \(n, channels, length\).*\(40, 2, 3, 4\)"):
        tiny().fit(x.reshape(40, 2, 3, 4), y, subject=s)
    with pytest.raises(RecordsError, match="missing or infinite"):
        tiny().fit(x * np.nan, y, subject=s)
    with pytest.raises(ValueError, match="same length: x has 40, y has 39"):
        tiny().fit(x, y[1:], subject=s)
    with pytest.raises(DomainError, match="at least 8 samples, got 5"):
        tiny().fit(x[:, :, :5], y, subject=s)
    with pytest.raises(DomainError, match=r"start= has length 12, these windows need 10"):
        tiny().fit(x[:, :, :10], y, subject=s, start=tiny(rounds=0).fit(x, y, subject=s).pretrained_)


def test_options_are_checked_before_any_data() -> None:
    with pytest.raises(ValueError, match="strength must be a finite number of at least 0, got -1"):
        Censor(strength=-1).check()
    with pytest.raises(
        ValueError, match="preset must be one of robust, paper, quick, robust-quick; got 'best'"
    ):
        Censor(preset="best").check()
    with pytest.raises(ValueError, match="rounds must be a whole number of at least 0, got -1"):
        Censor(rounds=-1).check()
    with pytest.raises(ValueError, match="method afl-dnn takes target; got pairs, reduction"):
        Censor("afl-dnn", pairs="cells", reduction="mean").check()
    with pytest.raises(ValueError, match="method cnn takes no options; got target"):
        Censor("cnn", target="prior").check()
    assert Censor("scl").check().method == "scl"  # as scikit-learn asks: an option stays as it was given
    assert Censor("sct").schedule == Censor(preset="paper").schedule == Schedule()
    assert Censor().schedule == SCHEDULES["robust"]
    assert (Censor().game_name, Censor(preset="quick").game_name) == ("maxent", "sct")
    assert Censor(preset=replace(TINY, rounds=9)).schedule.rounds == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 .*got -1"),
        ({"seed": 1.5}, r"seed must be a whole number from 0 .*got 1\.5"),
        ({"features": 0}, "features must be a whole number of at least 1, got 0"),
        ({"features": 1.5}, r"features must be a whole number of at least 1, got 1\.5"),
        ({"threads": 0}, "threads must be a whole number of at least 1, got 0"),
        ({"rounds": 1.5}, r"rounds must be a whole number of at least 0, got 1\.5"),
        ({"rounds": -3}, "rounds must be a whole number of at least 0, got -3"),
        ({"strength": "1"}, "strength must be a finite number of at least 0, got '1'"),
        ({"strength": None}, "strength must be a finite number of at least 0, got None"),
        ({"strength": float("nan")}, "strength must be a finite number of at least 0, got nan"),
        ({"preset": 3}, "preset must be one of robust, paper, quick, robust-quick; got 3"),
        ({"guard": 1}, "guard must be True or False, got 1"),
        ({"target": "up"}, "target must be one of flip, prior; got 'up'"),
        ({"pairs": "all"}, "pairs must be one of balanced, .*; got 'all'"),
        ({"reduction": "max"}, "reduction must be one of sum, mean; got 'max'"),
    ],
)
def test_every_wrong_option_is_named_with_its_value_before_any_data(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Censor(**options).check()
    x, y, s = simulated_people(40)
    with pytest.raises(ValueError, match=message):
        Censor(**options).fit(x, y, subject=s)


def test_the_settings_hold_every_option_and_a_loaded_censor_trains_the_same_encoder(tmp_path: Path) -> None:
    x, y, s = simulated_people(80)
    first = tiny(strength=0.5, seed=7, guard=False, pairs="natural", rounds=1).fit(x, y, subject=s)
    assert first.encoder_.settings["guard"] is False
    assert tiny().fit(x, y, subject=s).encoder_.settings["guard"] is True
    first.save(tmp_path / "encoder")
    loaded = Censor.load(tmp_path / "encoder")
    for name in (
        "method", "strength", "schedule", "seed", "features", "threads", "guard", "game_options",
    ):  # fmt: skip
        assert getattr(loaded, name) == getattr(first, name), name
    assert loaded.schedule == replace(TINY, rounds=1, features=16)
    before = first.transform(x)
    np.testing.assert_array_equal(loaded.fit(x, y, subject=s).transform(x), before)


def test_the_plain_network_of_a_run_can_be_saved_and_loaded(tmp_path: Path) -> None:
    x, y, s = simulated_people(80)
    plain = tiny(pairs="natural", rounds=0).fit(x, y, subject=s).pretrained_
    plain.save(tmp_path / "plain")
    assert Censor.load(tmp_path / "plain").method == "cnn"


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": {"rounds": -1}},
        {"schedule": 3},
        {"seed": "x"},
        {"options": {"hue": 1}},
        {"method": "gan"},
    ],
)
def test_settings_of_no_censor_are_refused_when_loaded(tmp_path: Path, training: dict) -> None:
    x, y, s = simulated_people(40)
    plain = tiny("cnn").fit(x, y, subject=s).encoder_
    replace(plain, settings=training).save(tmp_path / "bad")
    with pytest.raises(ArtifactError, match="bad was saved with options that no Censor has"):
        Censor.load(tmp_path / "bad")


NONE_FIRST = [None] + ["a", "b"] * 19 + ["a"]
NAN_FIRST = [float("nan")] + ["a", "b"] * 19 + ["a"]
DAYS = np.array(["2024-01-01", "2024-01-02"] * 20, dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (NONE_FIRST, "missing label: y has 1 missing values in 40 windows, the first at 0"),
        (NAN_FIRST, "missing label: y has 1 missing values"),
        (np.array(NONE_FIRST, dtype=object), "missing label"),
        (np.where(np.arange(40) == 3, np.nan, np.arange(40) % 2), "missing label: .*the first at 3"),
        (["a", 1] * 20, "y mixes number and text; every label must be of one type"),
        (
            np.array([["a", "b"]] * 40),
            r"y must be one label per window \(n,\), got an array of shape \(40, 2\)",
        ),
        ([[1, 2]] * 40, "y must be one label per window .*got a list for each"),
        (None, "fit requires y to be passed, but the target y is None"),
        (np.linspace(0, 1, 40), "labels must be classes, but y holds 40 different numbers in 40 windows"),
        (np.array([0, np.inf] * 20), "y has infinite values"),
        (DAYS, r"labels must be text, whole numbers or truth values.*y holds datetime64\[D\].*into text"),
        (DAYS.astype(object), "labels must be text, .*y holds date"),
        (np.array([b"a", b"b"] * 20), "labels must be text"),
        (np.array([1j, 2] * 20), "labels must be text"),
        (["a", "\ud800"] * 20, "labels must be such that they can be saved"),
    ],
)
def test_labels_that_are_no_labels_are_refused_before_training(y: object, message: str) -> None:
    x, _, s = simulated_people(40)
    with pytest.raises(DomainError, match=message):
        tiny().fit(x, y, subject=s, progress=lambda line: pytest.fail("training began"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (NONE_FIRST, "missing subject: subject has 1 missing values in 40 windows, the first at 0"),
        (NAN_FIRST, "missing subject"),
        (["a", 1] * 20, "subject mixes number and text"),
        (np.ones((40, 2)), r"subject must be one subject per window .*\(40, 2\)"),
        (np.ma.masked_equal(np.arange(40) % 4, 1), "missing subject: .* 10 missing values .* the first at 1"),
    ],
)
def test_people_who_are_nobody_are_refused(subject: object, message: str) -> None:
    x, y, _ = simulated_people(40)
    with pytest.raises(DomainError, match=message):
        tiny().fit(x, y, subject=subject)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "subject"),
    [("maxent", np.arange(40) % 2), ("sct", np.arange(40)), ("lsm", np.arange(40))],
    ids=["of one label each", "of one window each, sct", "of one window each, lsm"],
)
def test_people_of_whom_an_adversary_could_learn_nothing_are_refused_before_the_training(
    method: str, subject: np.ndarray
) -> None:
    x, y, _ = simulated_people(40)
    with pytest.raises(DomainError, match="nothing to erase beside the label in these 40 windows"):
        tiny(method).fit(x, y, subject=subject, progress=pytest.fail)


def test_windows_that_are_no_numbers_or_too_large_are_refused_in_fit() -> None:
    x, y, s = simulated_people(40)
    for wrong, dtype in ((x.astype(str), "<U32"), (x.astype(object), "object"), (x + 1j, "complex64")):
        with pytest.raises(RecordsError, match=f"x must be windows of real numbers .*array of {dtype}"):
            tiny().fit(wrong, y, subject=s)
    with pytest.raises(RecordsError, match=r"got an array of shape \(40, 0, 12\)"):
        tiny().fit(x[:, :0], y, subject=s)
    with pytest.raises(RecordsError, match="it is masked"):
        tiny().fit(np.ma.masked_greater(x, 1.0), y, subject=s)
    with pytest.raises(RecordsError, match="x must be windows of one length"):
        tiny().fit([[[1.0, 2.0]], [[1.0]]], y, subject=s)  # type: ignore[arg-type]
    for scale in (1e300, 1e308):
        with pytest.raises(
            RecordsError,
            match=rf"too large for single precision \(the largest is {scale:.3g}".replace("+", r"\+"),
        ):
            tiny().fit(np.sign(x).astype(np.float64) * scale, y, subject=s)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float64", "bool", "<U4"])
def test_labels_come_back_in_the_type_they_had(dtype: str, tmp_path: Path) -> None:
    x, y, s = simulated_people(40)
    labels = y if dtype == "<U4" else (y == "fast").astype(dtype)
    censor = tiny("cnn").fit(x, labels, subject=s)
    censor.save(tmp_path / "encoder")
    for encoder in (censor, Censor.load(tmp_path / "encoder")):
        assert encoder.predict(x).dtype == labels.dtype
        assert set(encoder.predict(x).tolist()) <= set(labels.tolist())


def test_labels_may_come_as_lists_and_pandas_columns() -> None:
    pd = pytest.importorskip("pandas")
    x, y, s = simulated_people(40)
    expected = tiny("cnn").fit(x, y, subject=s).predict(x)
    for column in (y.tolist(), pd.Series(y), pd.Series(y, dtype="category"), y.astype(object)):
        fitted = tiny("cnn").fit(x, column, subject=s.tolist())
        np.testing.assert_array_equal(fitted.predict(x), expected)


def test_the_paper_preset_is_the_schedule_of_the_paper() -> None:
    paper = Censor("sct").schedule
    assert (paper.rounds, paper.iterations * paper.batch_size, paper.batch_size) == (30, 200_000, 100)
    assert (paper.pretrain_rate, paper.encoder_rate, paper.adversary_rate) == (1e-4, 2.5e-5, 2.5e-5)


NOISY = replace(TINY, noise=0.5, shared=1.0, features=16)
ROBUST = replace(
    SCHEDULES["robust"], pretrain_epochs=4, pretrain_rate=3e-3, rounds=2, iterations=30, batch_size=64
)


def test_the_robust_release_has_noise_that_belongs_to_the_window_and_comes_back_from_disk(
    tmp_path: Path,
) -> None:
    x, y, s = simulated_people(80)
    censor = Censor(preset=NOISY).fit(x, y, subject=s)
    z = censor.transform(x)
    np.testing.assert_allclose(z[5:9], censor.transform(x[5:9].astype(np.float64)), atol=1e-5)
    clean = censor.encoder_.without_noise(x)
    np.testing.assert_allclose(clean.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose((clean**2).mean(axis=1), 1, atol=1e-2)
    np.testing.assert_allclose(z - clean, 0.5 * censor.encoder_.drawn_noise(x), atol=1e-6)
    np.testing.assert_array_equal(censor.predict(x), censor.encoder_.predict_from_features(z))
    censor.save(tmp_path / "robust")
    loaded = Censor.load(tmp_path / "robust")
    np.testing.assert_array_equal(loaded.transform(x), z)
    assert loaded.schedule == censor.schedule
    assert loaded.encoder_.noise_key == censor.encoder_.noise_key
    assert censor.encoder_.noise_key.hex() not in (tmp_path / "robust" / "manifest.json").read_text()


@pytest.mark.real_noise
def test_trainings_with_one_seed_agree_in_everything_but_the_noise() -> None:
    """Each has a key of its own, so no difference of two encoders' features is free of noise."""
    x, y, s = simulated_people(80)
    rounds: list[CensoredEncoder] = []
    for _ in range(2):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        one = Censor(preset=NOISY).fit(x, y, subject=s, on_round=lambda number, e: rounds.append(e) or {})
        rounds.append(one.pretrained_)
    first, _, begin, again, *_ = rounds
    assert len({encoder.noise_key for encoder in rounds}) == 6  # two rounds and what was before them, twice
    np.testing.assert_array_equal(first.without_noise(x), again.without_noise(x))
    for one, other in ((first, again), (first, begin)):
        apart = one.drawn_noise(x) - other.drawn_noise(x)
        # 1,280 differences of independent standard normal numbers: standard error 0.03
        assert apart.std() == pytest.approx(np.sqrt(2), abs=0.15)


@pytest.mark.real_noise
def test_the_key_of_the_noise_is_what_the_operating_system_gave_whatever_the_seed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    x, y, s = simulated_people(80)
    begin = Censor(preset=replace(NOISY, rounds=0)).fit(x, y, subject=s).encoder_
    keys, source = {}, window_noise.secrets
    for number, given in enumerate((b"a", b"b")):
        for seed in (0, 1):
            folder = None if seed else tmp_path / str(number)
            monkeypatch.setattr(source, "token_bytes", lambda size, given=given: given * size)
            censor = Censor(preset=replace(NOISY, rounds=1), seed=seed)
            censor.fit(x, y, subject=s, start=begin, checkpoint=folder)
            keys[given, seed] = censor.encoder_.noise_key
    assert keys[b"a", 0] == keys[b"a", 1] == window_noise.key_of_round(b"a" * 16, 1)
    assert keys[b"b", 0] == keys[b"b", 1] == window_noise.key_of_round(b"b" * 16, 1)
    monkeypatch.setattr(source, "token_bytes", lambda size: pytest.fail("drawn again"))
    resumed = Censor(preset=replace(NOISY, rounds=1)).fit(
        x, y, subject=s, start=begin, checkpoint=tmp_path / "0"
    )
    assert resumed.encoder_.noise_key == keys[b"a", 0]
    with pytest.raises(ArtifactError, match=r"noise_key\.json was saved by a training with other options"):
        Censor(preset=replace(NOISY, rounds=1), seed=5).fit(
            x, y, subject=s, start=begin, checkpoint=tmp_path / "0"
        )
    (tmp_path / "0" / "noise_key.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"noise_key\.json is no key of a noise"):
        Censor(preset=replace(NOISY, rounds=1)).fit(x, y, subject=s, start=begin, checkpoint=tmp_path / "0")


def test_the_robust_preset_keeps_the_label_and_hides_people_from_a_fresh_attacker() -> None:
    x, y, s = simulated_people(400)
    known, held = simulated_people(400, seed=1), simulated_people(200, seed=2)
    leak = {}
    for name, censor in (
        ("robust", Censor(preset=ROBUST)),
        ("plain", Censor("maxent", strength=0.0, preset=replace(ROBUST, noise=0.0, features=100))),
    ):
        censor.fit(x, y, subject=s)
        z, z_held = censor.transform(known[0]), censor.transform(held[0])
        leak[name] = identify(z, known[2], z_held, held[2], hidden=(32,), max_epochs=4).accuracy
        assert censor.score(held[0], held[1]) > 0.9
    assert leak["plain"] > 0.5  # the person is an offset of one channel; guessing is 0.25
    assert leak["robust"] < 0.4


def test_one_feature_cannot_carry_noise() -> None:
    with pytest.raises(ValueError, match="features must be at least 2 where they get noise"):
        Censor(features=1).check()
