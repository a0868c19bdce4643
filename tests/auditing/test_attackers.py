from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from keshi.auditing.attackers import (
    ATTACKERS,
    attack_all,
    boosted_trees,
    naming_task,
    noise_aware,
    perceptron,
    score,
    sensor_offset,
    worst,
)
from keshi.auditing.identification import identify
from keshi.errors import DomainError

SMALL = {
    **ATTACKERS,
    "linear": partial(perceptron, hidden=(), max_epochs=3),
    "800-200": partial(perceptron, hidden=(16,), max_epochs=3),
    "boosted trees": partial(boosted_trees, rounds=10),
}


def people(n: int = 600, *, told: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, 6) and person: the person is told by where a row lies in two of the six dimensions."""
    rng = np.random.default_rng(seed)
    person = np.arange(n) % 4
    z = rng.normal(size=(n, 6))
    z[:, 0] += told * np.cos(person * np.pi / 2)
    z[:, 1] += told * np.sin(person * np.pi / 2)
    return z, person


def test_every_attacker_finds_people_who_are_there_and_none_finds_them_where_they_are_not() -> None:
    for told, expected in ((3.0, 0.9), (0.0, 0.25)):
        (z, s), (z_test, s_test) = people(told=told), people(400, told=told, seed=1)
        found = attack_all(naming_task(z, s, z_test, s_test), attackers=SMALL, offset_train=z[:, :2])
        assert set(found) == {*SMALL, "sensor offset"}
        for name, one in found.items():
            # 400 rows: standard error 0.022
            assert abs(one.accuracy - expected) < 0.09, (name, told)
            assert one.lower <= one.accuracy <= one.upper
            # one neighbour names with certainty, so being wrong once costs all its bits
            assert (one.bits > 0.4) == (told > 0 and name != "1 nearest"), name
        assert worst(found)[1].accuracy == max(one.accuracy for one in found.values())


def test_the_perceptron_and_its_score_are_those_of_identify() -> None:
    (z, s), (z_test, s_test) = people(told=1.0), people(200, told=1.0, seed=1)
    trial = np.arange(200) // 10 * 4 + s_test
    expected = identify(z, s, z_test, s_test, trial_test=trial, hidden=(8,), max_epochs=2, seed=3)
    log_p = perceptron(naming_task(z, s, z_test, s_test), hidden=(8,), max_epochs=2, seed=3)
    found = score(log_p, s_test, trial=trial, seed=3)
    for name in ("accuracy", "lower", "upper", "trial_accuracy", "bits"):
        assert getattr(found, name) == getattr(expected, name), name


def test_the_sensor_offset_attacker_reads_a_person_out_of_a_hidden_offset() -> None:
    rng = np.random.default_rng(0)
    s, s_test = np.arange(800) % 5, np.arange(300) % 5
    device = rng.normal(size=(5, 3))  # every person wore one device
    mix = rng.normal(size=(3, 10))  # the encoder hides the offsets among other things

    def released(person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offset = device[person] + 0.1 * rng.normal(size=(len(person), 3))
        return offset @ mix + 0.1 * rng.normal(size=(len(person), 10)), offset

    z, offset = released(s)
    task = naming_task(z, s, released(s_test)[0], s_test)
    accuracy = (sensor_offset(task, offset_train=offset).argmax(axis=1) == s_test).mean()
    assert accuracy > 0.9
    shuffled = sensor_offset(task, offset_train=rng.permutation(offset)).argmax(axis=1)
    assert (shuffled == s_test).mean() < accuracy - 0.1


def test_people_who_are_in_the_test_only_are_refused() -> None:
    z, s = people(40)
    with pytest.raises(DomainError, match="nobody in the test who is not in training"):
        naming_task(z[s < 3], s[s < 3], z, s)


def test_the_noise_aware_attacker_is_bayes_rule_written_out_and_beats_none_who_know_more() -> None:
    (clean, s), (hidden, s_test) = people(300, told=3.0), people(120, told=3.0, seed=1)
    noisy = hidden + 0.7 * np.random.default_rng(5).normal(size=hidden.shape)
    task = naming_task(clean, s, noisy, s_test)
    log_p = noise_aware(task, clean_train=clean, noisy_test=noisy, noise=0.7)
    density = np.exp(-((noisy[:, None] - clean[None]) ** 2).sum(axis=2) / (2 * 0.7**2))
    joint = np.stack([density[:, s == person].sum(axis=1) for person in range(4)], axis=1)
    np.testing.assert_allclose(np.exp(log_p), joint / joint.sum(axis=1, keepdims=True), atol=2e-6)
    assert score(log_p, s_test).accuracy > 0.8
