"""Neighbouring files made from types of columns alone: what an audit of learning runs on. Never a user's records.

All base records are alike in their texts, so that one value of each column is surely published, and quiet in their
numbers. Each extreme record brings what no other has: far numbers, unseen values, missing ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

EXTREMES = 6
_FREQUENT = "frequent"
_SPREAD = 40  # different numbers of the base, whose bounds should be seen

# By type, what the extreme records hold in turn; a text of None stands for one of the record's own.
_EXTREME: dict[str, tuple[Any, ...]] = {
    "integer": (2**62, -(2**62), 0, None, 1, 57),
    "number": (1e308, -1e308, 1e-300, None, float("inf"), 57.5),
    "timestamp": (
        datetime(2199, 12, 31),
        datetime(1850, 1, 1),
        datetime(1970, 1, 1),
        None,
        None,
        datetime(2011, 5, 5),
    ),
    "boolean": (True, False, None, True, False, None),
    "text": ("only extreme 0", "only extreme 1", "OTHER", None, "=1+1", _FREQUENT),
}


def write_neighbour(path: Path, types: Mapping[str, str], *, rows: int, extreme: int | None) -> None:
    """Write a parquet file of `rows` base records with one extreme record in their midst, or without one."""
    import pyarrow as pa
    import pyarrow.parquet

    arrow = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "timestamp": pa.timestamp("us"),
        "boolean": pa.bool_(),
        "text": pa.string(),
    }
    middle = rows // 2
    columns = {}
    for name, kind in types.items():
        values = _base(kind, rows)
        if extreme is not None:
            values.insert(middle, _EXTREME[kind][extreme])
        columns[name] = pa.array(values, type=arrow[kind])
    pa.parquet.write_table(pa.table(columns), path)


def _base(kind: str, rows: int) -> list[Any]:
    place = np.arange(rows) % _SPREAD
    if kind == "integer":
        return [int(20 + i) for i in place]
    if kind == "number":
        return [20.0 + 1.5 * i for i in place]
    if kind == "timestamp":
        return [datetime(2010, 1, 1) + timedelta(days=int(i)) for i in place]
    if kind == "boolean":
        return [bool(i % 2) for i in place]
    return [_FREQUENT] * rows
