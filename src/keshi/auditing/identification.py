"""Who is it? Attackers that are always trained fresh on what a system releases, and the rates beside them.

Takes arrays of any system. An adversary that took part in training is never used here: it is fooled by what
was trained against it, while a fresh one of the same size is not (Elazar & Goldberg, EMNLP 2018).
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass

import numpy as np

from keshi._validate import positive_integer, same_length
from keshi.errors import DomainError, RecordsError

HIDDEN = (800, 200)  # the attacker of Iwasawa et al. (JSAI 2018)
VALIDATION_SHARE = 0.1  # of the training rows, to stop early
SHORTEST_EPOCH = 100  # batches: few rows are passed several times, lest the attacker stop half trained


@dataclass(frozen=True)
class Identification:
    """How well a fresh attacker names the person.

    Attributes:
        accuracy: share of held-out rows named correctly.
        lower, upper: 95 % interval of it, by bootstrap over trials (rows of a trial overlap).
        majority: the same share for always naming the person most frequent in training.
        trial_accuracy: share of held-out trials named correctly from the mean log-probability over their
            rows; NaN where trials were not given.
        bits: entropy of the person among held-out rows, less the attacker's cross-entropy; never below 0. At
            least so many bits leak per row.
        epochs: epochs until the attacker stopped improving (the best one counts).
        subjects, rows: people to choose from, held-out rows.
        least: the accuracy is above it but for a probability of `false_alarm`, by the same bootstrap.
    """

    accuracy: float
    lower: float
    upper: float
    majority: float
    trial_accuracy: float
    bits: float
    epochs: int
    subjects: int
    rows: int
    least: float = 0.0


def identify(
    z_train: np.ndarray,
    subject_train: np.ndarray,
    z_test: np.ndarray,
    subject_test: np.ndarray,
    *,
    trial_test: np.ndarray | None = None,
    hidden: tuple[int, ...] = HIDDEN,
    seed: int = 0,
    max_epochs: int = 30,
    patience: int = 3,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    false_alarm: float = 0.01,
) -> Identification:
    """Train a fresh perceptron to name the person from z, and count on held-out rows of the same people.

    Args:
        z_train, z_test: (n, ...) numbers; everything but the first axis is flattened, then standardised with
            training statistics, so that shrinking z hides nobody.
        subject_train, subject_test: the person of every row; everybody in the test must be in training.
        trial_test: the recording of every held-out row, for the interval and the attack on whole trials.
        hidden: widths of the attacker's hidden layers; () is a linear attacker.
        max_epochs, patience: stop `patience` epochs after the best loss on a tenth of the training rows. An
            epoch is one pass over the rows, or as many as make 100 batches.
        false_alarm: of `least`; where several attackers are tried, their share of it.

    Raises:
        DomainError: fewer than two people, or people in the test that are not in training.
        RecordsError: z has missing or infinite values, or training and test differ in width.
    """
    same_length(z_train=z_train, subject_train=subject_train)
    same_length(z_test=z_test, subject_test=subject_test)
    positive_integer("max_epochs", max_epochs)
    people, code_train = np.unique(subject_train, return_inverse=True)
    code_test = np.minimum(np.searchsorted(people, subject_test), max(len(people) - 1, 0))
    if len(people) < 2 or len(subject_test) == 0:
        raise DomainError(
            "naming the person needs at least 2 people in training and a held-out row, got "
            f"{len(people)} people and {len(subject_test)} held-out rows."
        )
    strangers = np.unique(np.asarray(subject_test)[people[code_test] != subject_test]).tolist()
    if strangers:
        raise DomainError(
            f"subjects {strangers} are in the test but not in training; an attacker cannot name them."
        )
    train, test = _standardised(z_train, z_test)
    log_p, epochs = _fresh_perceptron(
        train,
        code_train,
        test,
        classes=len(people),
        hidden=hidden,
        seed=seed,
        max_epochs=max_epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    correct = log_p.argmax(axis=1) == code_test
    lower, upper, least = trial_interval(correct, trial_test, seed=seed, beside=(false_alarm,))
    counts = np.bincount(code_test, minlength=len(people))
    share = counts[counts > 0] / counts.sum()
    cross_entropy = -log_p[np.arange(len(code_test)), code_test].mean()
    return Identification(
        accuracy=float(correct.mean()),
        lower=lower,
        upper=upper,
        majority=float((code_test == np.bincount(code_train).argmax()).mean()),
        trial_accuracy=_trial_accuracy(log_p, code_test, trial_test),
        bits=float(max(0.0, (-(share * np.log(share)).sum() - cross_entropy) / np.log(2))),
        epochs=epochs,
        subjects=len(people),
        rows=len(code_test),
        least=least,
    )


def label_only_rate(
    label_train: np.ndarray, subject_train: np.ndarray, label_test: np.ndarray, subject_test: np.ndarray
) -> float:
    """Share of held-out rows where the person most frequent under the true label is the right one.

    Nobody who is told the label can be kept from this, so no representation of the label goes below it.
    """
    labels, label_code = np.unique(label_train, return_inverse=True)
    people, person_code = np.unique(subject_train, return_inverse=True)
    table = np.zeros((len(labels), len(people)))
    np.add.at(table, (label_code, person_code), 1)
    best = dict(zip(labels.tolist(), people[table.argmax(axis=1)].tolist(), strict=True))
    fallback = people[table.sum(axis=0).argmax()].item()
    guesses = [best.get(label, fallback) for label in np.asarray(label_test).tolist()]
    return float(np.mean([guess == true for guess, true in zip(guesses, subject_test.tolist(), strict=True)]))


def trial_interval(
    correct: np.ndarray,
    trial: np.ndarray | None,
    *,
    seed: int = 0,
    draws: int = 2000,
    beside: tuple[float, ...] = (),
) -> tuple[float, ...]:
    """95 % interval of a mean over rows, by drawing whole trials with replacement (rows if none are given).

    After its two limits follow the quantiles `beside` of the same draws.

    Overlapping windows of one recording are nearly copies, so an interval over rows would be far too narrow.
    """
    groups = np.arange(len(correct)) if trial is None else np.unique(trial, return_inverse=True)[1]
    hits, rows = np.bincount(groups, weights=correct), np.bincount(groups)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        times = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        means[draw] = times @ hits / (times @ rows)
    return tuple(np.quantile(means, [0.025, 0.975, *beside]).tolist())


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    train, test = (np.asarray(z, dtype=np.float32).reshape(len(z), -1) for z in (train, test))
    if train.shape[1] != test.shape[1]:
        raise RecordsError(f"z has {train.shape[1]} columns in training and {test.shape[1]} in the test.")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise RecordsError("z has missing or infinite values; an attack on it would mean nothing.")
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-30), std, 1.0)  # columns that never change stay 0
    return (train - mean) / std, (test - mean) / std


def _trial_accuracy(log_p: np.ndarray, truth: np.ndarray, trial: np.ndarray | None) -> float:
    if trial is None:
        return float("nan")
    names, first, code = np.unique(trial, return_index=True, return_inverse=True)
    summed = np.zeros((len(names), log_p.shape[1]))
    np.add.at(summed, code, log_p)
    return float((summed.argmax(axis=1) == truth[first]).mean())


def _fresh_perceptron(
    train: np.ndarray,
    truth: np.ndarray,
    test: np.ndarray,
    *,
    classes: int,
    hidden: tuple[int, ...],
    seed: int,
    max_epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float,
) -> tuple[np.ndarray, int]:
    """Log-probabilities (rows, classes) on the test of a new network, and the epoch that was best."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # first weights only; the caller's random state is restored
        widths = (train.shape[1], *hidden, classes)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
    x, y = torch.from_numpy(train), torch.from_numpy(truth)
    order = torch.randperm(len(x), generator=generator)
    count = max(1, round(VALIDATION_SHARE * len(x)))
    held, rows = order[:count], order[count:]
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    loss_of = nn.CrossEntropyLoss()
    best, best_epoch = float("inf"), 0
    kept = copy.deepcopy(network.state_dict())
    passes = math.ceil(SHORTEST_EPOCH / math.ceil(len(rows) / batch_size))
    for epoch in range(1, max_epochs + 1):
        order = torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(passes)])
        for batch in rows[order].split(batch_size):
            loss = loss_of(network(x[batch]), y[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            value = float(loss_of(network(x[held]), y[held]))
        if value < best:
            best, best_epoch, kept = value, epoch, copy.deepcopy(network.state_dict())
        elif epoch - best_epoch >= patience:
            break
    network.load_state_dict(kept)
    with torch.no_grad():
        log_p = torch.cat(
            [torch.log_softmax(network(part), 1) for part in torch.from_numpy(test).split(4096)]
        )
    return log_p.double().numpy(), best_epoch
