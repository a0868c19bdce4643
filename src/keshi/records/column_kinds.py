"""Kinds of columns: what may be declared of one, from public knowledge. Imports nothing of keshi."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np

Value = str | int | float | bool
MOST_CLASSES = 4_096  # of a label: each takes measurements of its own
WIDE = 2**16  # between bounds: of an even scale's first 4,096 intervals each would hold 16 units
FAR_OUT = 2**20  # times the distance of the bounds: beyond, both are of one order of magnitude
RESOLUTIONS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}  # in seconds
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Categorical:
    """A column of named values.

    Attributes:
        categories: The values, in the order they are listed.
        missing: Whether a missing value is a cell of its own.
        other: Whether any value that is not listed is a cell of its own, written back as "OTHER".
        dtype: pandas dtype of the column that comes back; None chooses one from the categories.
    """

    categories: tuple[Value, ...]
    missing: bool = False
    other: bool = False
    dtype: str | None = None

    def __post_init__(self) -> None:
        if isinstance(
            self.categories, list | tuple
        ):  # numpy's scalars, as in series.unique(), become Python's
            plain = tuple(v.item() if hasattr(v, "item") else v for v in self.categories)
            object.__setattr__(self, "categories", plain)

    @property
    def cells(self) -> int:
        """Number of cells: the categories, then OTHER, then MISSING."""
        return len(self.categories) + self.other + self.missing


@dataclass(frozen=True)
class Ordinal(Categorical):
    """A categorical column whose categories are listed from lowest to highest."""


@dataclass(frozen=True)
class Numerical:
    """A column of numbers between public bounds.

    Attributes:
        lower, upper: The public bounds, in the column's own unit.
        integer: Whether the values are whole numbers.
        missing: Whether a missing value is a cell of its own.
        dtype: pandas dtype of the column that comes back; None chooses int64, Int64 or float64.
        bins: Public cut points between the bounds, ascending, for counts of this column; a bin includes its lower
            edge. Empty where whoever counts may choose.
        scale: "linear", or "log" where orders of magnitude matter (balances, bytes); None chooses: log
            where the bounds are 65,536 or more apart.
        decimals: Digits after the point that such numbers are written with (2: prices), public like the bounds; None
            where that is not known, and then there are as many as the encoding can tell apart.
    """

    lower: float
    upper: float
    integer: bool = False
    missing: bool = False
    dtype: str | None = None
    bins: tuple[float, ...] = ()
    scale: str | None = None
    decimals: int | None = None

    def __post_init__(self) -> None:
        _plain_bins(self)
        bounds = (self.lower, self.upper)
        plain = all(isinstance(bound, int | float) for bound in bounds)
        if self.scale is None and plain and self.upper - self.lower >= WIDE and not self.bounds_far_out:
            object.__setattr__(self, "scale", "log")  # it is written down with the domain

    @property
    def bounds_far_out(self) -> bool:
        """Whether the bounds are so close to each other and so far from 0 that their logarithms are all but one."""
        return 0 < (self.upper - self.lower) * FAR_OUT < max(abs(self.lower), abs(self.upper))

    @property
    def per_unit(self) -> int | None:
        """How many values there are from one whole number to the next; None where nothing is declared of that."""
        if self.integer:
            return 1
        return None if self.decimals is None else int(10**self.decimals)


@dataclass(frozen=True)
class Timestamp:
    """A column of points in time between public bounds (ISO 8601; both with or both without an offset).

    Attributes:
        lower, upper: The public bounds.
        missing: Whether a missing value is a cell of its own.
        dtype: pandas dtype of the column that comes back; None chooses datetime64[us].
        bins: Cut points between the bounds, as in Numerical, written like them.
        resolution: "day", "hour", "minute" or "second", public like the bounds: moments are read as the beginning of
            theirs (in UTC where the bounds have an offset), and come back so. None: whole seconds come back.
    """

    lower: str
    upper: str
    missing: bool = False
    dtype: str | None = None
    bins: tuple[str, ...] = ()
    resolution: str | None = None

    def __post_init__(self) -> None:
        _plain_bins(self)

    @property
    def seconds_apart(self) -> int:
        """Seconds from one value that comes back to the next."""
        return RESOLUTIONS[self.resolution or "second"]

    @property
    def bounds_seconds(self) -> tuple[float, float]:
        """Lower and upper bound in seconds since 1970 (local wall time where no offset is given)."""
        return _seconds(self.lower), _seconds(self.upper)

    @property
    def bins_seconds(self) -> tuple[float, ...]:
        """The cut points in seconds since 1970, as in `bounds_seconds`."""
        return tuple(_seconds(moment) for moment in self.bins)

    @property
    def zoned(self) -> bool:
        """Whether the bounds carry an offset, so that values come back in UTC."""
        return datetime.fromisoformat(self.lower).tzinfo is not None


@dataclass(frozen=True)
class Image:
    """A column of images between public bounds, each of the same size.

    Attributes:
        height, width: In pixels.
        channels: 1 for grey values, 3 for colours.
        lower, upper: The public bounds of a pixel, or of each channel.
        integer: Whether pixels are whole numbers; those from 0 to 255 come back as uint8.
    """

    height: int
    width: int
    channels: int = 1
    lower: float | tuple[float, ...] = 0
    upper: float | tuple[float, ...] = 255
    integer: bool = True

    def __post_init__(self) -> None:
        _bounds_to_tuples(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (height, width), with (channels,) behind where there are several."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


@dataclass(frozen=True)
class Window:
    """A column of pieces of equal length of a recording, with public bounds.

    Attributes:
        length: Samples in a window.
        channels: Sensor channels.
        lower, upper: The public bounds of a sample, or of each channel: the ranges of the sensors.
        rate: Samples per second, where it is known.
    """

    length: int
    channels: int
    lower: float | tuple[float, ...]
    upper: float | tuple[float, ...]
    rate: float | None = None

    def __post_init__(self) -> None:
        _bounds_to_tuples(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one window: (length, channels)."""
        return (self.length, self.channels)


ArrayColumn = Image | Window
Column = Categorical | Numerical | Timestamp | Image | Window


def in_numbers(column: Column) -> Column:
    """Moments with a resolution as the whole numbers they are: days, say, since 1970. Other columns as they are.

    Both are encoded alike.
    """
    if not isinstance(column, Timestamp) or column.resolution is None:
        return column
    lower, upper = (round(bound / column.seconds_apart) for bound in column.bounds_seconds)
    bins = tuple(cut / column.seconds_apart for cut in column.bins_seconds)
    return Numerical(lower, upper, integer=True, missing=column.missing, bins=bins, scale="linear")


def _bounds_to_tuples(column: Image | Window) -> None:
    for key in ("lower", "upper"):
        if isinstance(getattr(column, key), list):
            object.__setattr__(column, key, tuple(getattr(column, key)))


def _plain_bins(column: Numerical | Timestamp) -> None:
    """A list, or numpy's numbers, become a tuple of Python's."""
    if isinstance(column.bins, list | tuple):
        plain = tuple(cut.item() if hasattr(cut, "item") else cut for cut in column.bins)
        object.__setattr__(column, "bins", plain)


def _seconds(moment: str) -> float:
    parsed = datetime.fromisoformat(moment)
    start = datetime(1970, 1, 1, tzinfo=UTC if parsed.tzinfo else None)
    return (parsed - start).total_seconds()


def category_key(value: Any) -> str:
    """The text by which a value is matched to a category: 1, 1.0 and "1" are the same, True is "true"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "true" if value else "false"
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
    # Whole numbers keep all their digits: float() would merge identifiers above 2^53.
    if math.isfinite(number) and number == int(number) and abs(number) < 2**53:
        return str(int(number))
    return str(value)


def read_moment(value: Any) -> tuple[float, bool] | None:
    """Seconds since 1970 and whether the value has an offset from UTC; None where it is no moment."""
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, np.datetime64):
            value = value.astype("datetime64[us]").item()
        if not isinstance(value, datetime):
            if not isinstance(value, date):
                return None
            value = datetime.combine(value, time())
    except ValueError:
        return None
    zoned = value.tzinfo is not None
    return (value - (_EPOCH_UTC if zoned else _EPOCH)).total_seconds(), zoned
