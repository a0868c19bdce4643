"""Checks of the windows, labels and people handed to a Censor; what passes can be trained on and saved."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from keshi._validate import same_length
from keshi.artifacts import store
from keshi.errors import ArtifactError, DomainError, RecordsError
from keshi.records.windows import Standardizer

MOST_FRACTIONAL_LABELS = 20  # labels such as 0.5 are odd but may be classes; more of them are a measurement


def labelled_windows(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """x (n, channels, length) and y (n,) as arrays, or an error that names the wrong one.

    Raises:
        RecordsError: x is no array of windows of real numbers, or has missing values.
        DomainError: a label is missing, of mixed types, not one per window, or all are the same; labels that are
            measurements rather than classes, or that cannot be saved with the encoder.
    """
    windows = real_numbers(x)
    if windows.ndim != 3 or 0 in windows.shape:
        raise RecordsError(f"x must be windows (n, channels, length), got an array of shape {windows.shape}.")
    if y is None:
        raise DomainError("fit requires y to be passed, but the target y is None: a label for every window.")
    if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    labels = _column("y", y, "label")
    same_length(x=windows, y=labels)
    refuse_missing(windows)
    _refuse_one_value("y", labels, "keep")
    _refuse_labels_that_are_no_classes(labels)
    return windows, labels


def sensitive_column(name: str, values: Any, windows: np.ndarray) -> np.ndarray:
    """An attribute to erase as an array (n,); DomainError where it is missing somewhere, mixed or always the same."""
    column = _column(name, values, "subject")
    same_length(x=windows, **{name: column})
    _refuse_one_value(name, column, "erase")
    return column


def _refuse_one_value(name: str, values: np.ndarray, purpose: str) -> None:
    found = np.unique(values)
    if len(found) < 2:
        raise DomainError(
            f"{name} has only one value ({found[0]!s}) in {len(values)} windows; 1 class is too few to have "
            f"something to {purpose}."
        )


def real_numbers(x: Any) -> np.ndarray:
    """x as an array of real numbers, whatever its shape."""
    try:
        values = np.asarray(x)
    except ValueError as error:
        raise RecordsError(f"x must be windows of one length (n, channels, length): {error}") from error
    if np.ma.is_masked(x):  # as an array it would show what the mask hides
        raise RecordsError(
            "x has missing or infinite values (it is masked); fill or drop those windows first."
        )
    if values.dtype.kind not in "fiu":
        raise RecordsError(
            f"x must be windows of real numbers (n, channels, length), got an array of {values.dtype} of "
            f"shape {values.shape}."
        )
    return values


def refuse_missing(x: np.ndarray) -> None:
    """Raise where a window has a value that is missing or infinite."""
    if not np.isfinite(x).all():
        raise RecordsError("x has missing or infinite values; fill or drop those windows first.")


def scale(scaler: Standardizer, x: np.ndarray) -> np.ndarray:
    """Scaled windows in single precision; refused where they do not fit it, rather than trained on as NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = scaler.apply(x)
    refuse_overflow(x, scaled, scaler.mean, scaler.std)
    return scaled


def refuse_overflow(x: np.ndarray, *computed: np.ndarray) -> None:
    """Raise where what was computed from finite windows x is no longer finite."""
    if not all(np.isfinite(values).all() for values in computed):
        largest = np.abs(x.astype(np.float64)).max()
        raise RecordsError(
            f"x has values too large for single precision (the largest is {largest:.3g}); use the units and "
            "the range of the sensor."
        )


def _column(name: str, values: Any, noun: str) -> np.ndarray:
    """One value per window, none missing, all of one kind: text, bool, numbers or dates."""
    if isinstance(values, (list, tuple)):
        # Through objects: numpy alone would turn None or NaN among text into the text "None" or "nan".
        values = np.fromiter(values, dtype=object, count=len(values))
    column = np.asarray(values)
    if column.ndim != 1:
        raise DomainError(f"{name} must be one {noun} per window (n,), got an array of shape {column.shape}.")
    import pandas as pd  # knows every spelling of a missing value: None, NaN, NaT, NA

    missing = pd.isna(column) | np.ma.getmaskarray(values) if np.ma.is_masked(values) else pd.isna(column)
    if missing.any():
        raise DomainError(
            f"missing {noun}: {name} has {missing.sum()} missing values in {len(column)} windows, the first "
            f"at {int(missing.argmax())}; drop those windows first."
        )
    if column.dtype.kind == "O":
        column = _of_one_kind(name, column, noun)
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        raise DomainError(f"{name} has infinite values; every window needs a {noun}.")
    return column


def _of_one_kind(name: str, column: np.ndarray, noun: str) -> np.ndarray:
    kinds = sorted({_kind(value) for value in column})
    if len(kinds) > 1:
        raise DomainError(f"{name} mixes {' and '.join(kinds)}; every {noun} must be of one type.")
    if kinds and kinds[0] == "array":
        raise DomainError(f"{name} must be one {noun} per window (n,), got a list for each window.")
    return np.array(column.tolist()) if kinds and kinds[0] in ("text", "bool", "number") else column


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, (int, float, np.integer, np.floating)):
        return "number"
    return "array" if isinstance(value, (list, tuple, np.ndarray)) else type(value).__name__


def _refuse_labels_that_are_no_classes(y: np.ndarray) -> None:
    if y.dtype.kind not in "Ubiuf":
        kind = type(y[0]).__name__ if y.dtype.kind == "O" else str(y.dtype)
        raise DomainError(
            f"labels must be text, whole numbers or truth values, so that they can be saved; y holds {kind}. "
            "Turn them into text first."
        )
    found = np.unique(y)
    fractional = found[found % 1 != 0] if y.dtype.kind == "f" else found[:0]
    if len(fractional) and len(found) > min(MOST_FRACTIONAL_LABELS, len(y) // 2):
        raise DomainError(
            f"labels must be classes, but y holds {len(found)} different numbers in {len(y)} windows, such as "
            f"{fractional[0]:g}; group a measurement (a continuous target) into classes first."
        )
    try:
        store.json_to_bytes(found.tolist(), source="y")
    except ArtifactError as error:
        raise DomainError(f"labels must be such that they can be saved with the encoder: {error}") from error
