"""Are small groups erased? Their share in the release, and how well what is learnt from it serves them.

A private release blurs what few people have in common; who is few should be told. Imports numpy and pandas, and
scikit-learn where a classifier is trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from keshi.auditing.cells import as_text, is_numerical, shared_columns
from keshi.auditing.controlled_rate import wilson
from keshi.auditing.utility import encode_features
from keshi.errors import RecordsError

SMALL = 0.05  # share of the real rows below which a group is a small one
FEWEST_REAL = 30  # rows of a group below which its share and its errors say little
ERASED = 0.5  # a group that certainly kept less than half of its share
MOST_CATEGORIES = 50  # a column with more is an identifier rather than a group


@dataclass(frozen=True)
class GroupShare:
    """One small group's share, real against synthetic; `ratio_interval` is the 95 % interval of their ratio."""

    column: str
    group: str
    real_rows: int
    real_share: float
    synthetic_share: float
    ratio_interval: tuple[float, float]
    reason: str | None = None

    @property
    def ratio(self) -> float:
        return self.synthetic_share / self.real_share

    @property
    def is_erased(self) -> bool:
        """Whether the group surely lost more than half of its share."""
        return self.reason is None and self.ratio_interval[1] < ERASED


@dataclass(frozen=True)
class GroupError:
    """A classifier's share of errors on a group's held-out rows, trained on synthetic and on real rows."""

    column: str
    group: str
    rows: int
    error: float
    interval: tuple[float, float]
    real_error: float
    reason: str | None = None

    @property
    def excess(self) -> float:
        """Errors beyond those of the classifier trained on real rows."""
        return self.error - self.real_error


@dataclass(frozen=True)
class SmallGroups:
    """`shares` of the small groups, the most erased first; `errors` by group, the largest excess first."""

    shares: tuple[GroupShare, ...]
    errors: tuple[GroupError, ...] = ()

    @property
    def conclusive(self) -> int:
        return sum(one.reason is None for one in self.shares)

    @property
    def erased_share(self) -> float | None:
        """Erased among the small groups that can be judged; None where there is none."""
        return sum(one.is_erased for one in self.shares) / self.conclusive if self.conclusive else None

    def to_json(self) -> dict[str, Any]:
        shares = [{**asdict(one), "ratio": one.ratio, "is_erased": one.is_erased} for one in self.shares]
        errors = [{**asdict(one), "excess": one.excess} for one in self.errors]
        return {
            "erased_share": self.erased_share,
            "conclusive": self.conclusive,
            "shares": shares,
            "errors": errors,
        }


def group_shares(
    synthetic: pd.DataFrame, train: pd.DataFrame, *, columns: Sequence[str] | None = None
) -> tuple[GroupShare, ...]:
    """Shares of every group below 5 % of the training rows, the most erased first.

    Args:
        synthetic, train: Tables of the same columns.
        columns: Whose values are groups; default: the categorical columns of at most 50 values.
    """
    shares = []
    for name in _group_columns(train, synthetic, columns):
        real, made = as_text(train[name]), as_text(synthetic[name])
        for group, count in pd.Series(real).value_counts().items():
            share = count / len(train)
            if share >= SMALL:
                continue
            kept = float(np.mean(made == group))
            low, high = wilson(kept, len(made))
            reason = (
                f"inconclusive: {count} real rows; {FEWEST_REAL} are needed" if count < FEWEST_REAL else None
            )
            # the real table is what the release copies, so its share is exact
            interval = (low / share, high / share)
            shares.append(GroupShare(name, str(group), int(count), float(share), kept, interval, reason))
    return tuple(sorted(shares, key=lambda one: (one.reason is not None, one.ratio)))


def group_errors(
    synthetic: pd.DataFrame,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    label: str,
    columns: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[GroupError, ...]:
    """Errors of logistic regression on held-out rows, by group, trained on synthetic and on real rows.

    Args:
        synthetic, train, holdout: Tables of the same columns.
        label: Class column.
        columns: Whose values are groups; default: the categorical columns of at most 50 values.
        seed: Of the classifier.

    Returns:
        Nothing where the training rows have one class only, or else every group of the hold-out.
    """
    if label not in train.columns:
        raise RecordsError(f"the tables have no label column {label!r}; they have {list(train.columns)}.")
    truth = as_text(holdout[label])
    wrong = []
    for table in (synthetic, train):
        guess = _guess(table, holdout, label=label, seed=seed)
        if guess is None:
            return ()
        wrong.append(guess != truth)
    known = np.array([one is not None for one in truth])
    errors = []
    for name in _group_columns(train, holdout, columns):
        if name == label:
            continue
        values = as_text(holdout[name])
        for group in pd.unique(values[known]):
            if group is None:
                continue
            rows = (values == group) & known
            count = int(rows.sum())
            error = float(wrong[0][rows].mean())
            reason = (
                f"inconclusive: {count} held-out rows; {FEWEST_REAL} are needed"
                if count < FEWEST_REAL
                else None
            )
            errors.append(
                GroupError(
                    name, str(group), count, error, wilson(error, count), float(wrong[1][rows].mean()), reason
                )
            )
    return tuple(sorted(errors, key=lambda one: (one.reason is not None, -one.excess)))


def _group_columns(train: pd.DataFrame, other: pd.DataFrame, columns: Sequence[str] | None) -> list[str]:
    names = shared_columns(train, other)
    if columns is not None:
        unknown = [name for name in columns if name not in names]
        if unknown:
            raise RecordsError(f"there are no group columns {unknown}; the table has {names}.")
        return list(columns)
    return [
        name for name in names if not is_numerical(train[name]) and train[name].nunique() <= MOST_CATEGORIES
    ]


def _guess(train: pd.DataFrame, test: pd.DataFrame, *, label: str, seed: int) -> np.ndarray | None:
    from sklearn.linear_model import LogisticRegression

    classes = as_text(train[label])
    known = np.array([one is not None for one in classes])
    if len(set(classes[known])) < 2:
        return None
    features, tested = encode_features(train[known], test, label=label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence: the protocol fixes the iterations
        model = LogisticRegression(max_iter=1000, random_state=seed).fit(features, classes[known].astype(str))
    return model.predict(tested).astype(object)
