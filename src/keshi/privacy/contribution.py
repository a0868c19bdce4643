"""Bounding what one subject contributes: each subject's records share a weight of one, whatever their number.

Works on subject identifiers alone, in one pass with constant memory: records are partitioned by a keyed hash of their
subject, spilled to disk, and weighed partition by partition. Imports no networks.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi._validate import positive_integer
from keshi.errors import RecordsError

_PARTITIONS = 64
_ENTRY = np.dtype([("subject", "S16"), ("lottery", "<u8"), ("position", "<u8")])


@dataclass(frozen=True, eq=False)
class Contributions:
    """Weight of every record, in the order of the table. Sensitive, like the records.

    Attributes:
        weights: (n,) whole numbers; those of one subject sum to at most `unit_weight`. 0 where a record is left out.
        subjects: Number of subjects.
        unit_weight: Largest total weight of a subject.
    """

    weights: NDArray[np.uint32]
    subjects: int
    unit_weight: int


@contextmanager
def bound_contributions(
    identifiers: Iterable[Iterable[Any]], *, unit_weight: int, max_records: int | None = None
) -> Iterator[Contributions]:
    """Weigh records so that no subject weighs more than `unit_weight`.

    A subject with m records gives each the weight unit_weight // m; m (unit_weight // m) <= unit_weight, so by the
    triangle inequality its records together move a weighted sum of vectors of norm at most r by at most
    unit_weight * r. Where `max_records` bounds m, the records kept are those with the smallest of independent
    random numbers from the operating system: the choice for one subject does not depend on any other.

    Args:
        identifiers: Batches of subject identifiers, one for each record, in the order of the table.
        unit_weight: Weight of a subject.
        max_records: Keep at most so many records of a subject; None keeps all.

    Yields:
        The weights, backed by a temporary file that is removed on leaving.

    Raises:
        RecordsError: where a record has no subject.
    """
    if max_records is not None:
        positive_integer("max_records", max_records)
    with tempfile.TemporaryDirectory(prefix="keshi-subjects-") as folder:
        count = _spill(identifiers, Path(folder))
        weights = np.lib.format.open_memmap(
            Path(folder) / "weights.npy", mode="w+", dtype=np.uint32, shape=(count,)
        )
        _reserve(Path(folder) / "weights.npy")
        subjects = 0
        for partition in range(_PARTITIONS):
            entries = np.fromfile(Path(folder) / f"{partition}.bin", dtype=_ENTRY)
            subjects += _weigh(entries, weights, unit_weight, max_records)
        yield Contributions(weights, subjects, unit_weight)
        del weights


def _reserve(path: Path) -> None:
    """Claim the disk space of a mapped file now: a disk that is full later would end the process without a word."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _spill(identifiers: Iterable[Iterable[Any]], folder: Path) -> int:
    """Write (hashed subject, lottery number, position) of every record into the partition of its subject."""
    key = secrets.token_bytes(32)  # without it, nobody can tell from the temporary files who is in them
    files = [(folder / f"{partition}.bin").open("wb") for partition in range(_PARTITIONS)]
    position = 0
    try:
        for batch in identifiers:
            digests = np.array([_digest(value, key) for value in batch], dtype="S16")
            entries = np.empty(len(digests), dtype=_ENTRY)
            entries["subject"] = digests
            entries["lottery"] = np.frombuffer(secrets.token_bytes(8 * len(digests)), dtype="<u8")
            entries["position"] = np.arange(position, position + len(digests))
            home = np.array([digest[0] % _PARTITIONS if digest else 0 for digest in digests], dtype=np.int64)
            for partition in np.unique(home):
                entries[home == partition].tofile(files[partition])
            position += len(digests)
    finally:
        for file in files:
            file.close()
    return position


def _digest(value: Any, key: bytes) -> bytes:
    if isinstance(value, np.ndarray | list | tuple | dict):
        raise RecordsError(
            "a subject's identifier must be one value, a number or a text; got several together."
        )
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)  # 7 and 7.0 are one subject, also where batches of a file differ in dtype
    text = "" if value is None else str(value)
    if text in ("", "nan", "<NA>", "NaT"):
        raise RecordsError(
            "a record has no subject; give every record an identifier, or drop those without one."
        )
    return blake2b(text.encode(errors="surrogatepass"), key=key, digest_size=16).digest()


def _weigh(
    entries: NDArray[Any], weights: NDArray[np.uint32], unit_weight: int, max_records: int | None
) -> int:
    """Set the weights of one partition's records; returns its number of subjects."""
    if not len(entries):
        return 0
    entries = entries[np.lexsort((entries["lottery"], entries["subject"]))]
    starts = np.flatnonzero(np.r_[True, entries["subject"][1:] != entries["subject"][:-1]])
    counts = np.diff(np.r_[starts, len(entries)])
    rank = np.arange(len(entries)) - np.repeat(starts, counts)
    kept = counts if max_records is None else np.minimum(counts, max_records)
    weight = np.repeat(unit_weight // kept, counts)
    weights[entries["position"]] = np.where(rank < np.repeat(kept, counts), weight, 0)
    return len(starts)
