"""What features are good for beyond the label they were made for: other classes, learnt from a few windows each.

If features serve nothing but their label, releasing the predicted label is the better deal for everybody. Takes arrays
of any system; scikit-learn is imported inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keshi._validate import positive_integer, same_length
from keshi.auditing.labels import macro_f1
from keshi.errors import DomainError

DRAWS = 20  # of the few labelled windows: which ones they are matters more than anything else
MOST_TEST_ROWS = 5000


@dataclass(frozen=True)
class FewShot:
    """Macro F1 of a linear probe: mean over draws, and their 2.5 % and 97.5 % quantiles; chance is 1 / classes."""

    f1: float
    lower: float
    upper: float
    classes: int
    per_class: int


def few_shot_f1(
    z: np.ndarray,
    label: np.ndarray,
    *,
    trial: np.ndarray | None = None,
    per_class: int = 10,
    draws: int = DRAWS,
    seed: int = 0,
) -> FewShot:
    """Learn labels (n,) from `per_class` rows of features z (n, ...) each by logistic regression, tried on the others.

    Use labels that the features were not made for, such as activities left out of training.

    Args:
        trial: the recording of every row; rows of a recording that gave a labelled window are not tried on.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    same_length(z=z, label=label)
    positive_integer("per_class", per_class)
    positive_integer("draws", draws)
    flat = np.asarray(z, dtype=np.float64).reshape(len(z), -1)
    names, codes = np.unique(label, return_inverse=True)
    recording = np.arange(len(z)) if trial is None else np.unique(trial, return_inverse=True)[1]
    if len(names) < 2 or np.bincount(codes).min() <= per_class:
        raise DomainError(
            f"a probe needs 2 labels with more than {per_class} rows each, got {len(names)} labels, the rarest with "
            f"{np.bincount(codes).min()}."
        )
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        shown = np.concatenate(
            [
                rng.choice(np.flatnonzero(codes == code), per_class, replace=False)
                for code in range(len(names))
            ]
        )
        rest = np.flatnonzero(~np.isin(recording, recording[shown]))
        if len(rest) == 0:  # few recordings: then other windows of the same ones
            rest = np.setdiff1d(np.arange(len(z)), shown)
        if len(rest) > MOST_TEST_ROWS:
            rest = rng.choice(rest, MOST_TEST_ROWS, replace=False)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(
            flat[shown], codes[shown]
        )
        found.append(macro_f1(codes[rest], model.predict(flat[rest])))
    lower, upper = np.quantile(found, [0.025, 0.975])
    return FewShot(float(np.mean(found)), float(lower), float(upper), len(names), per_class)
