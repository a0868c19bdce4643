"""Pairs of windows by cell: the same person or not (first letter), the same label or not (second letter).

pp: same person, same label; pn: same person, other label; np: other person, same label; nn: both differ.
Windows are sorted once by person and by label; after that a draw is a few array operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keshi._validate import one_of, same_length
from keshi.errors import DomainError

CELLS = ("pp", "pn", "np", "nn")
# Each mode as shares of the sets that pairs come from; p and n join both labels.
PAIR_MODES = {
    "balanced": {"p": 0.5, "n": 0.5},  # P(the same person) = 1/2
    "cells": {"pp": 0.25, "pn": 0.25, "np": 0.25, "nn": 0.25},
    "conditional": {"pp": 0.5, "np": 0.5},  # the same label always: nothing about the label is asked
    "learned": {"np": 0.5, "nn": 0.5},  # what LSM's step 2 looks at (eq. 5)
    "natural": {},  # two independent draws: P(the same person) = sum of squared shares, 1/10 of 10 people
}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Row numbers of both members (n,), and same_subject, same_label (n,) bool."""

    first: np.ndarray
    second: np.ndarray
    same_subject: np.ndarray
    same_label: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


class PairSampler:
    """Draws pairs of windows from labels (n,) and subjects (n,).

    The first member is drawn among the windows that have a partner in the wanted set, the second among those
    partners, each equally likely. So the first member alone says nothing about the set, up to windows
    without any partner there. Sets that nobody can fill (a person who never did an activity, one recording
    only) are left out, their share goes to the others, and `empty` names them.
    """

    def __init__(self, label: np.ndarray, subject: np.ndarray, *, mode: str = "balanced") -> None:
        one_of("pairs", mode, tuple(PAIR_MODES))
        same_length(label=label, subject=subject)
        self.mode = mode
        self._label = np.unique(label, return_inverse=True)[1].astype(np.int64)
        self._subject = np.unique(subject, return_inverse=True)[1].astype(np.int64)
        self._n = len(self._label)
        group = self._subject * (self._label.max(initial=0) + 1) + self._label
        # Both orders keep a (person, label) block contiguous, in position `place` within its sort.
        self._by_subject, self._by_label = (
            np.lexsort((self._label, self._subject)),
            np.lexsort((self._subject, self._label)),
        )
        self._place_by_subject, self._place_by_label = (
            np.argsort(self._by_subject),
            np.argsort(self._by_label),
        )
        self._of_subject = _Blocks(self._subject, self._by_subject)
        self._of_label = _Blocks(self._label, self._by_label)
        self._group_by_subject = _Blocks(group, self._by_subject)
        self._group_by_label = _Blocks(group, self._by_label)

        person, labelled, both = self._of_subject.size, self._of_label.size, self._group_by_subject.size
        self._partners = {
            "p": person - 1,
            "n": self._n - person,
            "pp": both - 1,
            "pn": person - both,
            "np": labelled - both,
            "nn": self._n - person - labelled + both,
        }
        self._anchors = {name: np.flatnonzero(count > 0) for name, count in self._partners.items()}
        wanted = PAIR_MODES[mode]
        self.empty = tuple(name for name in wanted if self._anchors[name].size == 0)
        filled = {name: share for name, share in wanted.items() if name not in self.empty}
        if wanted and not filled:
            raise DomainError(
                f"pairs={mode!r} finds no pair at all among {self._n} windows of "
                f"{self._subject.max(initial=-1) + 1} subjects and {self._label.max(initial=-1) + 1} labels."
            )
        total = sum(filled.values())
        self.shares = {name: share / total for name, share in filled.items()}

    def partners(self, name: str) -> np.ndarray:
        """How many partners (n,) each window has in a set: p, n, pp, pn, np or nn."""
        return self._partners[name]

    def draw(self, count: int, rng: np.random.Generator) -> Pairs:
        """Draw `count` pairs; shares are met exactly up to one pair."""
        if self.mode == "natural":
            first, second = rng.integers(self._n, size=(2, count))
        else:
            parts = [
                (anchors := rng.choice(self._anchors[name], n), self._partner(name, anchors, rng))
                for name, n in self._counts(count, rng).items()
            ]
            first, second = (np.concatenate(side) for side in zip(*parts, strict=True))
        return Pairs(
            first,
            second,
            same_subject=self._subject[first] == self._subject[second],
            same_label=self._label[first] == self._label[second],
        )

    def within(self, rows: np.ndarray, rng: np.random.Generator) -> Pairs:
        """Pair every window of a batch, rows (n,), with another of the same batch; positions in it are returned.

        Each window is the first member once, so that an encoder runs once per window rather than once per member.
        The shares of the sets are met up to windows that have no partner of their set in the batch; these are
        left out.
        """
        label, subject = self._label[rows], self._subject[rows]
        same_label, same_subject = label[:, None] == label, subject[:, None] == subject
        others = ~np.eye(len(rows), dtype=bool)
        wanted = np.repeat(
            list(self.shares) or [""], list(self._counts(len(rows), rng).values()) or [len(rows)]
        )
        rng.shuffle(wanted)
        allowed = others
        for place, same in enumerate((same_subject, same_label)):
            letter = np.array([name[place] if len(name) > place else "" for name in wanted.tolist()])[:, None]
            allowed = allowed & ((letter == "") | (same == (letter == "p")))
        draw = np.where(allowed, rng.random(allowed.shape), -1.0)
        first = np.flatnonzero(allowed.any(axis=1))
        second = draw[first].argmax(axis=1)
        return Pairs(first, second, same_subject[first, second], same_label[first, second])

    def _counts(self, count: int, rng: np.random.Generator) -> dict[str, int]:
        counts = {name: int(count * share) for name, share in self.shares.items()}
        for name in rng.permutation(list(counts))[: count - sum(counts.values())]:
            counts[name] += 1
        return counts

    def _partner(self, name: str, a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One partner for every anchor: an offset in a sorted order that jumps over the excluded block."""
        u = rng.integers(self._partners[name][a])
        person, label = self._of_subject, self._of_label
        if name == "p":
            at = person.begin[a] + u
            return self._by_subject[at + (at >= self._place_by_subject[a])]
        if name == "pp":
            at = self._group_by_subject.begin[a] + u
            return self._by_subject[at + (at >= self._place_by_subject[a])]
        if name == "n":
            return self._by_subject[u + (u >= person.begin[a]) * person.size[a]]
        if name == "pn":
            at = person.begin[a] + u
            return self._by_subject[
                at + (at >= self._group_by_subject.begin[a]) * self._group_by_subject.size[a]
            ]
        if name == "np":
            at = label.begin[a] + u
            return self._by_label[at + (at >= self._group_by_label.begin[a]) * self._group_by_label.size[a]]
        # nn is no contiguous piece of either order: draw other people, and again those with the same label.
        found = np.empty_like(a)
        open_ = np.arange(len(a))
        while open_.size:
            left = a[open_]
            u = rng.integers(self._n - person.size[left])
            found[open_] = self._by_subject[u + (u >= person.begin[left]) * person.size[left]]
            open_ = open_[self._label[found[open_]] == self._label[left]]
        return found


class _Blocks:
    """For every window the beginning and the size of its block in a sorted order where blocks are whole."""

    def __init__(self, code: np.ndarray, order: np.ndarray) -> None:
        _, begin, inverse, size = np.unique(
            code[order], return_index=True, return_inverse=True, return_counts=True
        )
        self.begin = np.empty_like(code)
        self.size = np.empty_like(code)
        self.begin[order], self.size[order] = begin[inverse], size[inverse]
