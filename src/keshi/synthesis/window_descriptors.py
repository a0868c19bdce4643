"""WindowDescriptors: a window of sensors as a few numbers, and windows made of such numbers. Public, fixed in advance.

A window is described by the level of every channel (where gravity points) and by how strongly it moves in a few bands
of frequency: a record of a table, which is measured and fitted as tables are. From a described window back to samples
each band is filled with noise of exactly that strength: what is lost are phases, and how channels move together within
a window. Strengths lie on a logarithmic scale, so that sleeping and running are both resolved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Categorical, Numerical, Window
from keshi.records.domain import Domain
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.array_basis import BASIS_BITS, array_column, cosines, is_one_array

BANDS = 3  # of the frequencies above 0, each as wide as the one before it times the cube root of the length
QUIETEST = 2.0**-16  # strength of a band, as a share of half the range, that counts as none
STEPS = 2**16  # of the logarithmic scale of strengths
COEFFICIENT_BITS = 16  # coefficients are rounded to multiples of 2^-16
MOST_CHANNELS = 32  # of four columns each: their pairs are all measured, and share the privacy
_ROWS = 4_096  # at a time


@dataclass(frozen=True)
class WindowDescriptors:
    """What windows of one shape are described by: a level and the strengths of some bands, channel after channel.

    Attributes:
        length: Samples.
        channels: Of a window.
    """

    length: int
    channels: int

    def __post_init__(self) -> None:
        # 12.0 would equal 12, and fail later.
        if type(self.length) is not int or type(self.channels) is not int:
            raise ValueError(
                f"a window has whole numbers of samples and channels, got {self.length!r} and {self.channels!r}."
            )

    @classmethod
    def suit(cls, domain: Domain) -> bool:
        """Whether the records are one window each, of not too many channels."""
        if not is_one_array(domain):
            return False
        column = array_column(domain)
        return isinstance(column, Window) and column.channels <= MOST_CHANNELS

    @classmethod
    def of(cls, domain: Domain) -> WindowDescriptors:
        """The descriptors of a domain's one window."""
        column = array_column(domain)
        assert isinstance(column, Window)
        return cls(column.length, column.channels)

    def fits(self, domain: Domain) -> bool:
        """Whether they describe the domain's windows."""
        return self.suit(domain) and WindowDescriptors.of(domain) == self

    def settings(self) -> list[int]:
        """As JSON; `WindowDescriptors(*settings)` is equal."""
        return [self.length, self.channels]

    @cached_property
    def bands(self) -> tuple[tuple[int, int], ...]:
        """First frequency of each band and of the next; fewer bands where windows are short."""
        cuts = sorted({round(self.length ** (part / BANDS)) for part in range(BANDS + 1)})
        return tuple(pairwise(cuts))

    @cached_property
    def octaves(self) -> float:
        """From the quietest band to the strongest that there can be: all of a window's energy at one frequency."""
        return math.log2(math.sqrt(self.length) / QUIETEST)

    @property
    def columns(self) -> int:
        return self.channels * (1 + len(self.bands))

    def domain(self, n_classes: int) -> Domain:
        """Of the table of described windows; it never sees a record."""
        names = ("level", *(f"band {low}-{high}" for low, high in self.bands))
        columns: dict[str, Numerical | Categorical] = {
            f"channel {channel} {name}": Numerical(-1.0, 1.0)
            for channel in range(self.channels)
            for name in names
        }
        if n_classes == 1:
            return Domain(columns)
        label = Categorical(tuple(str(label) for label in range(n_classes)))
        return Domain({**columns, "class": label}, label="class")

    def described(self, batch: EncodedBatch) -> EncodedBatch:
        """Records of the table, one for each window and of that alone.

        No batch or order changes a bit: coefficients are sums of multiples of 2^-36 below 2^16, a band's energy one of
        2^-32 below 2^20, and all else is done on one number.
        """
        found = np.empty((len(batch), self.channels, 1 + len(self.bands)))
        for start in range(0, len(batch), _ROWS):
            rows = slice(start, start + _ROWS)
            series = np.moveaxis(batch.vectors[rows].reshape(-1, self.length, self.channels), 1, 2)
            grid = 2.0**COEFFICIENT_BITS
            coefficients = np.rint((series @ self._cosines.T) * grid) / grid
            level = np.rint(coefficients[:, :, 0] / math.sqrt(self.length) * 2.0**FEATURE_BITS)
            found[rows, :, 0] = np.clip(level / 2.0**FEATURE_BITS, -1.0, 1.0)
            for index, (low, high) in enumerate(self.bands):
                energy = (coefficients[:, :, low:high] ** 2).sum(axis=2)
                step = np.searchsorted(self._steps * (high - low), energy, side="right")
                found[rows, :, 1 + index] = (2.0 * step + 1.0) / STEPS - 1.0
        return EncodedBatch(found.reshape(len(batch), self.columns), batch.classes)

    def windows(self, described: NDArray[np.float64], randomness: np.random.Generator) -> NDArray[np.float64]:
        """(n, length * channels) encoded windows that are described by the (n, columns) numbers, but for clipping."""
        numbers = described.reshape(len(described), self.channels, 1 + len(self.bands))
        coefficients = randomness.normal(size=(len(described), self.channels, self.length))
        coefficients[:, :, 0] = numbers[:, :, 0] * math.sqrt(self.length)
        for index, (low, high) in enumerate(self.bands):
            own = coefficients[:, :, low:high]
            strength = QUIETEST * np.exp2(self.octaves * (numbers[:, :, 1 + index] + 1.0) / 2.0)
            own *= (strength / np.sqrt((own**2).mean(axis=2)))[:, :, None]
        series = np.moveaxis(coefficients @ self._cosines, 2, 1)
        return np.clip(series.reshape(len(described), -1), -1.0, 1.0)

    @cached_property
    def _cosines(self) -> NDArray[np.float64]:
        """(length, length) cosine transform on the grid of 2^-16."""
        rows = cosines(self.length)
        rows *= 2.0**BASIS_BITS
        np.rint(rows, out=rows)
        rows /= 2.0**BASIS_BITS
        return rows

    @cached_property
    def _steps(self) -> NDArray[np.float64]:
        """(STEPS - 1,) mean squares at which a strength reaches its next step."""
        return QUIETEST**2 * np.exp2(2.0 * self.octaves * np.arange(1, STEPS) / STEPS)
