"""Tables with images or windows written as npz: one array for each column, in memory of one batch at a time.

The header of an array says its length and, for texts, its width, before the first value; both are known only at the
end. So every batch goes to a scratch file first, and the arrays are put together from these.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import RecordsError
from keshi.records.arrays import stacked

_MOMENT = (1980, 1, 1, 0, 0, 0)  # of every member: the same table gives the same bytes


@dataclass
class _Scratch:
    """The batches of one column, one .npy after the other."""

    stream: IO[bytes]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    lengths: list[int] = field(default_factory=list)


def write_npz(tables: Iterable[pd.DataFrame], path: Path) -> None:
    """Write batches of a table, each of the same columns, at least one.

    Numbers stay numbers, a missing one is NaN; texts become dtype U, a missing one is empty; moments with an offset
    from UTC become texts.

    Raises:
        RecordsError: if the arrays of a column differ in shape.
    """
    with tempfile.TemporaryDirectory(prefix=".keshi-npz-", dir=path.parent) as folder:
        columns: dict[str, _Scratch] = {}
        for table in tables:
            for position, name in enumerate(table.columns):
                array = _plain(table.iloc[:, position])
                if name not in columns:
                    stream = (Path(folder) / str(position)).open("w+b")
                    columns[str(name)] = _Scratch(stream, array.dtype, array.shape[1:])
                column = columns[str(name)]
                if array.shape[1:] != column.shape:
                    raise RecordsError(
                        f"column {name!r} has arrays of several shapes; an npz file wants one."
                    )
                column.dtype = np.promote_types(column.dtype, array.dtype)
                column.lengths.append(len(array))
                np.save(column.stream, array, allow_pickle=False)
        try:
            _assemble(columns, path)
        finally:
            for column in columns.values():
                column.stream.close()


def _assemble(columns: dict[str, _Scratch], path: Path) -> None:
    # Not compressed: what a synthetic picture's noise gains is little, and the size says nothing then.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, column in columns.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_MOMENT)
            with archive.open(entry, "w", force_zip64=True) as member:
                shape = (sum(column.lengths), *column.shape)
                header = {"descr": column.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)  # type: ignore[arg-type]
                column.stream.seek(0)
                for _ in column.lengths:
                    batch = np.load(column.stream, allow_pickle=False)
                    member.write(batch.astype(column.dtype).tobytes())


def _plain(series: pd.Series) -> NDArray[Any]:
    """A column as an array without objects."""
    arrays = stacked(series)
    if arrays is not None:
        return arrays
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return _texts(series)
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biufM":
        return series.to_numpy()
    if pd.api.types.is_bool_dtype(series.dtype) or pd.api.types.is_numeric_dtype(series.dtype):
        missing = series.isna()
        if missing.any():
            return series.to_numpy(dtype=np.float64, na_value=np.nan)
        return series.to_numpy(dtype=series.dtype.numpy_dtype)  # type: ignore[union-attr]
    return _texts(series)


def _texts(series: pd.Series) -> NDArray[Any]:
    texts = ["" if missing else str(value) for value, missing in zip(series, series.isna(), strict=True)]
    return np.array(texts, dtype=np.str_) if texts else np.empty(0, dtype="U1")
