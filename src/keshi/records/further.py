"""Further columns of recordings: what the owner wants to go on measuring, such as where a sensor sat or a heart rate.

They are neither label nor subject nor channel, and no training looks at them. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keshi.errors import RecordsError

MOST_CODES = 10  # more different whole numbers are an amount, such as a heart rate, rather than codes


def is_measurement(values: np.ndarray) -> bool:
    """Whether values (n,) are amounts: numbers with fractions, or more than ten different whole ones; else classes."""
    if values.dtype.kind not in "iuf":
        return False
    return bool((values % 1 != 0).any()) or len(np.unique(values)) > MOST_CODES


def per_window(
    recordings: Sequence[Mapping[str, Any]], starts: Sequence[np.ndarray], *, window: int
) -> dict[str, np.ndarray]:
    """Column -> values (windows,), of the recordings' columns and the first samples of the windows of each.

    A recording has one value for all of its windows, or an array of one number a sample, of which windows get the mean.

    Raises:
        RecordsError: the recordings have different columns.
    """
    names = list(recordings[0]) if recordings else []
    if any(set(one) != set(names) for one in recordings):
        raise RecordsError(
            "all recordings must have the same further columns; some lack one of "
            f"{sorted({name for one in recordings for name in one})}."
        )
    return {
        name: _column(
            [_values(one[name], begin, window) for one, begin in zip(recordings, starts, strict=True)]
        )
        for name in names
    }


def _values(value: Any, starts: np.ndarray, window: int) -> np.ndarray:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        if len(starts) == 0:
            return np.empty(0)
        means: np.ndarray = np.lib.stride_tricks.sliding_window_view(value.astype(np.float64), window)[
            starts
        ].mean(axis=1)
        return means
    return np.repeat(np.array([value]), len(starts))


def _column(parts: list[np.ndarray]) -> np.ndarray:
    """One array: numbers stay numbers where all are, everything else becomes text."""
    if all(part.dtype.kind in "iuf" for part in parts):
        return np.concatenate(parts)
    texts = np.concatenate([part.astype(object) for part in parts])
    if any(text is None or text != text or text == "" for text in texts):  # NaN differs from itself
        raise RecordsError("a further column has missing values; fill them in, or leave the column out.")
    return texts.astype(str)
