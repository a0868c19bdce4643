"""Train on synthetic, test on real (TSTR): is the synthetic table still good for learning?

Takes pandas tables of any system; imports neither torch nor anything of keshi that makes releases. Scores
come from probabilities, never from hard labels. Set beside each result the same call with the real training
table (the ceiling) and with `yardsticks.independent_columns` (the floor).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from keshi._validate import one_of
from keshi.auditing.cells import as_numbers, as_text, is_numerical, shared_columns
from keshi.errors import RecordsError

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

FAST = ("logistic_regression", "gradient_boosting")
MOST_CLASSES = 100  # a label with more values than this is a number, not a class
FEWEST_PER_CLASS = 10  # test rows of a class below which a ROC curve says nothing


@dataclass(frozen=True)
class ClassifierScore:
    """One classifier's scores on the real test table; None, with the reason, where there is none.

    `roc_auc_interval` is the 95 % interval over test rows (Hanley & McNeil 1982), for two classes only; it
    does not cover the randomness of the synthetic table, for which several seeds are needed.
    """

    classifier: str
    roc_auc: float | None
    average_precision: float | None
    roc_auc_interval: tuple[float, float] | None
    seconds: float
    reason: str | None = None


@dataclass(frozen=True)
class Utility:
    """Scores of all classifiers; `notes` says what limits them (lacking classes, say)."""

    label: str
    classes: tuple[str, ...]
    positive: str | None  # the class the scores of a two-class label are about; None: macro one-against-rest
    train_rows: int
    test_rows: int
    scores: tuple[ClassifierScore, ...]
    notes: tuple[str, ...] = ()

    @property
    def mean_roc_auc(self) -> float | None:
        """Mean over the classifiers; None if any of them is inconclusive, because then it is another mean."""
        return _mean([score.roc_auc for score in self.scores])

    @property
    def mean_average_precision(self) -> float | None:
        return _mean([score.average_precision for score in self.scores])

    @property
    def is_conclusive(self) -> bool:
        return self.mean_roc_auc is not None

    def to_json(self) -> dict[str, Any]:
        means = {
            "mean_roc_auc": self.mean_roc_auc,
            "mean_average_precision": self.mean_average_precision,
        }
        return asdict(self) | means


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _logistic_regression(seed: int) -> ClassifierMixin:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=seed)


def _gradient_boosting(seed: int) -> ClassifierMixin:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=seed)


def _random_forest(seed: int) -> ClassifierMixin:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, random_state=seed)


def _mlp(seed: int) -> ClassifierMixin:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(early_stopping=True, max_iter=100, random_state=seed)


CLASSIFIERS: dict[str, Callable[[int], ClassifierMixin]] = {
    "logistic_regression": _logistic_regression,
    "gradient_boosting": _gradient_boosting,
    "random_forest": _random_forest,
    "mlp": _mlp,
}


def train_on_synthetic_test_on_real(
    synthetic: pd.DataFrame,
    real_test: pd.DataFrame,
    *,
    label: str,
    seed: int = 0,
    classifiers: Sequence[str] = tuple(CLASSIFIERS),
    positive: str | None = None,
) -> Utility:
    """Train classifiers on a synthetic table and score their probabilities on held-out real rows.

    Categories become one-hot (values unknown to the training table: all zero), numbers min-max, a missing
    category a value of its own, a missing number zero with an indicator beside it. Everything is fitted on
    `synthetic` alone.

    Args:
        synthetic: the training table; pass the real training table for the ceiling.
        real_test: real rows held out from the release, with the same columns; its types decide what is a
            number.
        label: the class column. Rows whose label is missing are left out.
        seed: of the classifiers.
        classifiers: names out of CLASSIFIERS; `FAST` takes about 60 % of the time of all four.
        positive: of a two-class label, the class to score; default: the rarer one in `real_test`.

    Returns:
        A Utility. Where training is impossible (one class in `synthetic`, say) its scores are None with a
        reason.

    Raises:
        RecordsError: columns differ, or the label is unknown, is a number, or has one class in `real_test`.
    """
    for name in classifiers:
        one_of("classifiers", name, tuple(CLASSIFIERS))
    shared_columns(synthetic=synthetic, reference=real_test)
    train_y, test_y = _labels(synthetic, real_test, label)
    train_known, test_known = train_y != None, test_y != None  # noqa: E711 (elementwise)
    synthetic, real_test = synthetic[train_known], real_test[test_known]
    train_y, test_y = train_y[train_known].astype(str), test_y[test_known].astype(str)
    classes, counts = np.unique(test_y, return_counts=True)
    if positive is not None:
        one_of("positive", positive, tuple(classes))
    chosen = None if len(classes) > 2 else (positive or str(classes[np.argmin(counts)]))
    scored = [str(c) for c in classes] if chosen is None else [chosen]
    reason, notes = _obstacles(train_y, classes, counts)
    scores = []
    features = None if reason else encode_features(synthetic, real_test, label=label)
    for name in classifiers:
        started = time.perf_counter()
        if features is None:
            scores.append(ClassifierScore(name, None, None, None, 0.0, reason))
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # convergence: the protocol fixes the iterations
                model = CLASSIFIERS[name](seed).fit(features[0], train_y)
                probabilities = model.predict_proba(features[1])
        except ValueError as error:  # a class with one row cannot be split for early stopping
            seconds = time.perf_counter() - started
            scores.append(ClassifierScore(name, None, None, None, seconds, f"could not be trained: {error}"))
            continue
        area, precision, interval = _score(probabilities, model.classes_, test_y, scored)
        scores.append(ClassifierScore(name, area, precision, interval, time.perf_counter() - started))
    names = tuple(str(c) for c in classes)
    return Utility(label, names, chosen, len(synthetic), len(real_test), tuple(scores), tuple(notes))


def _labels(synthetic: pd.DataFrame, real_test: pd.DataFrame, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Label of every row as text, None where missing."""
    if label not in real_test.columns:
        raise RecordsError(f"the tables have no label column {label!r}; they have {list(real_test.columns)}.")
    test = as_text(real_test[label])
    count = len(set(test) - {None})
    if count > MOST_CLASSES:
        raise RecordsError(
            f"label column {label!r} has {count} values in the real test table; a class label has at most "
            f"{MOST_CLASSES}. Choose a categorical column, or bin this one first."
        )
    if count < 2:
        raise RecordsError(
            f"label column {label!r} needs two classes in the real test table, it has {count}."
        )
    return as_text(synthetic[label]), test


def _obstacles(train_y: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> tuple[str | None, list[str]]:
    """Why no score is possible at all (or None), and notes on what limits one that is."""
    notes = []
    trained = set(train_y)
    lost = [str(c) for c in classes if c not in trained]
    if lost:
        notes.append(
            f"the training table lacks these classes: {', '.join(lost)}; each scores as a coin would"
        )
    if unknown := sorted(trained - set(classes)):
        notes.append(f"the training table has classes that the test table lacks: {', '.join(unknown)}")
    if len(trained) < 2:
        return f"inconclusive: the training table holds {len(trained)} class(es), two are needed", notes
    if counts.min() < FEWEST_PER_CLASS:
        rare = str(classes[np.argmin(counts)])
        if len(classes) == 2:
            return (
                f"inconclusive: {counts.min()} test rows of class {rare}, {FEWEST_PER_CLASS} are needed",
                notes,
            )
        notes.append(f"only {counts.min()} test rows of class {rare}; its share of the mean is mostly chance")
    return None, notes


def encode_features(train: pd.DataFrame, test: pd.DataFrame, *, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of both tables, float32 (n, f) and (m, f); vocabulary and ranges are those of `train`."""
    blocks: list[tuple[np.ndarray, np.ndarray]] = []
    for name in test.columns:
        if name == label:
            continue
        if is_numerical(test[name]):
            blocks.append(_scaled_number(as_numbers(train[name], test[name]), as_numbers(test[name])))
        else:
            blocks.append(_one_hot(as_text(train[name]), as_text(test[name])))
    if not blocks:
        raise RecordsError(f"the tables have no column beside the label {label!r}; nothing can be learned.")
    return np.hstack([b[0] for b in blocks]), np.hstack([b[1] for b in blocks])


def _scaled_number(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.preprocessing import MinMaxScaler

    finite = train[np.isfinite(train)]
    scaler = MinMaxScaler().fit(finite.reshape(-1, 1) if len(finite) else np.zeros((1, 1)))

    def scale(values: np.ndarray) -> np.ndarray:
        missing = ~np.isfinite(values)
        known = scaler.transform(np.where(missing, scaler.data_min_[0], values).reshape(-1, 1))
        return np.hstack([known, missing.reshape(-1, 1)]).astype(np.float32)

    real, held = scale(train), scale(test)
    if not (real[:, 1].any() or held[:, 1].any()):
        return real[:, :1], held[:, :1]
    return real, held


def _one_hot(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    columns = [
        np.array(["(missing)" if v is None else f"={v}" for v in c]).reshape(-1, 1) for c in (train, test)
    ]
    return encoder.fit_transform(columns[0]), encoder.transform(columns[1])


def _score(
    probabilities: np.ndarray, trained: np.ndarray, truth: np.ndarray, scored: Sequence[str]
) -> tuple[float, float, tuple[float, float] | None]:
    """ROC-AUC and average precision, averaged over the scored classes, each against the rest."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    areas, precisions = [], []
    place = {str(name): i for i, name in enumerate(trained)}
    for name in scored:
        is_class = truth == name
        belief = probabilities[:, place[name]] if name in place else np.zeros(len(truth))
        areas.append(float(roc_auc_score(is_class, belief)))
        precisions.append(float(average_precision_score(is_class, belief)))
    area = float(np.mean(areas))
    interval = None
    if len(scored) == 1:
        positives = int((truth == scored[0]).sum())
        interval = roc_auc_interval(area, positives, len(truth) - positives)
    return area, float(np.mean(precisions)), interval


def roc_auc_interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of a ROC-AUC over test rows (Hanley & McNeil, Radiology 1982), cut to 0..1."""
    # q1: two positives both above one negative; q2: one positive above two negatives
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (q1 - area * area) + (negatives - 1) * (q2 - area * area)
    error = 1.96 * np.sqrt(max(spread, 0.0) / (positives * negatives))
    return float(max(0.0, area - error)), float(min(1.0, area + error))
