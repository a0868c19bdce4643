"""The windows that experiments/windows.py learns from: cut recordings, simulated people, yardsticks without privacy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.records.recordings import read_recordings
from keshi.records.windows import Recording, Windows, segment

MADE_UP = "made-up"


@dataclass(frozen=True)
class WindowSet:
    """Recordings and how to cut them. Bounds are the ranges of the sensors.

    Attributes:
        file: Below the data folder.
        label: Its array of activities.
        length: Samples of a window; the next one begins where it ends.
        rate: Samples per second.
        lower, upper: Of each channel.
        unknown: People who are only tested on.
    """

    file: str
    label: str
    length: int
    rate: float
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    unknown: tuple[int, ...]


SETS = {
    "usc-had": WindowSet(
        "usc-had/uschad_all.npz",
        "activity",
        64,
        100.0,
        (-6.0,) * 3 + (-500.0,) * 3,
        (6.0,) * 3 + (500.0,) * 3,
        (11, 12, 13, 14),
    ),
    "watch": WindowSet(
        "watch/watch.npz", "y", 64, 50.0, (-8.0,) * 3 + (-20.0,) * 3, (8.0,) * 3 + (20.0,) * 3, (9, 10)
    ),
    MADE_UP: WindowSet("", "activity", 32, 50.0, (-2.0,) * 2, (2.0,) * 2, (9, 10)),
}


@dataclass(frozen=True)
class Split:
    """Windows (n, length, channels) with label and person: to learn from, and two parts to test on."""

    train: Windows
    known: Windows
    unknown: Windows


def split_people(recordings: Sequence[Recording], chosen: WindowSet) -> Split:
    """Known people's first four fifths of every recording, their last fifth, and everything of unknown people."""
    early, late, other = [], [], []
    for one in recordings:
        if one.subject in chosen.unknown:
            other.append(one)
            continue
        last = len(one.x) * 4 // 5
        early.append(Recording(one.x[:last], one.label, one.subject, one.trial))
        late.append(Recording(one.x[last:], one.label, one.subject, one.trial))
    cut = {"window": chosen.length, "stride": chosen.length}
    return Split(*(segment(part, **cut, too_short="skip") for part in (early, late, other)))


def read_split(name: str, data: Path | None) -> Split:
    """The parts of a data set in the data folder, or of made-up recordings."""
    chosen = SETS[name]
    if name == MADE_UP:
        return split_people(made_up_recordings(), chosen)
    assert data is not None
    return split_people(read_recordings(data / chosen.file, label=chosen.label, subject="subject"), chosen)


def made_up_recordings(seed: int = 0) -> list[Recording]:
    """Ten people who walk and run, for --quick."""
    random, at = np.random.default_rng(seed), np.arange(1_000) / 50
    found = []
    for person in range(1, 11):
        for name, hertz in (("walk", 1.0), ("run", 2.5)):
            pace = hertz * random.normal(1, 0.05)
            x = np.column_stack([np.sin(2 * np.pi * pace * at), 0.5 * np.cos(2 * np.pi * pace * at)])
            found.append(Recording((x + random.normal(0, 0.2, x.shape)).astype(np.float32), name, person, 0))
    return found


@dataclass(frozen=True, eq=False)
class Wearer:
    """What makes one simulated person's windows (channels, length) differ from those of the real one behind it.

    How strongly people differ is set by hand (a tenth in strength, a twentieth in pace, some 15 degrees of the sensor's
    turn), not found out from data.
    """

    strength: float
    pace: float
    turn: NDArray[np.float64]
    offset: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    @classmethod
    def drawn(cls, random: np.random.Generator, chosen: WindowSet) -> Wearer:
        lower, upper = np.array(chosen.lower), np.array(chosen.upper)
        strength, pace = np.exp(random.normal(0, 0.1)), np.exp(random.normal(0, 0.05))
        turn = _rotation(random.normal(0, np.radians(15.0), 3))
        offset = random.normal(0, 0.02, len(lower)) * (upper - lower) / 8.0
        return cls(float(strength), float(pace), turn, offset, lower, upper)

    def wear(self, window: NDArray[Any]) -> NDArray[np.float64]:
        """The window as this person would have recorded it; every three channels are turned together."""
        channels, length = window.shape
        places = np.clip((np.arange(length) - length / 2) * self.pace + length / 2, 0, length - 1)
        changed = np.stack([np.interp(places, np.arange(length), one) for one in window])
        mean = changed.mean(axis=1, keepdims=True)
        changed = mean + self.strength * (changed - mean)
        for first in range(0, 3 * (channels // 3), 3):
            changed[first : first + 3] = self.turn @ changed[first : first + 3]
        return np.clip(changed + self.offset[:, None], self.lower[:, None], self.upper[:, None])


def simulated_people(real: Windows, chosen: WindowSet, people: int, *, seed: int) -> Windows:
    """One window an activity of each of so many people: a real window, its strength, pace, offset and axes changed.

    Whoever is made this way moves like one of the real people; see Wearer.
    """
    random = np.random.default_rng(seed)
    labels = np.unique(real.label)
    channels, length = real.channels, real.length
    found = np.empty((people, len(labels), channels, length), dtype=np.float32)
    by_class = {
        (s, c): np.flatnonzero((real.subject == s) & (real.label == c)) for s in real.subjects for c in labels
    }
    for person in range(people):
        wearer = Wearer.drawn(random, chosen)
        whose = real.subjects[random.integers(len(real.subjects))]
        for index, label in enumerate(labels):
            rows = by_class[whose, label]
            rows = rows if len(rows) else np.flatnonzero(real.label == label)
            found[person, index] = wearer.wear(real.x[rows[random.integers(len(rows))]])
    n = people * len(labels)
    who = np.repeat(np.arange(people), len(labels))
    return Windows(
        found.reshape(n, channels, length), np.tile(labels, people), who, who, np.zeros(n, dtype=np.int64)
    )


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    (a, b, c), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, a, -sa], [0, sa, a]])
    about_y = np.array([[b, 0, sb], [0, 1, 0], [-sb, 0, b]])
    about_z = np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def class_means(real: Windows, rows: int, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """The mean window of the class, again and again, with a little noise so that a CNN has something to learn."""
    label = random.choice(real.label, rows)
    means = {one: real.x[real.label == one].mean(axis=0) for one in np.unique(real.label)}
    x = np.stack([means[one] for one in label])
    return x + random.normal(0, 0.01, x.shape) * real.x.std(axis=(0, 2))[:, None], label


def independent_entries(
    real: Windows, rows: int, random: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every entry by itself, from a Gaussian with the class's own mean and deviation."""
    label = random.choice(real.label, rows)
    of = {
        one: (real.x[real.label == one].mean(axis=0), real.x[real.label == one].std(axis=0))
        for one in np.unique(real.label)
    }
    x = np.stack([of[one][0] for one in label]) + random.normal(size=(rows, *real.x.shape[1:])) * np.stack(
        [of[one][1] for one in label]
    )
    return x, label
