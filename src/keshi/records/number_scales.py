"""Where a number stands between its bounds: evenly, or by its order of magnitude. Public, and value by value.

A balance of 10 and one of 1,000 are one point of an even scale up to a billion. On the logarithmic one each doubling
takes the same room. It is the logarithm to base 2 with straight lines between the powers of two: sums and products
alone, so that a value's place depends neither on the machine nor on the values beside it, and whole numbers come back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Numerical
from keshi.records.encoded import FEATURE_BITS


def is_logarithmic(column: Numerical) -> bool:
    """As declared, or chosen where the bounds lie so far apart that money, bytes or counts of people are likely."""
    return column.scale == "log"


def shares(column: Numerical, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) place of each number between the bounds: 0 at the lower one, 1 at the upper one.

    Args:
        column: Its bounds and scale.
        numbers: (n,) finite, in the column's unit.
    """
    lower, upper = float(column.lower), float(column.upper)
    if not is_logarithmic(column):
        return np.asarray((numbers - lower) / (upper - lower))
    start, end = _doublings(np.array([lower, upper]) / _unit(column))
    return np.asarray((_doublings(np.asarray(numbers) / _unit(column)) - start) / (end - start))


def numbers_at(column: Numerical, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the number at each place from 0 to 1: the inverse of `shares`."""
    lower, upper = float(column.lower), float(column.upper)
    if not is_logarithmic(column):
        return np.asarray(lower + share * (upper - lower))
    start, end = _doublings(np.array([lower, upper]) / _unit(column))
    return np.asarray(np.clip(_undoubled(start + share * (end - start)) * _unit(column), lower, upper))


def spacing(column: Numerical, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) how far apart two numbers must be, there, for the grid of encoded vectors to tell them apart."""
    lower, upper = float(column.lower), float(column.upper)
    steps = 2.0 ** (FEATURE_BITS + 1)
    if not is_logarithmic(column):
        return np.full(np.shape(numbers), (upper - lower) / steps)
    unit = _unit(column)
    start, end = _doublings(np.array([lower, upper]) / unit)
    octave = np.frexp(1.0 + np.abs(numbers) / unit)[1] - 1
    return np.asarray(np.ldexp(unit * (end - start) / steps, octave))


def as_declared(column: Numerical, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the nearest numbers that are whole, or have no more decimal places than are declared; else as they are."""
    if column.per_unit is None:
        return numbers
    # A quotient of two whole numbers is the float nearest to the decimal: 15 / 100 == 0.15, 15 * 0.01 is not.
    return np.asarray(np.rint(numbers * column.per_unit) / column.per_unit)


def _unit(column: Numerical) -> float:
    """Below it the scale is even: 1, or a millionth of the range where that is less and the numbers are not whole."""
    millionth = (float(column.upper) - float(column.lower)) * 2.0**-FEATURE_BITS
    return 1.0 if column.integer else min(1.0, millionth)


def _doublings(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log2(1 + |x|) with the sign of x, and straight lines between the powers of two."""
    mantissa, exponent = np.frexp(1.0 + np.abs(x))
    return np.asarray(np.copysign(exponent + 2.0 * mantissa - 2.0, x))


def _undoubled(y: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = np.floor(np.abs(y))
    return np.asarray(np.copysign(np.ldexp(1.0 + (np.abs(y) - whole), whole.astype(np.int64)) - 1.0, y))
