"""Known people and unknown people: which windows train, which are held out, which belong to strangers.

Three ways to hold out windows of known people, because overlapping windows leak into a random split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keshi._validate import in_range, one_of
from keshi.errors import DomainError
from keshi.records.windows import Windows

SPLIT_KINDS = ("random", "blocked", "trials")
UNKNOWN_SHARE = 0.3  # share of people kept as strangers where none are named; the paper keeps 4 of 14


@dataclass(frozen=True, eq=False)
class PeopleSplit:
    """Row numbers of `Windows`: train and test_known of the known people, test_unknown of the others."""

    train: np.ndarray
    test_known: np.ndarray
    test_unknown: np.ndarray
    known: tuple
    unknown: tuple
    kind: str


def choose_unknown(subjects: Sequence) -> tuple:
    """The last three tenths of the people, in order; nobody where fewer than two would stay known."""
    people = sorted(set(subjects))
    count = min(max(1, round(UNKNOWN_SHARE * len(people))), max(0, len(people) - 2))
    return tuple(people[len(people) - count :])


def split_people(
    windows: Windows,
    *,
    unknown: Sequence | None = None,
    held_out: float = 0.1,
    kind: str = "blocked",
    seed: int = 0,
) -> PeopleSplit:
    """Split windows by person, then the known people's windows into training and test.

    Kinds:
        random: any tenth of the windows, as in the paper; half of a test window may be in training.
        blocked: the tail of every recording, without the training windows that overlap it.
        trials: whole recordings, at least one for every subject and label that has two.

    Raises:
        DomainError: an unknown subject that does not exist, fewer than two known subjects or labels,
            or (trials) a subject with one recording only.
    """
    one_of("kind", kind, SPLIT_KINDS)
    in_range("held_out", held_out, 0.0, 1.0, open_ends=True)
    people = windows.subjects
    strangers = choose_unknown(people) if unknown is None else tuple(unknown)
    absent = [s for s in strangers if s not in people]
    if absent:
        raise DomainError(f"unknown subjects {absent} do not occur; the subjects are {list(people)}.")
    known = tuple(s for s in people if s not in strangers)
    if len(known) < 2:
        raise DomainError(
            f"at least 2 known subjects are needed to learn what to erase, got {len(known)} of {len(people)}."
            " Keep fewer subjects unknown (unknown=, --unknown), or record more people."
        )
    is_known = np.isin(windows.subject, known)
    labels = np.unique(windows.label[is_known])
    if len(labels) < 2:
        raise DomainError(
            f"the known subjects have only one label ({labels[0]!s}); there must be at least 2 to keep."
        )
    if kind == "random":
        train, test = _random_rows(np.flatnonzero(is_known), held_out, seed)
    elif kind == "blocked":
        train, test = _blocked_rows(windows, np.flatnonzero(is_known), held_out)
    else:
        train, test = _trial_rows(windows, np.flatnonzero(is_known), held_out, seed)
    lost = sorted(set(known) - set(np.unique(windows.subject[train]).tolist()))
    if lost or test.size == 0:
        what = f"no training window is left for subjects {lost}" if lost else "no window is held out"
        raise DomainError(
            f"split {kind!r} with held_out={held_out:g}: {what}. Use longer or more recordings."
        )
    return PeopleSplit(train, test, np.flatnonzero(~is_known), known, strangers, kind)


def training_rows(windows: Windows, train: np.ndarray, *, most: int | None, seed: int) -> np.ndarray:
    """At most `most` of the training rows, drawn at random, and all rows of whoever the draw has missed.

    A known person with held-out windows and none to train on could be named by no attacker.
    """
    if most is None or most >= len(train):
        return train
    drawn = np.random.default_rng(seed).choice(train, most, replace=False)
    missed = train[~np.isin(windows.subject[train], windows.subject[drawn])]
    rows: np.ndarray = np.sort(np.concatenate([drawn, missed]))
    return rows


def _random_rows(rows: np.ndarray, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    shuffled = np.random.default_rng(seed).permutation(rows)
    count = round(held_out * len(rows))
    return np.sort(shuffled[count:]), np.sort(shuffled[:count])


def _blocked_rows(windows: Windows, rows: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    """Hold out the tail of every recording; drop the windows before it that reach into it."""
    train, test = [], []
    for own in _by_trial(windows, rows):
        own = own[np.argsort(windows.start[own], kind="stable")]
        count = round(held_out * len(own))
        if count == 0 and len(own) >= 3:
            count = 1
        tail = own[len(own) - count :]
        head = own[: len(own) - count]
        if tail.size:
            head = head[windows.start[head] + windows.length <= windows.start[tail[0]]]
        train.append(head)
        test.append(tail)
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def _trial_rows(
    windows: Windows, rows: np.ndarray, held_out: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out whole recordings of every (subject, label) that has at least two."""
    rng = np.random.default_rng(seed)
    recordings: dict[tuple, list[np.ndarray]] = {}
    per_subject: dict[object, int] = {}
    for own in _by_trial(windows, rows):
        subject, label = windows.subject[own[0]].item(), windows.label[own[0]].item()
        recordings.setdefault((subject, label), []).append(own)
        per_subject[subject] = per_subject.get(subject, 0) + 1
    single = [subject for subject, count in per_subject.items() if count < 2]
    if single:
        raise DomainError(
            f"split 'trials' holds out whole recordings, but subjects {single} have one recording each. "
            "Use the split 'blocked', which holds out the end of every recording."
        )
    train: list[np.ndarray] = []
    test: list[np.ndarray] = []
    for group in recordings.values():
        count = max(1, round(held_out * len(group))) if len(group) >= 2 else 0
        chosen = set(rng.permutation(len(group))[:count].tolist())
        for number, own in enumerate(group):
            (test if number in chosen else train).append(own)
    nothing = np.array([], dtype=np.int64)
    return np.sort(np.concatenate([nothing, *train])), np.sort(np.concatenate([nothing, *test]))


def _by_trial(windows: Windows, rows: np.ndarray) -> list[np.ndarray]:
    """The rows of every recording, as separate arrays."""
    order = rows[np.argsort(windows.trial[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(windows.trial[order])) + 1
    return np.split(order, cuts)
