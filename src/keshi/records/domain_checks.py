"""What a column's declaration must fulfil, so that nothing can fail for it after the budget is spent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

from keshi.records.column_kinds import (
    RESOLUTIONS,
    ArrayColumn,
    Categorical,
    Column,
    Image,
    Numerical,
    Timestamp,
    category_key,
)
from keshi.records.domain import Learned

MOST_BINS = 255  # cut points: whoever counts bins pays noise for each of them, and a bin fits a byte
MOST_DECIMALS = 15  # a float64 has no more
LONGEST_SIDE = 2**20  # of an image or a window: sizes stay far below what an integer or an address can hold
_FLOAT32 = 3e38  # the largest magnitude of a value that comes back as float32


def column_problems(name: str, column: Column) -> list[str]:
    """Everything about a column's declaration that cannot be, in words."""
    problems = _text_problems("column names", [name])
    problems += [
        f"column {name!r}: {key} must be true or false, got {getattr(column, key)!r}."
        for key in ("missing", "other", "integer")
        if not isinstance(getattr(column, key, False), bool)
    ]
    if isinstance(column, ArrayColumn):
        return problems + _array_problems(name, column)
    if column.dtype is not None and not isinstance(column.dtype, str):
        problems.append(f"column {name!r}: dtype must be the name of a pandas dtype, got {column.dtype!r}.")
    if isinstance(column, Categorical):
        return problems + _category_problems(name, column)
    if getattr(column, "scale", None) not in (None, "linear", "log"):
        problems.append(f'column {name!r}: scale must be "linear" or "log", got {column.scale!r}.')  # type: ignore[union-attr]
    found = _moment_problems(name, column) if isinstance(column, Timestamp) else _bound_problems(name, column)
    if not problems and not found:
        lower, upper = (
            column.bounds_seconds if isinstance(column, Timestamp) else (column.lower, column.upper)
        )
        if not float(lower) < float(upper):
            found.append(
                f"column {name!r}: lower must be below upper, got {column.lower} and {column.upper}."
            )
        elif not math.isfinite(float(upper) - float(lower)):
            found.append(f"column {name!r}: the bounds are too far apart for 64-bit numbers; narrow them.")
        else:
            found += _bin_problems(name, column)
        if isinstance(column, Numerical) and not found:
            found += _decimal_problems(name, column)
        if isinstance(column, Timestamp) and not found:
            found += _resolution_problems(name, column)
    return problems + found


def _decimal_problems(name: str, column: Numerical) -> list[str]:
    """What is wrong with the declared decimals of a column whose bounds and bins are in order."""
    if column.decimals is None:
        return []
    if type(column.decimals) is not int or not 0 <= column.decimals <= MOST_DECIMALS:
        return [
            f"column {name!r}: decimals must be a whole number from 0 to {MOST_DECIMALS}, got {column.decimals!r}."
        ]
    if column.integer:
        return [f"column {name!r}: whole numbers have no decimals; leave decimals out, or integer."]
    written = (column.lower, column.upper, *column.bins)
    if max(abs(number) for number in written) * 10**column.decimals > 2.0**53:
        return [
            f"column {name!r}: 64-bit numbers have not {column.decimals} decimals between {column.lower} and "
            f"{column.upper}; declare fewer, or narrow the bounds."
        ]
    finer = [number for number in written if round(number, column.decimals) != number]
    if finer:
        return [
            f"column {name!r}: bounds and bins must have no more decimals than the {column.decimals} declared, got "
            f"{finer[:3]}."
        ]
    return []


def _resolution_problems(name: str, column: Timestamp) -> list[str]:
    """What is wrong with the declared resolution of a column whose bounds and bins are in order."""
    if column.resolution is None:
        return []
    if column.resolution not in [*RESOLUTIONS]:  # a list, as a file may say, is no key of a mapping
        return [
            f"column {name!r}: resolution must be one of {', '.join(RESOLUTIONS)}, got {column.resolution!r}."
        ]
    written = (column.lower, column.upper, *column.bins)
    seconds = (*column.bounds_seconds, *column.bins_seconds)
    finer = [one for one, at in zip(written, seconds, strict=True) if at % column.seconds_apart]
    if finer:
        zone = " in UTC" if column.zoned else ""
        return [
            f"column {name!r}: bounds and bins must be whole {column.resolution}s{zone}, as its resolution says, got "
            f"{finer[:3]}."
        ]
    return []


def _bin_problems(name: str, column: Numerical | Timestamp) -> list[str]:
    """What is wrong with the cut points of a column whose bounds are in order."""
    if not isinstance(column.bins, tuple):
        return [
            f"column {name!r}: bins must be a list of cut points between the bounds, got {column.bins!r}."
        ]
    if len(column.bins) > MOST_BINS:
        return [
            f"column {name!r}: at most {MOST_BINS} cut points are allowed in bins, got {len(column.bins)}."
        ]
    usable: Callable[[Any], bool]
    if isinstance(column, Timestamp):
        zoned, wanted = (
            column.zoned,
            "moments such as 2020-01-31T12:00:00, with an offset where the bounds have one",
        )

        def usable(cut: Any) -> bool:
            return _zoned(cut) is zoned

    else:
        usable, wanted = _is_finite, "finite numbers"
    strange = [cut for cut in column.bins if not usable(cut)]
    if strange:
        return [f"column {name!r}: bins must be {wanted}; got {strange[:3]!r}."]
    lower, upper = column.bounds_seconds if isinstance(column, Timestamp) else (column.lower, column.upper)
    cuts = column.bins_seconds if isinstance(column, Timestamp) else column.bins
    if not all(low < high for low, high in pairwise((lower, *cuts, upper))):
        return [
            f"column {name!r}: bins must ascend, and lie between the bounds without touching them; got "
            f"{list(column.bins[:5])}{' ...' if len(column.bins) > 5 else ''} between {column.lower} and "
            f"{column.upper}."
        ]
    return []


def _is_finite(number: Any) -> bool:
    try:
        return not isinstance(number, bool) and isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:  # a whole number beyond the largest float
        return False


def _zoned(moment: Any) -> bool | None:
    """Whether a moment has an offset from UTC; None where it is no moment."""
    try:
        return datetime.fromisoformat(moment).tzinfo is not None
    except (ValueError, TypeError):
        return None


def learned_problems(learned: Any) -> list[str]:
    """Everything about the cost of learning that cannot be, in words; a wrong figure would promise too much."""
    if learned is None:
        return []
    if not isinstance(learned, Learned):
        return [f"learned must be what learning the domain cost, a Learned, got {learned!r}."]
    problems = []
    for key in ("mu", "delta", "epsilon"):
        value = getattr(learned, key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        most = 1.0 if key == "delta" else math.inf
        if not is_number or not 0 < value < most:  # also refuses NaN
            wanted = "between 0 and 1" if key == "delta" else "positive and finite"
            problems.append(f"learned: {key} must be a number, {wanted}, got {value!r}.")
    problems += [
        f"learned: {key} must be a text, got {getattr(learned, key)!r}."
        for key in ("unit", "ledger", "run")
        if not isinstance(getattr(learned, key), str)
    ]
    if isinstance(learned.unit, str) and not learned.unit.strip():
        problems.append("learned: unit is empty; it says whom the learning protects.")
    texts = [text for text in (learned.unit, learned.ledger, learned.run) if isinstance(text, str)]
    return problems + _text_problems("learned: unit, ledger and run", texts)


def _category_problems(name: str, column: Categorical) -> list[str]:
    if not isinstance(column.categories, tuple):
        return [f"column {name!r}: categories must be a list, got {column.categories!r}."]
    if not column.categories:
        return [f"column {name!r}: categories is empty; list the values that are possible."]
    strange = [
        value
        for value in column.categories
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value))
    ]
    if strange:
        return [
            f"column {name!r}: categories must be texts, finite numbers, true or false; got {strange[:3]}. "
            "A missing value is declared by missing = true."
        ]
    keys = [category_key(value) for value in column.categories] + ["OTHER"] * (column.other is True)
    double = sorted(key for key, times in Counter(keys).items() if times > 1)
    if double:
        return [
            f'column {name!r}: categories must differ (1, 1.0 and "1" are the same; other = true adds OTHER); '
            f"these stand twice: {double[:5]}."
        ]
    return _text_problems(
        f"column {name!r}: categories", [v for v in column.categories if isinstance(v, str)]
    )


def _moment_problems(name: str, column: Timestamp) -> list[str]:
    try:
        zones = {datetime.fromisoformat(m).tzinfo is None for m in (column.lower, column.upper)}
    except (ValueError, TypeError):
        return [
            f"column {name!r}: bounds must be moments such as 2020-01-31T12:00:00, "
            f"got {column.lower!r} and {column.upper!r}."
        ]
    if len(zones) > 1:
        return [f"column {name!r}: give both bounds with an offset from UTC or both without."]
    return []


def _bound_problems(name: str, column: Numerical) -> list[str]:
    for key in ("lower", "upper"):
        bound = getattr(column, key)
        if not _is_finite(bound):
            return [f"column {name!r}: {key} must be a finite number, got {bound!r}."]
    if column.scale == "log" and column.bounds_far_out:
        return [
            f"column {name!r}: on a logarithmic scale the bounds {column.lower} and {column.upper} are all but one; "
            "leave scale out."
        ]
    if column.integer is True and column.lower < column.upper:
        if math.ceil(column.lower) > math.floor(column.upper):
            return [
                f"column {name!r}: there is no whole number between {column.lower} and {column.upper}; "
                "widen the bounds or leave integer out."
            ]
        if column.lower < -(2**63) or float(column.upper) >= 2**63:
            return [
                f"column {name!r}: whole numbers must fit 64 bits; narrow the bounds or leave integer out."
            ]
    return []


def _array_problems(name: str, column: ArrayColumn) -> list[str]:
    sides = ("height", "width", "channels") if isinstance(column, Image) else ("length", "channels")
    problems = [
        f"column {name!r}: {key} must be a whole number from 1 to {LONGEST_SIDE:,}, got {getattr(column, key)!r}."
        for key in sides
        if type(getattr(column, key)) is not int or not 1 <= getattr(column, key) <= LONGEST_SIDE
    ]
    if problems:
        return problems
    for key in ("lower", "upper"):
        bounds = getattr(column, key)
        if isinstance(bounds, tuple) and len(bounds) != column.channels:
            problems.append(
                f"column {name!r}: {key} must be one number or one for each of the {column.channels} channels, got "
                f"{len(bounds)}."
            )
        problems += [
            f"column {name!r}: {key} must be a finite number, got {bound!r}."
            for bound in (bounds if isinstance(bounds, tuple) else (bounds,))
            if not _is_finite(bound)
        ]
    rate = getattr(column, "rate", None)
    if rate is not None and not (_is_finite(rate) and rate > 0):
        problems.append(f"column {name!r}: rate must be samples per second, above 0, got {rate!r}.")
    if problems:
        return problems
    whole = isinstance(column, Image) and column.integer
    limit, what = (2.0**53, "exact whole numbers") if whole else (_FLOAT32, "32-bit numbers")
    for lower, upper in zip(*(_of_channels(column, key) for key in ("lower", "upper")), strict=True):
        if not lower < upper:
            problems.append(f"column {name!r}: lower must be below upper, got {lower} and {upper}.")
        elif max(-lower, upper) > limit:
            problems.append(f"column {name!r}: the bounds {lower} and {upper} are too large for {what}.")
        elif whole and math.ceil(lower) > math.floor(upper):
            problems.append(f"column {name!r}: there is no whole number between {lower} and {upper}.")
    return list(dict.fromkeys(problems))


def _of_channels(column: ArrayColumn, key: str) -> tuple[float, ...]:
    bounds = getattr(column, key)
    return bounds if isinstance(bounds, tuple) else (bounds,) * column.channels


def _text_problems(what: str, texts: list[Any]) -> list[str]:
    """Texts that no UTF-8 file can hold."""
    bad = [text for text in texts if not isinstance(text, str) or not _is_unicode(text)]
    return [f"{what} must be texts of valid Unicode, got {bad[:3]!r}."] if bad else []


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
