"""Recordings cut into windows of equal length, and the reversible scaling of their channels.

A window never crosses the end of a recording, so it has one label, one subject and one trial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keshi._validate import one_of, positive_integer, same_length
from keshi.errors import DomainError, RecordsError
from keshi.records.further import per_window

COUNTING_RULES = ("full", "half-open")


@dataclass(frozen=True, eq=False)
class Recording:
    """One uninterrupted recording: x (length, channels), one label, one subject, the trial's name.

    `rate` is in samples per second, where it is known. `further` has other columns of it by name: one value, or an
    array of one number a sample; nothing is trained on them.
    """

    x: np.ndarray
    label: Hashable
    subject: Hashable
    trial: Hashable = 0
    rate: float | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"subject {self.subject!s}, label {self.label!s}, trial {self.trial!s}"


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows x (n, channels, length) float32 with, per window, label, subject, trial and start.

    `trial` numbers the recordings (0, 1, ...), so windows with the same number may overlap; `start` is the
    window's first sample within its recording. Both are what honest splits and intervals need. `further` has other
    columns by name, a value a window.
    """

    x: np.ndarray
    label: np.ndarray
    subject: np.ndarray
    trial: np.ndarray
    start: np.ndarray
    further: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = {"x": self.x, "label": self.label, "subject": self.subject, "trial": self.trial}
        same_length(**named, start=self.start, **{f"further {k}": v for k, v in self.further.items()})
        if self.x.ndim != 3:
            raise RecordsError(
                f"windows must be (n, channels, length), got an array of shape {self.x.shape}."
            )

    def __len__(self) -> int:
        return len(self.x)

    @property
    def channels(self) -> int:
        return self.x.shape[1]

    @property
    def length(self) -> int:
        """Samples per window."""
        return self.x.shape[2]

    @property
    def subjects(self) -> tuple:
        """The subjects that occur, in order."""
        return tuple(np.unique(self.subject).tolist())

    def take(self, rows: np.ndarray) -> Windows:
        """The windows that an index array or a boolean mask names."""
        further = {name: column[rows] for name, column in self.further.items()}
        return Windows(
            self.x[rows], self.label[rows], self.subject[rows], self.trial[rows], self.start[rows], further
        )


@dataclass(frozen=True)
class WindowPreset:
    """How a publication cut a data set: what to reproduce, and the count that proves it."""

    window: int
    stride: int
    counting: str
    subjects: tuple[int, ...]
    unknown: tuple[int, ...]
    expected: int


WINDOW_PRESETS = {
    # The count in Iwasawa et al. (JSAI 2018) is met exactly by 13 of the 14 people and the half-open loop.
    "uschad-paper": WindowPreset(30, 15, "half-open", tuple(range(1, 14)), (11, 12, 13), 172_169),
    "uschad-full": WindowPreset(30, 15, "full", tuple(range(1, 15)), (11, 12, 13, 14), 186_307),
}


def window_starts(length: int, *, window: int = 30, stride: int = 15, counting: str = "full") -> np.ndarray:
    """First samples of the windows of a recording of `length` samples.

    "full" keeps every window that fits; "half-open" is the loop range(0, length - window, stride), which
    drops a window that would end exactly with the recording (as the authors of SCT must have done).
    """
    one_of("counting", counting, COUNTING_RULES)
    last = length - window + (1 if counting == "full" else 0)
    return np.arange(0, max(last, 0), stride)


def segment(
    recordings: Iterable[Recording],
    *,
    window: int = 30,
    stride: int = 15,
    counting: str = "full",
    too_short: str = "refuse",
) -> Windows:
    """Cut recordings into windows of `window` samples, one every `stride` samples.

    Args:
        recordings: recordings with the same number of channels.
        window, stride: in samples; stride = window / 2 is an overlap of one half.
        counting: "full" or "half-open", see `window_starts`.
        too_short: what to do with a recording that gives no window: "refuse" or "skip".

    Raises:
        RecordsError: no recordings, differing channels, or a recording that is too short.
    """
    positive_integer("window", window)
    positive_integer("stride", stride)
    one_of("too_short", too_short, ("refuse", "skip"))
    recordings = list(recordings)
    if not recordings:
        raise RecordsError("there are no recordings to cut into windows.")
    _same_channels(recordings)

    pieces, starts, owners, further, short = [], [], [], [], []
    for number, recording in enumerate(recordings):
        begin = window_starts(len(recording.x), window=window, stride=stride, counting=counting)
        if begin.size == 0:
            short.append(f"{recording.name} ({len(recording.x)} samples)")
            continue
        views = np.lib.stride_tricks.sliding_window_view(recording.x, window, axis=0)  # (., channels, window)
        pieces.append(np.ascontiguousarray(views[begin], dtype=np.float32))
        starts.append(begin)
        owners.append(np.full(begin.size, number))
        further.append(recording.further)
    if short and (too_short == "refuse" or not pieces):
        shown = "; ".join(short[:5]) + ("; ..." if len(short) > 5 else "")
        raise RecordsError(
            f"{len(short)} of {len(recordings)} recordings are shorter than a window of {window} samples: "
            f'{shown}. Choose a shorter window, or too_short="skip" (--skip-short) to leave them out; in a csv the '
            "rows of a recording must stand together."
        )
    trial = np.concatenate(owners)
    return Windows(
        x=np.concatenate(pieces),
        label=_column([r.label for r in recordings])[trial],
        subject=_column([r.subject for r in recordings])[trial],
        trial=trial,
        start=np.concatenate(starts),
        further=per_window(further, starts, window=window),
    )


def segment_preset(recordings: Iterable[Recording], preset: str) -> Windows:
    """Cut USC-HAD as a publication did ("uschad-paper" or "uschad-full"); refuse any other count.

    Raises:
        DomainError: a subject of the preset is missing, or the number of windows is not the published one.
    """
    plan = WINDOW_PRESETS[one_of("preset", preset, tuple(WINDOW_PRESETS))]
    chosen = [r for r in recordings if r.subject in plan.subjects]
    missing = sorted(set(plan.subjects) - {r.subject for r in chosen})  # type: ignore[type-var]
    if missing:
        raise DomainError(
            f"preset {preset!r} needs USC-HAD subjects 1 to {plan.subjects[-1]}; {missing} are missing. "
            "Read the complete data set, or cut it without a preset (--window, --stride)."
        )
    windows = segment(chosen, window=plan.window, stride=plan.stride, counting=plan.counting)
    if len(windows) != plan.expected:
        raise DomainError(
            f"preset {preset!r} must give {plan.expected:,} windows, these recordings give {len(windows):,}: "
            "some trials are missing, doubled or cut."
        )
    return windows


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Per-channel scaling to mean 0 and standard deviation 1, with the statistics of the training windows.

    A channel that never changes in training is only centred, so the scaling stays reversible.
    """

    mean: np.ndarray  # (channels,) float32
    std: np.ndarray  # (channels,) float32, above 0

    @classmethod
    def fit(cls, x: np.ndarray) -> Standardizer:
        """Learn mean and standard deviation of every channel of x (n, channels, length)."""
        if len(x) == 0:
            raise RecordsError("cannot learn a scaling from no windows.")
        mean = x.mean(axis=(0, 2), dtype=np.float64)
        # Two passes in double precision, one channel at a time: exact enough, and no copy of all windows.
        std = np.array([np.sqrt(np.mean((x[:, c].astype(np.float64) - m) ** 2)) for c, m in enumerate(mean)])
        # Single precision leaves rounding in place of a true zero, hence a relative threshold.
        constant = std <= 1e-6 * np.maximum(1.0, np.abs(mean))
        return cls(mean.astype(np.float32), np.where(constant, 1.0, std).astype(np.float32))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Scale x (n, channels, length)."""
        self._check(x)
        return ((x - self.mean[:, None]) / self.std[:, None]).astype(np.float32, copy=False)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """Undo `apply`."""
        self._check(x)
        return (x * self.std[:, None] + self.mean[:, None]).astype(np.float32, copy=False)

    def _check(self, x: np.ndarray) -> None:
        if x.ndim != 3 or x.shape[1] != len(self.mean):
            raise DomainError(
                f"expected windows (n, {len(self.mean)} channels, length), got an array of shape {x.shape}."
            )


def _same_channels(recordings: Sequence[Recording]) -> None:
    shapes = Counter(r.x.shape[1] if r.x.ndim == 2 else -1 for r in recordings)
    usual = shapes.most_common(1)[0][0]
    for recording in recordings:
        if recording.x.ndim != 2 or recording.x.shape[1] != usual:
            raise RecordsError(
                f"all recordings must be (length, channels) with the same channels; most have {usual}, "
                f"but {recording.name} has shape {recording.x.shape}."
            )


def _column(values: list) -> np.ndarray:
    """An array of labels or subjects: integers stay integers, everything else becomes text."""
    if all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
        return np.array(values, dtype=np.int64)
    return np.array([str(v) for v in values])
