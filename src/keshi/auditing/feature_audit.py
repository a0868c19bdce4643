"""FeatureAudit: do features of recordings tell who it was? Fresh attackers of several kinds, beside their floors.

Takes arrays of any system. torch is imported by the attackers, scikit-learn where the label is learnt.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from keshi._validate import in_range, same_length
from keshi.auditing.attackers import ATTACKERS, Task, naming_task, score, sensor_offset
from keshi.auditing.identification import HIDDEN, Identification, identify, label_only_rate, trial_interval
from keshi.auditing.labels import macro_f1
from keshi.auditing.release_attacks import FALSE_ALARM, Risk
from keshi.auditing.use_probe import UseFigures, check_uses, measure_uses
from keshi.auditing.verification import Verification, verify
from keshi.errors import DomainError, RecordsError

NETWORKS: dict[str, tuple[int, ...]] = {"linear": (), "200": (200,), "800-200": HIDDEN}
OTHERS = ("15 nearest", "boosted trees")  # of attackers.ATTACKERS
STRANGERS = 0.3  # share of the people that verification is tried on; it learns on the others
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
        predicted_only: Share right when naming the most frequent person of the predicted label; None without softmax.
        verification: How well two windows of people the attacker never met are told to be of one person or of two;
            None with fewer than four people, or where nobody has two recordings of a label.
        beside: What -> the worst attacker on it, over the same rows: "softmax" (the least that tells the label), "raw"
            (what the features were made from), "second release".
        uses: Attribute to go on measuring -> what ("features", and what is beside them) -> how well a probe reads it.
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
    predicted_only: float | None = None
    beside: dict[str, Identification] = field(default_factory=dict)
    verification: Verification | None = None
    uses: dict[str, dict[str, UseFigures]] = field(default_factory=dict)

    @property
    def worst(self) -> tuple[str, Identification]:
        """Name and result of the attacker that names most rows correctly."""
        return max(self.attackers.items(), key=lambda one: one[1].accuracy)

    @property
    def floor(self) -> float:
        """What needs no features: the most frequent person, overall or of the true label."""
        return max(self.majority, self.label_only or 0.0)

    @property
    def risk(self) -> float:
        """(share named by the worst attacker - floor) / (1 - floor): 0 where z tells no more than the label, 1 all."""
        return (self.worst[1].accuracy - self.floor) / max(1 - self.floor, 1e-12)

    def interval(self) -> tuple[float, float]:
        """95 % interval of the risk, over held-out trials; the floor is taken as known."""
        worst = self.worst[1]
        low, high = ((one - self.floor) / max(1 - self.floor, 1e-12) for one in (worst.lower, worst.upper))
        return low, high

    def risks(self, gate: str) -> list[Risk]:
        """What the gates "risk" and "identification" look at."""
        return [(f"attacker {self.worst[0]}", self.risk, self.interval(), self.reason)]

    def figure(self, gate: str) -> tuple[float | None, str]:
        """There is no gate here that is no risk."""
        return None, f"{gate} is not measured on features"

    @property
    def verdict(self) -> str:
        """ "leak" where an attacker surely beats what the label alone, or the majority, tells.

        All attackers together raise a false alarm with probability 1 % at most, the floor taken as known.
        """
        if self.reason is not None:
            return "inconclusive"
        return "leak" if self.named_by else "no leak found"

    @property
    def named_by(self) -> tuple[str, ...]:
        """Attackers that surely beat the floor, at 1 % shared out over all of them (Bonferroni)."""
        return tuple(name for name, one in self.attackers.items() if one.least > self.floor)

    @property
    def leaks(self) -> tuple[str, ...]:
        """Attackers that name people beyond chance."""
        return (
            tuple(f"attacker {name} names the person" for name in self.named_by)
            if self.reason is None
            else ()
        )

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why nothing can be said; empty where the figures count."""
        return () if self.reason is None else (self.reason,)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers (NaN where there is none)."""
        worst = {
            "worst": self.worst[0],
            "floor": self.floor,
            "risk": self.risk,
            "interval": list(self.interval()),
        }
        return {**asdict(self), **worst, "verdict": self.verdict}

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, and every attacker beside the floors."""
        rows: list[tuple[str, float | None]] = [("worst attacker: " + self.worst[0], self.worst[1].accuracy)]
        rows += [(f"worst attacker on {name}", one.accuracy) for name, one in self.beside.items()]
        rows += [("knowing the true label alone", self.label_only), ("most frequent person", self.majority)]
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{value:.3g}</td></tr>"
            for name, value in rows
            if value is not None
        )
        return (
            f"<p><strong>{html.escape(self.verdict)}</strong>. Share of held-out rows whose person is named; exact "
            f"statistics of the data, do not publish.</p><table><tbody>{cells}</tbody></table>"
        )


def audit_features(
    z: np.ndarray,
    subject: np.ndarray,
    *,
    label: np.ndarray | None = None,
    trial: np.ndarray | None = None,
    softmax: np.ndarray | None = None,
    raw: np.ndarray | None = None,
    compare: np.ndarray | None = None,
    uses: Mapping[str, np.ndarray] | None = None,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    max_epochs: int = 30,
    progress: Callable[[str], None] | None = None,
) -> FeatureAudit:
    """Attack features with fresh networks that learn from some trials of everybody and name the others.

    Args:
        z: (n, ...) features.
        subject: (n,) the person of every row.
        label: (n,) what the features are for.
        trial: (n,) the recording of every row. Windows of one recording are nearly copies, so whole recordings are held
            out. Without it rows count as independent, and the figures are too high where they are not.
        softmax: (n, classes) predicted probabilities of the label: a yardstick, for whoever publishes predictions only.
        raw: (n, ...) what z was made from: the other yardstick. Windows (n, channels, length), or with both the other
            way round, also make an attacker on z who guesses the channels' means from it, see `sensor_offset`.
        compare: (n, ...) other features of the same rows, a second release.
        uses: Name -> (n,) what the features are to serve beside the label, such as where the sensor sat (classes) or a
            heart rate (numbers with fractions, or more than ten whole ones): a use, no secret, see use_probe.py.
        test_share: Of every person's trials.
        seed: Of the split and the attackers.
        max_epochs: See `identify`.
        progress: Told what is being measured.

    Raises:
        RecordsError: Fewer than two people have two trials.
    """
    arrays = {"z": z, "subject": subject, "softmax": softmax, "raw": raw, "compare": compare}
    same_length(**{name: one for name, one in arrays.items() if one is not None})
    check_uses(uses or {}, subject)
    in_range("test_share", test_share, 0.0, 1.0, open_ends=True)
    person, who = np.unique(subject, return_inverse=True)
    recording = np.arange(len(z)) if trial is None else np.unique(trial, return_inverse=True)[1]
    # a recording belongs to one person: trial 1 of two people is two recordings
    recording = np.unique(recording * len(person) + who, return_inverse=True)[1]
    held = _held_out(who, recording, test_share=test_share, seed=seed)
    if len(np.unique(who[held])) < 2:
        raise RecordsError("naming the person needs at least 2 people with at least 2 trials each.")
    known = ~held & np.isin(who, who[held])

    offsets = None if raw is None or raw.ndim < 3 else _offsets(raw)
    false_alarm = FALSE_ALARM / (len(NETWORKS) + len(OTHERS) + (offsets is not None))

    def attacked(what: str, features: np.ndarray) -> dict[str, Identification]:
        results = {}
        for name, hidden in NETWORKS.items():
            if progress is not None:
                progress(f"attacker {name} on {what}")
            results[name] = identify(
                features[known],
                subject[known],
                features[held],
                subject[held],
                trial_test=recording[held],
                hidden=hidden,
                seed=seed,
                max_epochs=max_epochs,
                false_alarm=false_alarm,
            )
        task = naming_task(features[known], subject[known], features[held], subject[held])
        for name in OTHERS:
            if progress is not None:
                progress(f"attacker {name} on {what}")
            log_p = ATTACKERS[name](task, seed=seed)
            results[name] = _identified(log_p, task, recording[held], seed=seed, false_alarm=false_alarm)
        return results

    found = attacked("the features", z)
    if offsets is not None:
        task = naming_task(z[known], subject[known], z[held], subject[held])
        log_p = sensor_offset(task, offset_train=offsets[known])
        found["sensor offset"] = _identified(log_p, task, recording[held], seed=seed, false_alarm=false_alarm)
    others = {"softmax": softmax, "raw": raw, "second release": compare}
    beside = {
        name: max(attacked(name, one).values(), key=lambda result: result.accuracy)
        for name, one in others.items()
        if one is not None
    }
    guess = None if softmax is None else softmax.reshape(len(softmax), -1).argmax(axis=1)
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
        None if guess is None else label_only_rate(guess[known], subject[known], guess[held], subject[held]),
        beside,
        _verified(z, subject, recording, label, seed=seed),
        measure_uses(
            uses or {}, subject, {"features": z, **others}, learn=~held, strange=_strange(subject, seed=seed),
            trial=recording, seed=seed,
        ),
    )  # fmt: skip


def _identified(
    log_p: np.ndarray, task: Task, recording: np.ndarray, *, seed: int, false_alarm: float
) -> Identification:
    """Log-probabilities (rows, people) as the result that a network's would be."""
    found = score(log_p, task.code_test, trial=recording, seed=seed)
    correct = log_p.argmax(axis=1) == task.code_test
    least = trial_interval(correct, recording, seed=seed, beside=(false_alarm,))[2]
    return Identification(
        **asdict(found),
        majority=float((task.code_test == np.bincount(task.code_train).argmax()).mean()),
        epochs=0,
        subjects=task.classes,
        rows=len(correct),
        least=least,
    )


def _offsets(raw: np.ndarray) -> np.ndarray:
    """Means of windows (n, a, b) along both axes, (n, a + b): one of the two is time, the other's are the offsets."""
    flat = raw.reshape(*raw.shape[:2], -1).astype(np.float64)
    return np.concatenate([flat.mean(axis=2), flat.mean(axis=1)], axis=1)


def _verified(
    z: np.ndarray, subject: np.ndarray, recording: np.ndarray, label: np.ndarray | None, *, seed: int
) -> Verification | None:
    """Strangers told apart; None where there are too few people or recordings."""
    strange = _strange(subject, seed=seed)
    try:
        return verify(
            z[~strange],
            subject[~strange],
            z[strange],
            subject[strange],
            trial_test=recording[strange],
            label_test=None if label is None else label[strange],
            seed=seed,
        )
    except DomainError:
        return None


def _strange(subject: np.ndarray, *, seed: int) -> np.ndarray:
    """Whose rows are kept as strangers', bool (n,): three tenths of the people, two at least."""
    people = np.random.default_rng(seed).permutation(np.unique(subject))
    return np.isin(subject, people[: max(2, round(STRANGERS * len(people)))])


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
