"""The people of experiments/why_pairs.py: as many as wanted, real or simulated, on as many windows in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from window_sets import MADE_UP, SETS, Wearer, WindowSet, made_up_recordings

from keshi.censoring.splits import split_people
from keshi.records.recordings import read_recordings
from keshi.records.windows import Windows, segment

HELD_OUT = 0.2  # of every recording: its end


@dataclass(frozen=True, eq=False)
class Base:
    """Windows of real people, to learn from and held out, and the bounds of their sensors."""

    train: Windows
    test: Windows
    chosen: WindowSet


@dataclass(frozen=True, eq=False)
class World:
    """Windows of some people; `secret` is what is to be erased of each window, `strangers` other people with theirs."""

    train: Windows
    test: Windows
    secret_train: NDArray[Any]
    secret_test: NDArray[Any]
    strangers: tuple[Windows, NDArray[Any]] | None = None


def read_base(data: Path | None) -> Base:
    """USC-HAD cut as in the paper (30 samples, every 15), blocked split; made-up recordings without data."""
    chosen = SETS[MADE_UP if data is None else "usc-had"]
    if data is None:
        recordings = [
            replace(one, trial=number) for number in (0, 1) for one in made_up_recordings(seed=number)
        ]
    else:
        recordings = read_recordings(data / chosen.file, label=chosen.label, subject="subject")
    windows = segment(recordings, window=30, stride=15)
    parts = split_people(windows, unknown=(), held_out=HELD_OUT, kind="blocked")
    return Base(windows.take(parts.train), windows.take(parts.test_known), chosen)


def real_world(base: Base, people: int, *, rows: tuple[int, int], seed: int) -> World:
    """So many of the real people, drawn by the seed, with as many windows of each; rows to learn from and held out."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(base.train.subjects)[:people]
    train, test = (
        _together([part.take(_rows(part, who, count // people, random)) for who in chosen])
        for part, count in zip((base.train, base.test), rows, strict=True)
    )
    return World(train, test, train.subject, test.subject)


def simulated_world(
    base: Base, people: int, *, rows: tuple[int, int], seed: int, measured: bool = False
) -> World:
    """So many simulated people (window_sets.Wearer), each some real person with another way of wearing the sensor.

    With `measured` the secret is a number, the strength of a person's movements, spread three times as widely, and
    there are a third as many strangers with strengths of their own.
    """
    random = np.random.default_rng(seed)
    strangers = people // 3 if measured else 0
    behind = np.resize(random.permutation(base.train.subjects), people + strangers)
    wearers = [Wearer.drawn(random, base.chosen) for _ in behind]
    if measured:
        wearers = [replace(one, strength=one.strength**3) for one in wearers]
    strengths = np.array([one.strength for one in wearers])

    def recorded(part: Windows, whose: Sequence[int], count: int) -> Windows:
        found = []
        for person in whose:
            rows_of = _rows(part, behind[person], count // len(whose), random)
            own, wearer = part.take(rows_of), wearers[person]
            x = np.stack([wearer.wear(window) for window in own.x]).astype(np.float32)
            who = np.full(len(own), person)
            # a recording of somebody else is another recording
            found.append(
                Windows(x, own.label, who, person * (base.train.trial.max() + 1) + own.trial, own.start)
            )
        return _together(found)

    train, test = (
        recorded(part, range(people), count)
        for part, count in zip((base.train, base.test), rows, strict=True)
    )
    if not measured:
        return World(train, test, train.subject, test.subject)
    others = recorded(base.test, range(people, people + strangers), rows[1])
    return World(
        train, test, strengths[train.subject], strengths[test.subject], (others, strengths[others.subject])
    )


def _rows(part: Windows, who: Any, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    own = np.flatnonzero(part.subject == who)
    return np.sort(random.choice(own, min(count, len(own)), replace=False))


def _together(parts: Sequence[Windows]) -> Windows:
    names = ("x", "label", "subject", "trial", "start")
    return Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
