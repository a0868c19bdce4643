"""Train on synthetic, test on real, for images and windows: logistic regression, MLP and a small CNN.

Takes arrays of any system. torch and scikit-learn are imported inside the functions that need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi._validate import one_of, same_length
from keshi.errors import RecordsError

LOGISTIC, MLP, CNN = "logistic regression", "MLP", "CNN"
ARRAY_CLASSIFIERS = (LOGISTIC, MLP, CNN)
LOGISTIC_ROWS = 10_000  # that logistic regression is trained on at most: it is the slowest of the three
CNN_EPOCHS = 4
CNN_BATCH = 256
CNN_LEARNING_RATE = 1e-3
CNN_DROPOUT = 0.25


@dataclass(frozen=True)
class ArrayUtility:
    """How well a classifier that was trained on one set does on another, real one.

    Attributes:
        classifier: Its name.
        accuracy: Share of test records named rightly, 0 to 1.
        macro_f1: F1 score, mean over the classes of the test records.
        rows: Records it was trained on.
    """

    classifier: str
    accuracy: float
    macro_f1: float
    rows: int


def train_and_test(
    train: NDArray[np.generic],
    train_labels: Sequence[object] | NDArray[np.generic],
    test: NDArray[np.generic],
    test_labels: Sequence[object] | NDArray[np.generic],
    *,
    classifiers: Sequence[str] = ARRAY_CLASSIFIERS,
    epochs: int = CNN_EPOCHS,
    seed: int = 0,
) -> list[ArrayUtility]:
    """Train each classifier on `train` and score it on `test`.

    Args:
        train, test: (n, height, width[, channels]) images, or (n, length, channels) windows of floats. Arrays of two
            axes a record are images where they are of whole numbers.
        train_labels, test_labels: One label each; 1 and "1" are the same.
        classifiers: Names out of `ARRAY_CLASSIFIERS`.
        epochs: Of the CNN.
        seed: Of the classifiers and of the rows that logistic regression sees.

    Raises:
        RecordsError: if there is nothing to train or test on, or the arrays are of two shapes.
    """
    from sklearn.metrics import accuracy_score, f1_score

    for name in classifiers:
        one_of("classifiers", name, ARRAY_CLASSIFIERS)
    same_length(train=train, train_labels=train_labels)
    same_length(test=test, test_labels=test_labels)
    if not len(train) or not len(test) or train.shape[1:] != test.shape[1:]:
        raise RecordsError(
            f"expected arrays of one shape to train and test on, got {train.shape} and {test.shape}."
        )
    wanted = np.array([str(label) for label in test_labels])
    found = []
    for name in classifiers:
        guess, rows = train_and_predict(train, train_labels, test, classifier=name, epochs=epochs, seed=seed)
        f1 = f1_score(wanted, guess, average="macro", labels=np.unique(wanted), zero_division=0.0)
        found.append(ArrayUtility(name, float(accuracy_score(wanted, guess)), float(f1), rows))
    return found


def train_and_predict(
    train: NDArray[np.generic],
    train_labels: Sequence[object] | NDArray[np.generic],
    test: NDArray[np.generic],
    *,
    classifier: str = CNN,
    epochs: int = CNN_EPOCHS,
    seed: int = 0,
) -> tuple[NDArray[np.str_], int]:
    """(n,) names that a classifier which learnt from `train` gives to `test`, and how many records it learnt from.

    Arguments are those of `train_and_test`; for several test sets, give them together and part the names.
    """
    one_of("classifier", classifier, ARRAY_CLASSIFIERS)
    names = np.array([str(label) for label in train_labels])
    if len(set(names)) < 2:  # nothing to learn; no classifier takes that
        return np.full(len(test), names[0]), len(names)
    x, x_test = _scaled(train, test)
    if classifier == CNN:
        image = train.ndim == 4 or train.dtype.kind in "iu"
        return _cnn(x, names, x_test, image=image, epochs=epochs, seed=seed), len(names)
    return _of_sklearn(classifier, x.reshape(len(x), -1), names, x_test.reshape(len(x_test), -1), seed=seed)


def _scaled(
    train: NDArray[np.generic], test: NDArray[np.generic]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both with the mean and standard deviation of the training arrays taken out: of each channel, if there are any."""
    x, x_test = train.astype(np.float32), test.astype(np.float32)
    axes = tuple(range(train.ndim - 1)) if train.ndim == 4 or train.dtype.kind == "f" else None
    mean, std = x.mean(axis=axes, dtype=np.float64), x.std(axis=axes, dtype=np.float64)
    std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1.0), std, 1.0)
    return ((x - mean) / std).astype(np.float32), ((x_test - mean) / std).astype(np.float32)


def _of_sklearn(
    name: str, x: NDArray[np.float32], names: NDArray[np.str_], x_test: NDArray[np.float32], *, seed: int
) -> tuple[NDArray[np.str_], int]:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if name == LOGISTIC:
        rows = np.random.default_rng(seed).permutation(len(x))[:LOGISTIC_ROWS]
        if len(set(names[rows])) < 2:
            rows = np.arange(len(x))
        x, names = x[rows], names[rows]
        model = LogisticRegression(max_iter=200)
    else:
        model = MLPClassifier(max_iter=20, early_stopping=len(x) >= 100, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bound on steps is part of the figure
        model.fit(x, names)
    return model.predict(x_test), len(x)


def _cnn(
    x: NDArray[np.float32],
    names: NDArray[np.str_],
    x_test: NDArray[np.float32],
    *,
    image: bool,
    epochs: int,
    seed: int,
) -> NDArray[np.str_]:
    """Two blocks of convolution (32, 64 maps), ReLU and pooling, dropout, one linear layer; Adam."""
    import torch
    from torch.nn import functional

    classes, codes = np.unique(names, return_inverse=True)
    inputs, tests = (torch.from_numpy(_channels_first(part, image=image)) for part in (x, x_test))
    targets = torch.from_numpy(codes.astype(np.int64))
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # first weights, and dropout
        network = _network(tuple(inputs.shape[1:]), len(classes))
        optimizer = torch.optim.Adam(network.parameters(), lr=CNN_LEARNING_RATE)
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs), generator=order).split(CNN_BATCH):
                loss = functional.cross_entropy(network(inputs[rows]), targets[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    network.eval()
    with torch.inference_mode():
        guess = torch.cat([network(part).argmax(dim=1) for part in tests.split(1_000)])
    return classes[guess.numpy()]


def _network(shape: tuple[int, ...], n_classes: int):  # type: ignore[no-untyped-def]  # torch is imported inside
    from torch import nn

    flat = len(shape) == 2  # (channels, length)
    conv, pool = (nn.Conv1d, nn.MaxPool1d) if flat else (nn.Conv2d, nn.MaxPool2d)
    blocks: list[nn.Module] = []
    sides, channels = list(shape[1:]), shape[0]
    for maps in (32, 64):
        blocks += [conv(channels, maps, 3, padding=1), nn.ReLU()]
        if min(sides) >= 2:
            blocks.append(pool(2))
            sides = [side // 2 for side in sides]
        channels = maps
    size = channels * int(np.prod(sides))
    return nn.Sequential(*blocks, nn.Flatten(), nn.Dropout(CNN_DROPOUT), nn.Linear(size, n_classes))


def _channels_first(x: NDArray[np.float32], *, image: bool) -> NDArray[np.float32]:
    if image and x.ndim == 3:
        return np.ascontiguousarray(x[:, None])
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))
