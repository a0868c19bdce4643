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
        trial: the recording of every row; rows of a recording that gave a labelled window are not tried on. A label of
            so few recordings that its labelled windows may come from all of them has, in every draw, half of them kept
            to try on.

    Raises:
        DomainError: a label cannot be tried on another recording than it was learnt from, see `check_few_shot`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    same_length(z=z, label=label)
    positive_integer("per_class", per_class)
    positive_integer("draws", draws)
    check_few_shot(label, trial=trial, per_class=per_class)
    flat = np.asarray(z, dtype=np.float64).reshape(len(z), -1)
    names, codes = np.unique(label, return_inverse=True)
    recording = _recordings(label, trial)
    rows = _rows(recording, codes)
    scarce = _scarce(rows, per_class)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        kept = _keep(rows, scarce, names, per_class, rng)
        open_to_learn = ~np.isin(recording, kept)
        shown = np.concatenate(
            [
                rng.choice(np.flatnonzero((codes == code) & open_to_learn), per_class, replace=False)
                for code in range(len(names))
            ]
        )
        rest = np.flatnonzero(~np.isin(recording, recording[shown]))
        if len(rest) > MOST_TEST_ROWS:
            rest = rng.choice(rest, MOST_TEST_ROWS, replace=False)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(
            flat[shown], codes[shown]
        )
        found.append(macro_f1(codes[rest], model.predict(flat[rest])))
    lower, upper = np.quantile(found, [0.025, 0.975])
    return FewShot(float(np.mean(found)), float(lower), float(upper), len(names), per_class)


def check_few_shot(label: np.ndarray, *, trial: np.ndarray | None = None, per_class: int = 10) -> None:
    """Raise where `few_shot_f1` cannot measure: fewer than two labels, or one with too few rows or recordings.

    Without its smallest recording, the least to try on, a label must still have `per_class` rows to learn from: else it
    would be tried on the recordings it was learnt from, or not at all.
    """
    names, codes = np.unique(label, return_inverse=True)
    if len(names) < 2:
        raise DomainError(f"a probe needs at least 2 labels, got {len(names)}: {names.tolist()}.")
    rows = _rows(_recordings(label, trial), codes)
    short = []
    for code, name in enumerate(names):
        own = rows[rows[:, code] > 0, code]
        if own.sum() - own.min() < per_class:
            short.append(f"{str(name)!r} ({own.sum()} windows in {len(own)} recordings)")
    if short:
        raise DomainError(
            f"the probe is not measured: it learns each label from {per_class} windows and is tried on another "
            f"recording, for which there is too little of {', '.join(short)}."
        )


def _recordings(label: np.ndarray, trial: np.ndarray | None) -> np.ndarray:
    """The recording of every row, from 0; each row is one of its own where none are known."""
    if trial is None:
        return np.arange(len(label))
    same_length(label=label, trial=trial)
    return np.unique(trial, return_inverse=True)[1]


def _rows(recording: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """How many rows every recording has of every label, (recordings, labels)."""
    rows = np.zeros((recording.max() + 1, codes.max() + 1), dtype=np.int64)
    np.add.at(rows, (recording, codes), 1)
    return rows


def _scarce(rows: np.ndarray, per_class: int) -> list[int]:
    """The labels whose recordings the labelled windows, theirs and those of labels in the same ones, might use up."""
    there = rows > 0
    beside = (there.T.astype(np.int64) @ there) > 0  # labels that share a recording, a label with itself too
    return np.flatnonzero(there.sum(axis=0) <= per_class * beside.sum(axis=1)).tolist()


def _keep(
    rows: np.ndarray, scarce: list[int], names: np.ndarray, per_class: int, rng: np.random.Generator
) -> list[int]:
    """Recordings to try on: half of every scarce label's, as long as all labels keep `per_class` rows to learn."""
    left = rows.sum(axis=0)
    kept: list[int] = []
    for code in scarce:
        own = rng.permutation(np.flatnonzero(rows[:, code]))
        wanted = max(1, len(own) // 2)
        have = int(np.isin(own, kept).sum())
        for one in own[~np.isin(own, kept)]:
            if have < wanted and (left - rows[one] >= per_class).all():
                kept.append(int(one))
                left, have = left - rows[one], have + 1
        if not have:
            raise DomainError(
                f"the probe is not measured: no recording of {str(names[code])!r} can be kept to try on without "
                f"leaving fewer than {per_class} windows of a label to learn from."
            )
    return kept
