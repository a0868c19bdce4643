"""A column of images or windows <-> numbers in [-1, 1] on the public grid. Imports neither privacy nor networks.

Every record is read by itself: which others stand in the batch cannot change a bit of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.records.column_kinds import ArrayColumn, Image
from keshi.records.columns import Problem
from keshi.records.domain import table_name
from keshi.records.encoded import FEATURE_BITS

NUMBERS = "biuf"  # kinds of dtype whose values are numbers


def array_bounds(column: ArrayColumn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper bound of every entry, each of the column's shape."""
    full = (*column.shape, 1) if isinstance(column, Image) and column.channels == 1 else column.shape
    lower, upper = (
        np.broadcast_to(np.asarray(bounds, dtype=np.float64), full).reshape(column.shape)
        for bounds in (column.lower, column.upper)  # one number, or one for each channel, the last axis
    )
    return lower, upper


def array_dtype(column: ArrayColumn) -> np.dtype[Any]:
    """Of the arrays that come back: uint8 for whole numbers from 0 to 255, int64 for others, else float32."""
    if not (isinstance(column, Image) and column.integer):
        return np.dtype(np.float32)
    lower, upper = array_bounds(column)
    return np.dtype(np.uint8 if lower.min() >= 0 and upper.max() <= 255 else np.int64)


def read_arrays(
    name: str, column: ArrayColumn, series: pd.Series, *, outside: str
) -> tuple[NDArray[np.float64], list[Problem]]:
    """(n, entries) values scaled to [-1, 1] on the 2^-20 grid, and what is wrong with any record.

    Args:
        name: Of the column.
        column: Its declaration.
        series: (n,) one array a record, of the column's shape; (height, width, 1) stands for (height, width).
        outside: "clip" moves an entry to the nearest bound, "refuse" makes it a problem.
    """
    size = math.prod(column.shape)
    values = series.tolist()
    problems = _shape_problems(name, column, values)
    if problems:
        return np.zeros((len(values), size)), problems
    flat = np.empty((len(values), size))
    for row, value in enumerate(values):
        flat[row] = np.asarray(value).reshape(-1)
    if not np.isfinite(flat).all():
        what = f"column {name!r} has arrays with entries that are not finite numbers (NaN, infinity)"
        return np.zeros_like(flat), [Problem(what, "Fill or cut the gaps first, or leave out those records.")]
    lower, upper = (end.reshape(-1) for end in array_bounds(column))
    if isinstance(column, Image) and column.integer:
        between = (flat != np.rint(flat)) & (flat > lower) & (flat < upper)
        if between.any():  # most often shares from 0 to 1, which would all become black
            what = f"column {name!r} has entries that are not whole numbers, as they are declared to be"
            advice = f"Scale or round them, or set integer = false, with their bounds, in {table_name(name)}."
            return np.zeros_like(flat), [Problem(what, advice, tuple(flat[between][:3]))]
    if outside == "refuse":
        problems = _outside_problems(name, column, flat, lower, upper)
    np.clip(flat, lower, upper, out=flat)
    # Half of everything: bounds near the largest number must not overflow.
    scaled = (flat / 2 - lower / 2) / (upper / 2 - lower / 2) * 2 - 1
    return np.rint(scaled * 2**FEATURE_BITS) / 2**FEATURE_BITS, problems


def decode_arrays(column: ArrayColumn, scaled: NDArray[Any]) -> pd.Series:
    """(n, entries) values in [-1, 1] back to a column of arrays of the declared shape, within the bounds."""
    lower, upper = array_bounds(column)
    share = (np.clip(np.asarray(scaled, dtype=np.float64), -1.0, 1.0) + 1.0) / 2.0
    numbers = np.clip(lower + share.reshape(-1, *column.shape) * (upper - lower), lower, upper)
    dtype = array_dtype(column)
    if dtype.kind in "iu":
        numbers = np.clip(np.rint(numbers), np.ceil(lower), np.floor(upper))
        arrays = numbers.astype(dtype)
    else:
        arrays = numbers.astype(np.float32)  # which may round past a bound: then the next one inside
        arrays = np.where(arrays > upper, np.nextafter(arrays, np.float32(-np.inf)), arrays)
        arrays = np.where(arrays < lower, np.nextafter(arrays, np.float32(np.inf)), arrays)
    column_of_arrays = np.empty(len(arrays), dtype=object)
    column_of_arrays[:] = list(arrays)
    return pd.Series(column_of_arrays)


def stacked(series: pd.Series) -> NDArray[Any] | None:
    """(n, ...) one array of a column of arrays; None where the column holds anything else."""
    if series.dtype != object or not len(series) or not isinstance(series.iloc[0], np.ndarray):
        return None
    return np.stack(series.tolist())


def _shape_problems(name: str, column: ArrayColumn, values: Sequence[Any]) -> list[Problem]:
    """Anything that is no array of numbers of the declared shape."""
    shapes = {column.shape}
    if column.channels == 1:  # the axis of the one channel may be there or not
        shapes.add((*column.shape, 1) if isinstance(column, Image) else column.shape[:1])
    missing = strange = False
    found: set[tuple[int, ...]] = set()
    for value in values:
        if isinstance(value, np.ndarray | list):
            try:
                array = np.asarray(value)
            except ValueError:  # lists of different lengths
                strange = True
                continue
            if array.dtype.kind not in NUMBERS or np.ma.is_masked(value):  # a mask is lost by asarray
                strange = True
            elif array.shape not in shapes:
                found.add(array.shape)
        elif value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
            missing = True
        else:
            strange = True
    problems = []
    if missing:
        what = f"column {name!r} has records without an array"
        problems.append(Problem(what, "An image or a window cannot be missing; leave out those records."))
    if strange:
        what = f"column {name!r} has records that are no arrays of numbers"
        problems.append(Problem(what, "Give each record a numpy array of integers or floats."))
    if found:
        problems.append(
            Problem(
                f"column {name!r} has arrays that are not of its declared shape {column.shape}",
                f"Resize or cut them, or correct {table_name(name)}.",
                tuple(sorted(found))[:3],
            )
        )
    return problems


def _outside_problems(
    name: str,
    column: ArrayColumn,
    flat: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> list[Problem]:
    problems = []
    for key, how, bad in (("lower", "below", flat < lower), ("upper", "above", flat > upper)):
        if bad.any():
            bounds = getattr(column, key)
            problems.append(
                Problem(
                    f"column {name!r} has entries {how} its {key} bound {bounds}",
                    f'Widen it ({table_name(name)} {key} = ...) or set outside = "clip".',
                    tuple(flat[bad][:3]),
                )
            )
    return problems
