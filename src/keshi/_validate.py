"""Checks of arguments; every message names the argument, what was expected and the value that came."""

from __future__ import annotations

import math
from collections.abc import Sized
from numbers import Real


def positive(name: str, value: float) -> float:
    """Return `value` if it is a finite number above zero."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}.")
    return value


def positive_integer(name: str, value: int) -> int:
    """Return `value` if it is a whole number of at least one."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def nonnegative(name: str, value: float) -> float:
    """Return `value` if it is a finite number of at least zero."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}.")
    return value


def nonnegative_integer(name: str, value: int) -> int:
    """Return `value` if it is a whole number of at least zero."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}.")
    return int(value)


def seed_in_range(value: int) -> int:
    """Return `value` if numpy and torch both take it as a seed."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= int(value) < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, got {value!r}.")
    return int(value)


def in_range(name: str, value: float, lower: float, upper: float, *, open_ends: bool = False) -> float:
    """Return `value` if lower <= value <= upper (strictly inside where `open_ends`)."""
    inside = isinstance(value, (int, float)) and (
        lower < value < upper if open_ends else lower <= value <= upper
    )
    if isinstance(value, bool) or not inside:
        how = "strictly between" if open_ends else "between"
        raise ValueError(f"{name} must lie {how} {lower:g} and {upper:g}, got {value!r}.")
    return value


def one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of the named choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.")
    return value


def same_length(**arrays: Sized) -> int:
    """Return the common length of the arrays given by name."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"these must have the same length: {listing}.")
    return next(iter(lengths.values()), 0)
