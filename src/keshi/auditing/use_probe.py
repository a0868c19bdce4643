"""Use beyond the label: how well a further attribute that the owner wants to go on measuring is read off features.

A linear probe is learnt from known people's rows and tried on their held-out rows and on strangers. Classes (where a
sensor sat) are judged by macro F1, measurements (a heart rate) by R2. Takes arrays of any system; scikit-learn is
imported inside.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from keshi._validate import same_length
from keshi.auditing.labels import macro_f1
from keshi.errors import DomainError, RecordsError
from keshi.records.further import is_measurement

MOST_PROBE_ROWS = 10_000  # learnt from, drawn at random: a linear probe gains little from more
DRAWS = 500  # of recordings, for an interval


@dataclass(frozen=True)
class UseScore:
    """How well one attribute is read off the rows of some people.

    Attributes:
        score: macro F1 of classes; R2 of a measurement, which is below 0 where guessing its mean would be better.
        lower, upper: 95 % interval over recordings (over rows where none are known); people may differ more. NaN of
            fewer than two.
        floor: the same figure of always saying the most frequent class, or the mean, of the rows learnt from.
        rows: tried on.
    """

    score: float
    lower: float
    upper: float
    floor: float
    rows: int


@dataclass(frozen=True)
class UseFigures:
    """One attribute on known people's held-out rows, and on people who were not learnt from (None: there are none).

    `measure` is "macro-F1" or "R2". `of_person` says that everybody has one value in all their rows: then it is an
    attribute of the person, and what hides the person hides it, too.
    """

    measure: str
    known: UseScore
    unknown: UseScore | None
    of_person: bool


def check_uses(uses: Mapping[str, np.ndarray], subject: np.ndarray) -> None:
    """Raise where an attribute cannot be learnt: of another length, of one value, or with missing values."""
    for name, use in uses.items():
        same_length(subject=subject, **{f"use {name}": use})
        if use.ndim != 1 or (use.dtype.kind == "f" and not np.isfinite(use).all()):
            raise RecordsError(
                f"use {name!r} needs one value a row, none of them missing; got shape {use.shape}."
            )
        if len(np.unique(use)) < 2:
            raise DomainError(f"use {name!r} has the same value everywhere: there is nothing to read off.")


def measure_use(
    use: np.ndarray,
    subject: np.ndarray,
    z: np.ndarray,
    *,
    learn: np.ndarray,
    known: np.ndarray,
    unknown: np.ndarray,
    trial: np.ndarray | None = None,
    seed: int = 0,
) -> UseFigures:
    """Learn attribute `use` (n,) from rows `learn` of features z (n, ...), and try it on rows `known` and `unknown`.

    Args:
        use: numbers with fractions, or more than ten different whole ones, are a measurement; all else are classes.
        subject: (n,) the person of every row.
        learn, known, unknown: row numbers or masks; `unknown` may be empty.
        trial: (n,) the recording of every row, for the intervals.
    """
    same_length(use=use, subject=subject, z=z)
    if not len(np.arange(len(use))[learn]) or not len(np.arange(len(use))[known]):
        raise RecordsError(
            "there are no rows to learn a use from, or none of the same people to try it on; hold some out."
        )
    amount = is_measurement(use)
    rows = np.arange(len(use))[learn]
    if len(rows) > MOST_PROBE_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_PROBE_ROWS, replace=False))
    flat = np.asarray(z, dtype=np.float64).reshape(len(z), -1)
    value = use.astype(np.float64) if amount else use
    guess = value[rows].mean() if amount else _most_frequent(value[rows])
    predict = _linear_probe(flat[rows], value[rows], amount=amount)

    def tried(chosen: np.ndarray) -> UseScore:
        said = np.full(len(chosen), guess) if predict is None else predict(flat[chosen])
        truth = value[chosen]
        of = np.arange(len(chosen)) if trial is None else np.unique(trial[chosen], return_inverse=True)[1]
        lower, upper = _interval(truth, said, of, amount=amount, seed=seed)
        figure = _r2 if amount else macro_f1
        return UseScore(
            figure(truth, said), lower, upper, figure(truth, np.full(len(truth), guess)), len(chosen)
        )

    others = np.arange(len(use))[unknown]
    people = np.unique(subject, return_inverse=True)[1]
    values = np.unique(use, return_inverse=True)[1]
    pairs = len(np.unique(people * (values.max() + 1) + values))
    return UseFigures(
        "R2" if amount else "macro-F1",
        tried(np.arange(len(use))[known]),
        tried(others) if len(others) else None,
        bool(pairs == people.max() + 1),
    )


def measure_uses(
    uses: Mapping[str, np.ndarray],
    subject: np.ndarray,
    features: Mapping[str, np.ndarray | None],
    *,
    learn: np.ndarray,
    strange: np.ndarray,
    trial: np.ndarray,
    seed: int = 0,
) -> dict[str, dict[str, UseFigures]]:
    """Every attribute on every kind of features that is there: attribute -> kind -> figures.

    Args:
        features: kind -> (n, ...), None where it was not given.
        learn: (n,) whether a row may be learnt from; the others are held out.
        strange: (n,) whose rows are kept as strangers'. Where that leaves fewer than two people, or nothing held out
            of them, nobody is one.
    """
    strange = strange & (len(np.unique(subject[~strange])) > 1) & bool((~learn & ~strange).any())
    parts = {"learn": learn & ~strange, "known": ~learn & ~strange, "unknown": strange}
    return {
        name: {
            kind: measure_use(use, subject, z, trial=trial, seed=seed, **parts)
            for kind, z in features.items()
            if z is not None
        }
        for name, use in uses.items()
    }


def _linear_probe(
    z: np.ndarray, value: np.ndarray, *, amount: bool
) -> Callable[[np.ndarray], np.ndarray] | None:
    """What says the value from features; None where only one class was there to learn."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(value)) < 2:
        return None
    model = make_pipeline(StandardScaler(), Ridge() if amount else LogisticRegression(max_iter=200))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bound on steps is part of the figure
        predict: Callable[[np.ndarray], np.ndarray] = model.fit(z, value).predict
    return predict


def _most_frequent(values: np.ndarray) -> object:
    found, counts = np.unique(values, return_counts=True)
    return found[counts.argmax()]


def _r2(truth: np.ndarray, said: np.ndarray) -> float:
    """1 - squared error / variance; NaN where the truth never varies."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - said) ** 2).sum()) / spread if spread > 0 else float("nan")


def _interval(
    truth: np.ndarray, said: np.ndarray, recording: np.ndarray, *, amount: bool, seed: int
) -> tuple[float, float]:
    """95 % interval of macro F1 or R2, by drawing whole recordings (codes from 0) with replacement.

    Both figures follow from sums over rows, so each recording's sums are made once.
    """
    if amount:
        centred = truth - truth.mean()
        columns = [np.ones(len(truth)), centred, centred**2, (truth - said) ** 2]
    else:
        names = np.unique(truth)
        hits = [(truth == name) & (said == name) for name in names]
        columns = hits + [(truth == name) * 1.0 + (said == name) for name in names]
    sums = np.stack([np.bincount(recording, weights=column) for column in columns], axis=1)
    if len(sums) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    found = np.empty(DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):  # a class may be missing from a draw
        for draw in range(DRAWS):
            times = np.bincount(rng.integers(len(sums), size=len(sums)), minlength=len(sums))
            total = times @ sums
            if amount:
                found[draw] = 1 - total[3] / (total[2] - total[1] ** 2 / total[0])
            else:
                right, marked = np.split(total, 2)
                found[draw] = np.mean(2 * right[marked > 0] / marked[marked > 0])
    found = found[np.isfinite(found)]
    if len(found) == 0:  # a measurement that never varies in these rows
        return float("nan"), float("nan")
    lower, upper = np.quantile(found, [0.025, 0.975])
    return float(lower), float(upper)
