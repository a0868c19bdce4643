"""Features of images and windows for distances between sets of them: a named extractor that is learnt on real records.

Distances compare only under one extractor, so its name says what it is, what it learnt from and how good it is. It is
learnt anew in every audit, with scikit-learn: no weights from elsewhere, and no torch. Whoever has better features
gives any function of arrays, or the features themselves. Experiments use the CNN of image_features, which says why
there are two.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.errors import RecordsError

HIDDEN = (128, 64)  # units; the last layer's are the features
LEARNT_FROM = 10_000  # real records at most
EPOCHS = 15
COMPONENTS = 64  # principal components, where no class is known

Extract = Callable[[NDArray[np.float32]], NDArray[np.floating]]
"""(n, ...) arrays scaled to 0..1 -> (n, width) features."""


@dataclass(frozen=True)
class Extractor:
    """A function from arrays to features, and what a reader must know of it.

    Attributes:
        name: What it is and what it was learnt from, in words.
        extract: The function.
        accuracy: Share of `tested` real records, unknown to it, whose class it names; None where it names none.
        tested: How many those were.
    """

    name: str
    extract: Extract
    accuracy: float | None = None
    tested: int = 0


def learnt_extractor(
    arrays: NDArray[np.float32],
    labels: NDArray[np.str_] | None,
    *,
    test: NDArray[np.float32] | None = None,
    test_labels: NDArray[np.str_] | None = None,
    seed: int = 0,
) -> Extractor:
    """A small perceptron that learns the classes of real arrays; without classes their principal components.

    Args:
        arrays: (n, ...) real ones, scaled to 0..1; the first `LEARNT_FROM` of them are learnt from.
        labels: (n,) classes, or None.
        test, test_labels: Other real arrays, for its accuracy.
        seed: Of the first weights and of the order.

    Raises:
        RecordsError: there are fewer than two arrays.
    """
    if len(arrays) < 2:
        raise RecordsError(f"features are learnt from 2 real records at least, got {len(arrays)}.")
    flat = arrays[:LEARNT_FROM].reshape(len(arrays[:LEARNT_FROM]), -1)
    if labels is None or len(set(labels[: len(flat)])) < 2:
        return _components(flat, seed=seed)
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    mean, spread = flat.mean(axis=0), max(float(flat.std()), 1e-6)
    model = MLPClassifier(HIDDEN, max_iter=EPOCHS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bound on epochs is part of the extractor
        model.fit((flat - mean) / spread, labels[: len(flat)])

    def extract(some: NDArray[np.float32]) -> NDArray[np.floating]:
        found = (some.reshape(len(some), -1) - mean) / spread
        for weights, offsets in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
            found = np.maximum(found @ weights + offsets, 0.0)  # ReLU, scikit-learn's default
        return found

    accuracy = None
    if test is not None and test_labels is not None and len(test):
        accuracy = float((model.predict((test.reshape(len(test), -1) - mean) / spread) == test_labels).mean())
    sides = "-".join(map(str, (flat.shape[1], *HIDDEN)))
    name = f"last hidden layer of a perceptron {sides}, learnt from {len(flat):,} real records in {EPOCHS} epochs"
    return Extractor(
        f"{name}, seed {seed}", extract, accuracy, 0 if accuracy is None or test is None else len(test)
    )


def _components(flat: NDArray[np.float32], *, seed: int) -> Extractor:
    from sklearn.decomposition import PCA

    count = min(COMPONENTS, *flat.shape)
    model = PCA(count, svd_solver="randomized", random_state=seed).fit(flat)

    def extract(some: NDArray[np.float32]) -> NDArray[np.floating]:
        return model.transform(some.reshape(len(some), -1))

    return Extractor(f"{count} principal components of {len(flat):,} real records, seed {seed}", extract)
