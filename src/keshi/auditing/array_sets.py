"""ArraySet: images or windows of one side of an audit, and how several of them are brought to one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi._validate import same_length
from keshi.errors import RecordsError

LARGEST = 1e30  # differences of such entries still fit numbers of 32 bits


@dataclass(frozen=True)
class ArraySet:
    """Records with what is known of them.

    Attributes:
        records: (n, height, width[, channels]) images, or (n, length, channels) windows.
        labels: (n,) classes; 1 and "1" are the same. None where there are none.
        features: (n, width) that the user's own extractor made of the records, or None.
    """

    records: NDArray[Any]
    labels: NDArray[Any] | None = None
    features: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        given = {"records": self.records, "labels": self.labels, "features": self.features}
        same_length(**{name: one for name, one in given.items() if one is not None})

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: NDArray[np.integer]) -> ArraySet:
        """Only these records, in this order."""
        return ArraySet(
            self.records[rows],
            None if self.labels is None else self.labels[rows],
            None if self.features is None else self.features[rows],
        )

    def first(self, count: int) -> ArraySet:
        """The first records."""
        return self.take(np.arange(min(count, len(self))))


def scaled_alike(train: ArraySet, others: Mapping[str, ArraySet | None]) -> dict[str, ArraySet]:
    """All sets that are there, with "train": float32 entries in 0..1 by one scale, labels as texts.

    The scale is that of all real records: 0 to 255 for bytes, else their smallest and largest entry. Synthetic entries
    are rounded first where the real ones are whole numbers, so that a copy is found whatever type it has.

    Raises:
        RecordsError: shapes differ, a set is empty, a value is not finite, or the synthetic range is another one.
    """
    given = {"train": train, **{name: one for name, one in others.items() if one is not None}}
    given = {
        name: replace(one, records=one.records.astype(np.int8)) if one.records.dtype == bool else one
        for name, one in given.items()
    }  # bits are whole numbers, but cannot be subtracted
    for name, one in given.items():
        if one.records.ndim < 2 or not len(one) or one.records.dtype.kind not in "biuf":
            raise RecordsError(
                f"{name}: expected a filled array of images or windows, records along the first axis, got "
                f"{one.records.dtype} of shape {one.records.shape}."
            )
        if one.records.dtype.kind == "f" and not np.isfinite(one.records).all():
            raise RecordsError(f"{name}: the records hold missing or infinite values; replace them first.")
        if one.records.dtype.kind == "f" and float(np.abs(one.records).max()) > LARGEST:
            raise RecordsError(f"{name}: entries above {LARGEST:g} cannot be compared; scale all sets alike.")
    shapes = {name: _sides(one.records) for name, one in given.items()}
    if len(set(shapes.values())) > 1:
        raise RecordsError(f"the records are of different shapes: {shapes}. Bring them to one shape first.")
    real = [given[name].records for name in ("train", "holdout") if name in given]
    whole = all(one.dtype.kind in "biu" for one in real)
    if whole and all(one.dtype == np.uint8 for one in real):
        lower, upper = 0.0, 255.0
    else:
        lower = float(min(one.min() for one in real))
        upper = float(max(one.max() for one in real))
    reach = upper - lower or 1.0
    found = {}
    for name, one in given.items():
        if name not in ("train", "holdout"):
            _check_range(name, one.records, lower, reach)
        entries = np.rint(one.records) if whole and one.records.dtype.kind == "f" else one.records
        scaled = ((entries.astype(np.float32) - np.float32(lower)) / np.float32(reach)).reshape(
            len(one), *shapes[name]
        )
        texts = None if one.labels is None else np.array([str(label) for label in one.labels.tolist()])
        found[name] = replace(one, records=scaled, labels=texts)
    return found


def _sides(records: NDArray[Any]) -> tuple[int, ...]:
    """Shape of a record without an axis of one grey channel, first or last."""
    sides = records.shape[1:]
    if len(sides) == 3 and 1 in (sides[0], sides[-1]):
        return sides[1:] if sides[0] == 1 else sides[:-1]
    return sides


def _check_range(name: str, records: NDArray[Any], lower: float, reach: float) -> None:
    spread = float(records.max() - records.min()) / reach
    outside = max(lower - float(records.min()), float(records.max()) - lower - reach) / reach
    if outside > 0.5 or (reach > 50 and spread < 0.02):
        raise RecordsError(
            f"{name}: its entries lie from {records.min():g} to {records.max():g}, those of the real records from "
            f"{lower:g} to {lower + reach:g}. Bring both to one scale first."
        )


def holds_images(records: NDArray[Any]) -> bool:
    """Whether records are images: of whole numbers, with a channel axis of their own, or with sides of one length."""
    sides = _sides(records)
    return records.dtype.kind in "biu" or len(sides) != 2 or sides[0] == sides[1]


def class_means(real: ArraySet) -> ArraySet:
    """As many records as there are, each the mean of its class: the cheapest release that knows the classes."""
    names = np.full(len(real), "") if real.labels is None else real.labels
    records = np.empty_like(real.records)
    features = None if real.features is None else np.empty(real.features.shape)
    for name in np.unique(names):
        rows = names == name
        records[rows] = real.records[rows].mean(axis=0, dtype=np.float64)
        if features is not None and real.features is not None:
            features[rows] = real.features[rows].mean(axis=0)
    return ArraySet(records, real.labels, features)
