"""ArrayBasis: the lowest frequencies of an image or a window, the same for every data set. Public.

A cosine transform along height, width and colour, or along time within each channel: smooth directions come first,
and they hold most of what images and recordings are. Measuring fewer directions costs less noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Image, Window
from keshi.records.domain import Domain

BASIS_BITS = 16  # entries are multiples of 2^-16, so that a record's coefficients are exact in a float64
COLOUR_COST = (
    4.0  # a difference of colours counts as twice the frequency: eyes and cameras resolve it half as finely
)


@dataclass(frozen=True)
class ArrayBasis:
    """Some of the cosine directions of arrays of one shape.

    Attributes:
        shape: Of an array, channels last, one channel too.
        series: Whether the first axis is time and channels stand for themselves, as in a window.
        size: How many directions; the lowest frequencies come first.
    """

    shape: tuple[int, ...]
    series: bool
    size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if not 1 <= self.size <= self.width:
            raise ValueError(f"an array of {self.width} entries has 1 to {self.width} directions.")

    @classmethod
    def of(cls, domain: Domain, size: int) -> ArrayBasis:
        """The basis of a domain's one image or window, of at most `size` directions."""
        column = array_column(domain)
        if isinstance(column, Image):
            shape: tuple[int, ...] = (column.height, column.width, column.channels)
        else:
            shape = (column.length, column.channels)
        return cls(shape, isinstance(column, Window), min(size, int(np.prod(shape))))

    @property
    def width(self) -> int:
        """Entries of an encoded record."""
        return int(np.prod(self.shape))

    def fits(self, domain: Domain) -> bool:
        """Whether it is one of the domain's arrays."""
        return is_one_array(domain) and ArrayBasis.of(domain, self.size) == self

    def settings(self) -> list[object]:
        return [list(self.shape), self.series, self.size]

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """(size, width) directions of norm 1 (up to rounding), on the grid of 2^-16."""
        lengths = self.shape
        frequencies = [np.arange(length) / length for length in lengths]
        if self.series:
            cost = np.add.outer(frequencies[0] ** 2, np.zeros(lengths[1]))
        else:
            plane = np.add.outer(frequencies[0] ** 2, frequencies[1] ** 2)
            cost = np.stack([plane * (COLOUR_COST if channel else 1.0) for channel in range(lengths[2])], -1)
        chosen = np.argsort(np.round(cost.ravel(), 9), kind="stable")[: self.size]
        axes = [cosines(length) for length in lengths]
        if self.series:
            axes[1] = np.eye(lengths[1])
        picked = [axis[place] for axis, place in zip(axes, np.unravel_index(chosen, lengths), strict=True)]
        rows = picked[0]
        for more in picked[1:]:
            rows = (rows[:, :, None] * more[:, None, :]).reshape(len(chosen), -1)
        return np.rint(rows * 2.0**BASIS_BITS) / 2.0**BASIS_BITS


def array_column(domain: Domain) -> Image | Window:
    """The one image or window of a domain, where it stands alone beside the label."""
    (name,) = domain.array_columns
    return domain.array_columns[name]


def is_one_array(domain: Domain) -> bool:
    """Whether the records are one image or one window each, beside the label."""
    return len(domain.slots) == 1 and domain.slots[0].kind == "array"


def cosines(length: int) -> NDArray[np.float64]:
    """(length, length) orthonormal cosine transform, lowest frequency first."""
    place = (np.arange(length) + 0.5) * np.pi / length
    rows: NDArray[np.float64] = np.outer(np.arange(length), place)
    np.cos(rows, out=rows)  # in place, as what follows: of a long window they take gigabytes
    rows *= np.sqrt(2.0 / length)
    rows[0] /= np.sqrt(2.0)
    return rows
