"""Are these two windows from the same person? An attacker who learns that on some people and is tried on others.

Naming people needs recordings of them; verification does not, and so is the attack on strangers. Takes arrays of any
system; scikit-learn is imported inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keshi._validate import positive_integer, same_length
from keshi.errors import DomainError

PAIRS = 20_000  # of the same person, and as many of two people


@dataclass(frozen=True)
class Verification:
    """How well pairs of strangers' windows are told apart.

    Attributes:
        eer: error rate where as many strangers are accepted as the same person is refused; 0.5 says nothing leaks.
        auc: how often a pair of one person has the higher score; ties count half.
        accepted_at_1_percent: share of pairs of one person accepted where 1 % of strangers are.
        people, pairs: of the test; pairs of each kind.
    """

    eer: float
    auc: float
    accepted_at_1_percent: float
    people: int
    pairs: int


def verify(
    z_train: np.ndarray,
    subject_train: np.ndarray,
    z_test: np.ndarray,
    subject_test: np.ndarray,
    *,
    trial_test: np.ndarray,
    label_test: np.ndarray | None = None,
    pairs: int = PAIRS,
    seed: int = 0,
) -> Verification:
    """Learn directions that separate the people of the training (LDA), then score pairs of strangers by cosine.

    Args:
        z_train, subject_train: features of people the attacker knows, (n, ...) and (n,).
        z_test, subject_test: of other people.
        trial_test: the recording of every test row. Pairs of one person come from two recordings, because windows of
            one recording are alike for other reasons.
        label_test: pairs are of one label where it is given, so that the label does not tell.

    Raises:
        DomainError: fewer than two people in training or test, or nobody in the test has two recordings.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    same_length(z_train=z_train, subject_train=subject_train)
    same_length(z_test=z_test, subject_test=subject_test, trial_test=trial_test)
    positive_integer("pairs", pairs)
    known, strangers = np.unique(subject_train), np.unique(subject_test)
    if len(known) < 2 or len(strangers) < 2 or np.isin(strangers, known).any():
        raise DomainError(
            f"verification needs at least 2 people to learn from and 2 others to be tried on, got {len(known)} and "
            f"{len(strangers)}, {int(np.isin(strangers, known).sum())} of them in both."
        )
    train = np.asarray(z_train, dtype=np.float64).reshape(len(z_train), -1)
    test = np.asarray(z_test, dtype=np.float64).reshape(len(z_test), -1)
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=1e-2)
    model.fit((train - mean) / std, subject_train)
    points = model.transform((test - mean) / std)
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    first, second = _pairs(subject_test, trial_test, label_test, pairs, np.random.default_rng(seed))
    same = np.asarray(subject_test)[first] == np.asarray(subject_test)[second]
    return rates((points[first] * points[second]).sum(axis=1), same, people=len(strangers))


def rates(scores: np.ndarray, same: np.ndarray, *, people: int) -> Verification:
    """EER, AUC and acceptance from scores of pairs and whether each is of one person (n,), bool.

    Pairs with equal scores are accepted together, so the curve has a straight line there; reading the EER off sorted
    scores one by one would depend on their order, and saturated scores tie by the thousand.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    false, true, _ = roc_curve(same, scores, drop_intermediate=False)
    refused = 1 - true
    after = int(np.argmax(false >= refused))  # the curve crosses between this point and the one before
    before = max(after - 1, 0)
    gap_before, gap_after = refused[before] - false[before], false[after] - refused[after]
    part = gap_before / (gap_before + gap_after) if gap_before + gap_after > 0 else 0.0
    return Verification(
        eer=float(false[before] + part * (false[after] - false[before])),
        auc=float(roc_auc_score(same, scores)),
        accepted_at_1_percent=float(np.interp(0.01, false, true)),
        people=people,
        pairs=int(min(same.sum(), (~same).sum())),
    )


def _pairs(
    subject: np.ndarray, trial: np.ndarray, label: np.ndarray | None, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` pairs of one person from two recordings, and as many of two people."""
    codes = (
        np.zeros(len(subject), dtype=np.int64) if label is None else np.unique(label, return_inverse=True)[1]
    )
    who = np.unique(subject, return_inverse=True)[1]
    recording = np.unique(np.c_[who, np.unique(trial, return_inverse=True)[1]], axis=0, return_inverse=True)[
        1
    ].ravel()
    order = np.argsort(codes, kind="stable")
    begin = np.searchsorted(codes[order], codes)
    size = np.bincount(codes)[codes]
    found: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for _ in range(200):  # rejection: partners of the same label, kept where they are of a wanted kind
        first = rng.integers(len(subject), size=4 * count)
        second = order[begin[first] + rng.integers(size[first])]
        same = who[first] == who[second]
        wanted = {True: same & (recording[first] != recording[second]), False: ~same}
        for kind, rows in wanted.items():
            found[kind].append(np.stack([first[rows], second[rows]]))
        if min(sum(part.shape[1] for part in parts) for parts in found.values()) >= count:
            break
    joined = [np.concatenate(parts, axis=1)[:, :count] for parts in found.values()]
    if min(part.shape[1] for part in joined) == 0:
        raise DomainError(
            "verification needs people with two recordings (of one label), and two people who share one."
        )
    least = min(part.shape[1] for part in joined)
    both = np.concatenate([part[:, :least] for part in joined], axis=1)
    return both[0], both[1]
