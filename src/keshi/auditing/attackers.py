"""A suite of fresh attackers that name the person from features: each a function from arrays to log-probabilities.

The worst one counts. Every attacker is trained here on what a system releases; none has met the training. Features are
standardised with training statistics first. torch and scikit-learn are imported inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from keshi._validate import same_length
from keshi.auditing.identification import HIDDEN, _fresh_perceptron, _standardised, trial_interval
from keshi.errors import DomainError

NEIGHBOURS = (1, 5, 15)
MOST_NEIGHBOUR_ROWS = 30_000  # of training, drawn at random: the cost grows with their number
MOST_TREE_ROWS = 20_000
SMALLEST = 1e-6  # probability given to a person whom neighbours or trees think impossible


@dataclass(frozen=True, eq=False)
class Task:
    """Standardised features of training and test (n, features), and people as codes from 0."""

    z_train: np.ndarray
    code_train: np.ndarray
    z_test: np.ndarray
    code_test: np.ndarray
    classes: int


Attacker = Callable[..., np.ndarray]


def naming_task(
    z_train: np.ndarray, subject_train: np.ndarray, z_test: np.ndarray, subject_test: np.ndarray
) -> Task:
    """The task of naming everybody in training; people who are in the test only are refused."""
    same_length(z_train=z_train, subject_train=subject_train)
    same_length(z_test=z_test, subject_test=subject_test)
    people, code_train = np.unique(subject_train, return_inverse=True)
    code_test = np.minimum(np.searchsorted(people, subject_test), len(people) - 1)
    if len(people) < 2 or len(subject_test) == 0 or (people[code_test] != subject_test).any():
        raise DomainError(
            "naming the person needs at least 2 people in training, a held-out row, and nobody in the test who is "
            f"not in training; got {len(people)} people and {len(subject_test)} held-out rows."
        )
    train, test = _standardised(z_train, z_test)
    return Task(train, code_train, test, code_test, len(people))


def perceptron(
    task: Task,
    *,
    hidden: tuple[int, ...] = HIDDEN,
    seed: int = 0,
    max_epochs: int = 30,
    most_rows: int | None = None,
) -> np.ndarray:
    """Log-probabilities (rows, people) of a fresh network on the test; hidden () is a linear attacker."""
    z, code = _at_most(task, most_rows, seed)
    log_p, _ = _fresh_perceptron(
        z,
        code,
        task.z_test,
        classes=task.classes,
        hidden=hidden,
        seed=seed,
        max_epochs=max_epochs,
        patience=3,
        batch_size=256,
        learning_rate=1e-3,
    )
    return log_p


def nearest_neighbours(task: Task, *, count: int, seed: int = 0) -> np.ndarray:
    """Log-shares of every person among the `count` nearest training rows."""
    from sklearn.neighbors import KNeighborsClassifier

    z, code = _at_most(task, MOST_NEIGHBOUR_ROWS, seed)
    model = KNeighborsClassifier(min(count, len(z)), algorithm="brute").fit(z, code)
    return _log_of_all(model.predict_proba(task.z_test), model.classes_, task.classes)


def boosted_trees(task: Task, *, rounds: int = 60, seed: int = 0) -> np.ndarray:
    """Log-probabilities of histogram gradient boosting, `rounds` trees for every person."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    z, code = _at_most(task, MOST_TREE_ROWS, seed)
    model = HistGradientBoostingClassifier(
        max_iter=rounds, max_leaf_nodes=15, learning_rate=0.2, random_state=seed
    )
    model.fit(z, code)
    return _log_of_all(model.predict_proba(task.z_test), model.classes_, task.classes)


def sensor_offset(task: Task, *, offset_train: np.ndarray, ridge: float = 1e-2) -> np.ndarray:
    """Log-probabilities of an attacker who reads the sensor's offset out of z, and the person out of the offset.

    Whoever wore which device shows in the mean of every channel. A ridge regression guesses these means from z; people
    then have normal distributions with a common covariance.

    Args:
        offset_train: (n, channels) means of the raw training windows, which an attacker with own recordings has.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    z = np.c_[task.z_train, np.ones(len(task.z_train))].astype(np.float64)
    gram = z.T @ z + ridge * len(z) * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, z.T @ offset_train)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=1e-3).fit(z @ slope, task.code_train)
    guessed = np.c_[task.z_test, np.ones(len(task.z_test))].astype(np.float64) @ slope
    return _log_of_all(model.predict_proba(guessed), model.classes_, task.classes)


def noise_aware(
    task: Task, *, clean_train: np.ndarray, noisy_test: np.ndarray, noise: float, seed: int = 0
) -> np.ndarray:
    """Log-probabilities of an attacker who holds the encoder and knows that its features get Gaussian noise.

    From its own recordings it has features without noise; a noisy one then comes from each of them with a known
    probability. Where the windows are among those it has seen no attacker can do better; where they are new ones, a
    smoother guess may.

    Args:
        clean_train, noisy_test: (n, features) as the encoder gives them, not standardised.
        noise: standard deviation.
    """
    from scipy.special import logsumexp

    rows = np.arange(len(clean_train))
    if len(rows) > MOST_NEIGHBOUR_ROWS:
        rows = np.random.default_rng(seed).choice(rows, MOST_NEIGHBOUR_ROWS, replace=False)
    known, code = clean_train[rows].astype(np.float64), task.code_train[rows]
    members = [np.flatnonzero(code == person) for person in range(task.classes)]
    squares = (known**2).sum(axis=1)
    log_p = np.full((len(noisy_test), task.classes), -np.inf)
    for begin in range(0, len(noisy_test), 1000):
        part = noisy_test[begin : begin + 1000].astype(np.float64)
        # without the part's own square, which all people share
        score = (2 * part @ known.T - squares) / (2 * noise**2)
        for person, own in enumerate(members):
            if own.size:
                log_p[begin : begin + 1000, person] = logsumexp(score[:, own], axis=1)
    log_p -= logsumexp(log_p, axis=1, keepdims=True)
    return np.maximum(log_p, np.log(SMALLEST))


ATTACKERS: dict[str, Attacker] = {
    "linear": partial(perceptron, hidden=()),
    "800-200": partial(perceptron, hidden=HIDDEN),
    **{f"{count} nearest": partial(nearest_neighbours, count=count) for count in NEIGHBOURS},
    "boosted trees": boosted_trees,
}


@dataclass(frozen=True)
class Naming:
    """How well one attacker names people.

    Attributes:
        accuracy, lower, upper: share of rows named correctly, and its 95 % interval over trials.
        trial_accuracy: share of trials, from the mean log-probability over the rows of each; NaN without trials.
        bits: entropy of the person less the attacker's cross-entropy, at least 0: at least so many bits leak.
    """

    accuracy: float
    lower: float
    upper: float
    trial_accuracy: float
    bits: float


def score(log_p: np.ndarray, code: np.ndarray, *, trial: np.ndarray | None = None, seed: int = 0) -> Naming:
    """Accuracy by row and by trial, and bits, of log-probabilities (rows, people) against codes (rows,)."""
    correct = log_p.argmax(axis=1) == code
    lower, upper = trial_interval(correct, trial, seed=seed)
    share = np.bincount(code)[np.bincount(code) > 0] / len(code)
    cross_entropy = -log_p[np.arange(len(code)), code].mean()
    by_trial = float("nan")
    if trial is not None:
        _, first, place = np.unique(trial, return_index=True, return_inverse=True)
        summed = np.zeros((len(first), log_p.shape[1]))
        np.add.at(summed, place, log_p)
        by_trial = float((summed.argmax(axis=1) == code[first]).mean())
    return Naming(
        float(correct.mean()),
        lower,
        upper,
        by_trial,
        float(max(0.0, (-(share * np.log(share)).sum() - cross_entropy) / math.log(2))),
    )


def attack_all(
    task: Task,
    *,
    trial: np.ndarray | None = None,
    offset_train: np.ndarray | None = None,
    attackers: Mapping[str, Attacker] = ATTACKERS,
    seed: int = 0,
) -> dict[str, Naming]:
    """Every attacker's result on one task; the sensor-offset attacker joins where the offsets are given."""
    found = {
        name: score(attacker(task, seed=seed), task.code_test, trial=trial, seed=seed)
        for name, attacker in attackers.items()
    }
    if offset_train is not None:
        log_p = sensor_offset(task, offset_train=offset_train)
        found["sensor offset"] = score(log_p, task.code_test, trial=trial, seed=seed)
    return found


def worst(found: Mapping[str, Naming]) -> tuple[str, Naming]:
    """Name and result of the attacker that names most rows correctly."""
    return max(found.items(), key=lambda one: one[1].accuracy)


def _at_most(task: Task, rows: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if rows is None or rows >= len(task.z_train):
        return task.z_train, task.code_train
    chosen = np.random.default_rng(seed).choice(len(task.z_train), rows, replace=False)
    return task.z_train[chosen], task.code_train[chosen]


def _log_of_all(probability: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Log-probabilities of all people from those a model knows, none of them minus infinity."""
    whole = np.full((len(probability), classes), SMALLEST)
    whole[:, found] = np.maximum(probability, SMALLEST)
    return np.log(whole / whole.sum(axis=1, keepdims=True))
