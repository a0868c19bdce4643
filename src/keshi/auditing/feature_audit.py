"""FeatureAudit: do features of recordings tell who it was? Fresh attackers of several sizes, beside their floors.

Takes arrays of any system. torch is imported by the attackers, scikit-learn where the label is learnt.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keshi._validate import in_range, same_length
from keshi.auditing.identification import HIDDEN, Identification, identify, label_only_rate
from keshi.auditing.labels import macro_f1
from keshi.errors import RecordsError

ATTACKERS: dict[str, tuple[int, ...]] = {"linear": (), "200": (200,), "800-200": HIDDEN}
FEWEST_HELD_TRIALS = 30  # an interval over fewer recordings says little
TEST_SHARE = 0.25


@dataclass(frozen=True)
class FeatureAudit:
    """How well fresh attackers name the person, and how well the label is still predicted.

    Attributes:
        attackers: Result of every attacker; the worst one counts.
        majority: Share right when always naming the most frequent person.
        label_only: Share right when naming the most frequent person of the true label: no feature of the label goes
            below it. None without a label.
        label_macro_f1: Of logistic regression on the held-out rows; None without a label.
        subjects, train_rows, test_rows, test_trials: Sizes; without trials each row counts as one.
        reason: Why nothing can be said; None where the figures count.
    """

    attackers: dict[str, Identification]
    majority: float
    label_only: float | None
    label_macro_f1: float | None
    subjects: int
    train_rows: int
    test_rows: int
    test_trials: int
    reason: str | None = None

    @property
    def worst(self) -> tuple[str, Identification]:
        """Name and result of the attacker that names most rows correctly."""
        return max(self.attackers.items(), key=lambda one: one[1].accuracy)

    @property
    def verdict(self) -> str:
        """ "leak" where the worst attacker surely beats what the label alone, or the majority, tells."""
        if self.reason is not None:
            return "inconclusive"
        floor = max(self.majority, self.label_only or 0.0)
        return "leak" if self.worst[1].lower > floor else "no leak found"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "worst": self.worst[0], "verdict": self.verdict}


def audit_features(
    z: np.ndarray,
    subject: np.ndarray,
    *,
    label: np.ndarray | None = None,
    trial: np.ndarray | None = None,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    max_epochs: int = 30,
) -> FeatureAudit:
    """Attack features with fresh networks that learn from some trials of everybody and name the others.

    Args:
        z: (n, ...) features.
        subject: (n,) the person of every row.
        label: (n,) what the features are for.
        trial: (n,) the recording of every row. Windows of one recording are nearly copies, so whole recordings are held
            out. Without it rows count as independent, and the figures are too high where they are not.
        test_share: Of every person's trials.
        seed: Of the split and the attackers.
        max_epochs: See `identify`.

    Raises:
        RecordsError: Fewer than two people have two trials.
    """
    same_length(z=z, subject=subject)
    in_range("test_share", test_share, 0.0, 1.0, open_ends=True)
    person, who = np.unique(subject, return_inverse=True)
    recording = np.arange(len(z)) if trial is None else np.unique(trial, return_inverse=True)[1]
    # a recording belongs to one person: trial 1 of two people is two recordings
    recording = np.unique(recording * len(person) + who, return_inverse=True)[1]
    held = _held_out(who, recording, test_share=test_share, seed=seed)
    if len(np.unique(who[held])) < 2:
        raise RecordsError("naming the person needs at least 2 people with at least 2 trials each.")
    known = ~held & np.isin(who, who[held])
    found = {
        name: identify(
            z[known],
            subject[known],
            z[held],
            subject[held],
            trial_test=recording[held],
            hidden=hidden,
            seed=seed,
            max_epochs=max_epochs,
        )
        for name, hidden in ATTACKERS.items()
    }
    trials = len(np.unique(recording[held]))
    reason = None
    if trials < FEWEST_HELD_TRIALS:
        reason = f"inconclusive: {trials} trials were held out; {FEWEST_HELD_TRIALS} are needed"
    any_result = next(iter(found.values()))
    return FeatureAudit(
        found,
        any_result.majority,
        None if label is None else label_only_rate(label[known], subject[known], label[held], subject[held]),
        None if label is None else _label_f1(z, label, known, held),
        any_result.subjects,
        int(known.sum()),
        int(held.sum()),
        trials,
        reason,
    )


def _held_out(who: np.ndarray, recording: np.ndarray, *, test_share: float, seed: int) -> np.ndarray:
    """Which rows are held out, bool (n,): of every person with two trials or more a share, at least one."""
    random = np.random.default_rng(seed)
    held = np.zeros(len(who), dtype=bool)
    for person in np.unique(who):
        trials = random.permutation(np.unique(recording[who == person]))
        count = min(max(1, round(test_share * len(trials))), len(trials) - 1)
        held |= np.isin(recording, trials[:count])
    return held


def _label_f1(z: np.ndarray, label: np.ndarray, known: np.ndarray, held: np.ndarray) -> float | None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(label[known])) < 2:
        return None
    flat = z.reshape(len(z), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bound on steps is part of the figure
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(
            flat[known], label[known]
        )
    return macro_f1(label[held], model.predict(flat[held]))
