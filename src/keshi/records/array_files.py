"""Images and windows in files: npz, idx (the format of MNIST), and a folder of pictures by class, read in batches.

A file becomes a table like any other: one column for each array, an image or a window being one value of its column.
Nothing is unpickled, and no more than a batch is in memory. Imports neither privacy nor networks.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import RecordsError
from keshi.records.column_kinds import ArrayColumn
from keshi.records.domain import Domain
from keshi.records.idx_files import IDX_NAME, IMAGE, LABEL, idx_batches, idx_pair, idx_types
from keshi.records.picture_folders import has_pictures, picture_batches, picture_files, picture_types

ArrayType = tuple[tuple[int, ...], str]
"""Shape and dtype of the records of one array."""

_READABLE = "biufUM"  # kinds of dtype that are numbers, texts or moments
_LARGEST_RECORD = 2**28  # bytes: no image and no window is that large, and a damaged header may say anything


def holds_arrays(path: Path) -> bool:
    """Whether a file or folder is of a kind that is read here."""
    return path.is_dir() or path.name.lower().endswith(".npz") or IDX_NAME.search(path.name) is not None


def array_batches(path: Path, domain: Domain, *, rows: int) -> Iterator[pd.DataFrame]:
    """Batches of the table in such a file.

    Raises:
        RecordsError: naming the file and the rule, where it is not what its name says.
    """
    if path.is_dir():
        pair = idx_pair(path)
        return (
            idx_batches(*pair, rows=rows)
            if pair is not None
            else picture_batches(path, domain.columns.get(IMAGE), rows=rows)
        )
    if path.name.lower().endswith(".npz"):
        return _npz_batches(path, domain, rows)
    pair = idx_pair(path)
    assert pair is not None  # a file always has one
    return idx_batches(*pair, rows=rows)


def array_record_files(path: Path) -> list[Path]:
    """The files that such records are read from."""
    if path.name.lower().endswith(".npz") and not path.is_dir():
        return [path]
    pair = idx_pair(path)
    if pair is None:
        return [file for file, _ in picture_files(path)]
    return [file for file in pair if file is not None]


def array_types(path: Path) -> tuple[dict[str, str], dict[str, ArrayType]]:
    """Types of the columns, as `files.column_types` names them, and shape and dtype of those of arrays."""
    if path.is_dir() and idx_pair(path) is None:
        if not has_pictures(path):
            raise RecordsError(
                f"{path}: this is a folder, and it holds neither a table nor idx files nor one folder of pictures for "
                "each class; give a file."
            )
        return {IMAGE: "array", LABEL: "text"}, {IMAGE: picture_types(path)}
    if not path.name.lower().endswith(".npz"):
        pair = idx_pair(path)
        assert pair is not None
        types, arrays = idx_types(*pair)
        return types, arrays
    with _members(path) as members:
        types, arrays = {}, {}
        for name, member in members.items():
            if len(member.shape) > 1:
                types[name] = "array"
                arrays[name] = (member.shape[1:], str(member.dtype.newbyteorder("=")))
            else:
                kind = member.dtype.kind
                types[name] = {"U": "text", "b": "boolean", "f": "number", "M": "timestamp"}.get(
                    kind, "integer"
                )
        if arrays:  # beside images or windows, whole numbers are most often the class
            types = {name: "code" if kind == "integer" else kind for name, kind in types.items()}
        return types, arrays


def whole_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of such a file at once, records along the first axis: for an audit, which needs all of them.

    Raises:
        RecordsError: naming the file and the rule, where it is not what its name says.
    """
    if path.name.lower().endswith(".npz"):
        with _members(path) as members:
            found = {name: one.read(one.shape[0]) for name, one in members.items() if one.shape}
            for name, one in members.items():
                if one.stream.read(1):  # the checksum of an array is compared where it ends
                    raise RecordsError(f"{path}: array {name!r} goes on after the records of its header.")
        return found
    array_types(path)  # one message for a folder that holds neither kind
    pair = idx_pair(path)
    parts = list(idx_batches(*pair, rows=10_000) if pair else picture_batches(path, None, rows=10_000))
    columns = {name: [part[name] for part in parts] for name in parts[0].columns}
    return {
        name: np.concatenate([np.stack(list(one)) if name == IMAGE else one.to_numpy() for one in values])
        for name, values in columns.items()
    }


def mapping_table(arrays: Mapping[str, Any]) -> pd.DataFrame:
    """A table of arrays in memory, one column for each name; records lie along the first axis.

    Raises:
        RecordsError: if they are of different lengths.
    """
    columns: dict[str, Any] = {}
    for name, values in arrays.items():
        array = np.asarray(values)
        if array.ndim == 0:
            raise RecordsError(
                f"array {name!r} has no axis of records; give one value or array for each record."
            )
        columns[str(name)] = as_column(array)
    _check_lengths("the arrays", {name: len(column) for name, column in columns.items()})
    return pd.DataFrame(columns)


def as_column(array: NDArray[Any]) -> pd.Series:
    """One value of a column for every record of an array: a number, a text, or an array of one axis less."""
    if array.ndim == 1:
        return pd.Series(array)
    values = np.empty(len(array), dtype=object)
    for row, value in enumerate(array):
        values[row] = value
    return pd.Series(values)


@dataclass
class _Member:
    """One array of an npz file, of which so many records are read at a time."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stream: IO[bytes]

    def read(self, rows: int) -> NDArray[Any]:
        """The next `rows` records, in native byte order."""
        shape = (rows, *self.shape[1:])
        wanted = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        parts = []
        while wanted:
            part = self.stream.read(wanted)
            if not part:
                raise EOFError(f"{self.name} ends early")
            parts.append(part)
            wanted -= len(part)
        array = np.frombuffer(b"".join(parts), dtype=self.dtype).reshape(shape)
        return array.astype(self.dtype.newbyteorder("="), copy=False)


@contextmanager
def _members(path: Path, names: Iterable[str] | None = None) -> Iterator[dict[str, _Member]]:
    """The arrays of an npz file, opened and with their headers read; all, or those that are named."""
    with _readable(path), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        files = [name for name in archive.namelist() if names is None or name.removesuffix(".npy") in names]
        if len(set(files)) < len(files):
            raise RecordsError(f"{path}: an array stands in it twice; save it again with numpy.savez.")
        members = {}
        for file in files:
            if not file.endswith(".npy"):
                raise RecordsError(f"{path}: {file!r} is no array; save the arrays with numpy.savez.")
            stream = stack.enter_context(archive.open(file))
            member = _opened(path, file.removesuffix(".npy"), stream)
            members[member.name] = member
        if not members and names is None:
            raise RecordsError(f"{path}: there is no array in it.")
        yield members


def _opened(path: Path, name: str, stream: IO[bytes]) -> _Member:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise RecordsError(f"{path}: array {name!r} is of a form {version} that plain arrays do not need.")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(side < 0 for side in shape):
        raise RecordsError(f"{path}: array {name!r} has a negative length; the file is damaged.")
    if dtype.hasobject:
        raise RecordsError(
            f"{path}: array {name!r} holds Python objects, which could run code when read; save it as numbers or as "
            "texts (dtype U)."
        )
    if dtype.kind not in _READABLE:
        raise RecordsError(
            f"{path}: array {name!r} is of dtype {dtype}; expected numbers, texts (dtype U) or moments (datetime64)."
        )
    if fortran and len(shape) > 1:
        raise RecordsError(
            f"{path}: array {name!r} lies in Fortran order and cannot be read record by record; save "
            "numpy.ascontiguousarray of it."
        )
    if int(np.prod(shape[1:], dtype=np.float64)) * dtype.itemsize > _LARGEST_RECORD:
        raise RecordsError(
            f"{path}: a record of array {name!r} would take more than {_LARGEST_RECORD:,} bytes."
        )
    return _Member(name, shape, dtype, stream)


def _npz_batches(path: Path, domain: Domain, rows: int) -> Iterator[pd.DataFrame]:
    with _members(path) as found:
        counts = [
            member.shape[0] for name, member in found.items() if name in domain.columns and member.shape
        ]
        # What is ignored may be no column at all; where it is one, it may say whose record it is.
        members = {
            name: member
            for name, member in found.items()
            if name not in domain.ignore or member.shape in [(count,) for count in counts]
        }
        for name, member in members.items():
            if not member.shape:
                raise RecordsError(
                    f"{path}: array {name!r} is a single value and no column; leave it out, or list it under ignore."
                )
        lengths = {name: member.shape[0] for name, member in members.items()}
        _check_lengths(str(path), lengths)
        count = next(iter(lengths.values()), 0)
        for name, column in domain.array_columns.items():
            if name in members and not _fits(members[name].shape[1:], column):
                raise RecordsError(
                    f"{path}: records of array {name!r} are of shape {members[name].shape[1:]}, and {domain.source} "
                    f"declares {column.shape}; correct one of them."
                )
        for start in range(0, max(count, 1), rows):
            here = min(rows, count - start)
            yield pd.DataFrame(
                {
                    name: _column(member, here, declared=name in domain.columns, empty=domain.missing_values)
                    for name, member in members.items()
                }
            )
        for name, member in members.items():
            # The checksum of an array is compared where it ends.
            if member.stream.read(1) and (len(member.shape) == 1 or name in domain.columns):
                raise RecordsError(
                    f"{path}: array {name!r} goes on after the {count:,} records of its header."
                )


def _column(member: _Member, rows: int, *, declared: bool, empty: Sequence[str]) -> pd.Series:
    if len(member.shape) > 1 and not declared:  # for the encoder to name; its values are not looked at
        return pd.Series([None] * rows, dtype=object)
    array = member.read(rows)
    if array.dtype.kind == "U":  # a text file's ways to say that a value is missing
        values = array.astype(object)
        values[np.isin(array, ["", *empty])] = None
        return pd.Series(values, dtype=object)
    return as_column(array)


def _fits(shape: tuple[int, ...], column: ArrayColumn) -> bool:
    return tuple(shape) == column.shape or (
        column.channels == 1
        and tuple(side for side in shape if side != 1) == tuple(s for s in column.shape if s != 1)
    )


def _check_lengths(source: str, lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {length:,}" for name, length in lengths.items())
        raise RecordsError(f"{source}: every array must have one entry for each record; {told}.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn a reader's errors into one that names the file; what they quote of the file stays out."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        if isinstance(error, RecordsError):
            raise
        why = re.sub(r"[^ -~]", "?", type(error).__name__)
        raise RecordsError(
            f"{path}: the file is damaged, incomplete, or not what its name says ({why})."
        ) from None
