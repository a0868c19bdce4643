"""Recordings from files: the USC-HAD tree, csv, and npz. Tables of people are read elsewhere (files.py).

Every refusal names the file and the rule that was broken.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keshi._validate import positive
from keshi.errors import DomainError, RecordsError
from keshi.records.further import is_measurement
from keshi.records.usc_had import (
    decode_compact_usc_had,
    is_compact_usc_had,
    looks_like_usc_had,
    read_usc_had_tree,
)
from keshi.records.windows import Recording

CSV_SUFFIXES = (".csv", ".gz")
# What a whole number looks like where nothing is lost by reading it as one: 01, +1 and numbers beyond int64 are text.
WHOLE_NUMBER = re.compile(r"\s*(0|-?[1-9]\d{0,17})\s*")
CLOCK_STEPS = 100  # samples in a row, over all recordings, that tell a clock from a sensor


def read_recordings(
    path: str | Path,
    *,
    label: str = "label",
    subject: str = "subject",
    trial: str = "trial",
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    further: Sequence[str] = (),
) -> list[Recording]:
    """Read labelled recordings of several people.

    - a folder or zip of USC-HAD .mat files (Subject<n>/a<activity>t<trial>.mat): names say it all;
    - csv: a column each for label and subject, if present one for trial; all other columns (or those in
      `channels`) are channels. A contiguous run of one subject, label and trial is one recording;
    - npz: `x` (samples, channels), `length` per recording, and per recording an array each for label,
      subject and, if present, trial; or the same with one array a channel, named in `X_labels`. An array of names
      called as the label's with `_labels` behind says what its codes mean.

    Labels, subjects and trials of a csv are whole numbers where all of a column are written as such, and else text as
    it is written: 01 is not 1.

    Args:
        path: the file or folder.
        label, subject, trial: names of the columns or arrays; not used for USC-HAD. A trial column
            called "trial" is used where there is one, another name must exist.
        channels: csv only: the columns to use, such as to leave out a time stamp; all remaining ones by
            default.
        rate: samples per second, to note in the recordings where the file does not say it.
        further: names of other columns to keep with the recordings. In a csv a new value of a class begins a new
            recording, and measurements are kept sample by sample; an npz has one value a recording or a sample;
            USC-HAD has age (years), height (cm) and weight (kg) of the person.

    Raises:
        RecordsError: the file is missing, damaged, empty or of another layout, or has missing values.
        DomainError: a column or array that was named does not exist.
    """
    path = Path(path)
    if rate is not None:
        positive("rate", rate)
    if not path.exists():
        raise RecordsError(f"{path} does not exist.")
    if channels is not None and (path.is_dir() or path.suffix not in CSV_SUFFIXES):
        raise DomainError(
            f"channels= (--channels) chooses columns of a csv file, but {path} is none; leave it out."
        )
    if label == subject:
        raise DomainError(
            f"label and subject are both {label!r}: what is to be kept cannot be erased. Name two (--label, --subject)."
        )
    if taken := [name for name in further if name in (label, subject)]:
        raise DomainError(f"{', '.join(taken)}: label and subject are no further column; name another.")
    if path.is_dir():
        recordings = read_usc_had_tree(path, further=further)
    elif path.stat().st_size == 0:
        raise RecordsError(f"{path} is empty.")
    elif path.suffix == ".npz":
        recordings = _read_npz(path, label, subject, trial, rate, further)
    elif path.suffix == ".zip":
        if not looks_like_usc_had(path):
            raise RecordsError(
                f"{path}: no file named Subject<n>/a<activity>t<trial>.mat was found in it. A folder or zip is "
                "read as USC-HAD; bring other recordings into one .csv or .npz file."
            )
        recordings = read_usc_had_tree(path, further=further)
    elif path.suffix in CSV_SUFFIXES:
        recordings = _read_csv(path, label, subject, trial, channels, rate, further)
    else:
        raise RecordsError(
            f"{path}: recordings are read from a USC-HAD folder or zip, a .csv (.csv.gz) or a .npz file, "
            f"not from {path.suffix or 'a file without a suffix'}."
        )
    _refuse_missing_values(path, recordings)
    return recordings


def _read_csv(
    path: Path,
    label: str,
    subject: str,
    trial: str,
    channels: Sequence[str] | None,
    rate: float | None,
    further: Sequence[str],
) -> list[Recording]:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=dict.fromkeys((label, subject, trial), str))
    except pd.errors.EmptyDataError as error:
        raise RecordsError(f"{path} is empty.") from error
    except (pd.errors.ParserError, UnicodeDecodeError, EOFError, OSError) as error:
        raise RecordsError(f"{path} is not a readable csv file ({error}).") from error
    if table.empty:
        raise RecordsError(f"{path} has a header but no rows.")
    named = (label, subject, *_if_named(trial), *further)
    absent = [name for name in named if name not in table.columns]
    if absent:
        raise DomainError(
            f"{path} has no column {', '.join(map(repr, absent))}; it has {', '.join(table.columns)}. "
            "Name the right ones with label=, subject=, trial= and further= (--label, --subject, --trial, --use)."
        )
    amounts = [name for name in further if is_measurement(table[name].to_numpy())]
    classes = [name for name in further if name not in amounts]
    keys = [name for name in dict.fromkeys((subject, label, trial, *classes)) if name in table.columns]
    used = [name for name in table.columns if name not in (*keys, *amounts)]
    if channels is not None:
        used = list(channels)
        _check_channels(path, used, [*keys, *amounts], list(table.columns))
    if not used:
        raise DomainError(f"{path} has no channel: every column is a label, a subject or a trial.")
    text = [name for name in used if not pd.api.types.is_numeric_dtype(table[name])]
    if text:
        raise RecordsError(
            f"{path}: channels must be numbers, but {', '.join(map(repr, text))} hold other values. "
            "Name the columns that are channels with channels= (--channels ax,ay,az)."
        )
    unknown = [name for name in (*keys, *amounts) if table[name].isna().any()]
    if unknown:
        row = int(table[unknown[0]].isna().to_numpy().argmax()) + 2  # the header is line 1
        raise RecordsError(
            f"{path}: column {unknown[0]!r} has missing values, the first in line {row}. Cut such rows; a class called "
            "null, None or NA, which are read as missing, needs another name."
        )

    for name in (label, subject, trial):
        if name in keys and all(WHOLE_NUMBER.fullmatch(text) for text in table[name].unique()):
            table[name] = table[name].astype(np.int64)
    changes = (table[keys] != table[keys].shift()).any(axis=1).to_numpy()
    begins = np.flatnonzero(changes)
    if channels is None:
        _refuse_clocks(path, table[used], changes)
    x = table[used].to_numpy(dtype=np.float32)
    parts = np.split(x, begins[1:])
    firsts = table.iloc[begins]
    labels, subjects = firsts[label].tolist(), firsts[subject].tolist()
    trials = firsts[trial].tolist() if trial in keys else list(range(len(parts)))
    columns = {name: firsts[name].tolist() for name in classes}
    columns |= {name: np.split(table[name].to_numpy(), begins[1:]) for name in amounts}
    rows = zip(parts, labels, subjects, trials, strict=True)
    return [Recording(*row, rate, _of(columns, number)) for number, row in enumerate(rows)]


def _refuse_clocks(path: Path, table: Any, begins: np.ndarray) -> None:
    """Raise where a column is a time stamp or a row number: as a channel it would tell recordings apart."""
    within = ~begins[1:]
    if within.sum() < CLOCK_STEPS:
        return
    clocks = [name for name in table.columns if (np.diff(table[name].to_numpy())[within] > 0).all()]
    if clocks:
        raise RecordsError(
            f"{path}: {', '.join(map(repr, clocks))} only ever rises within a recording, as a time stamp or a row "
            "number does, and would tell which recording a window is of. Name the columns that are channels with "
            "channels= (--channels ax,ay,az)."
        )


def _check_channels(path: Path, channels: list[str], keys: list[str], columns: list[str]) -> None:
    absent = [name for name in channels if name not in columns]
    if absent:
        raise DomainError(
            f"{path} has no column {', '.join(map(repr, absent))}; it has {', '.join(columns)}. "
            "Name the right ones with channels= (--channels)."
        )
    if not channels or len(set(channels)) < len(channels) or set(channels) & set(keys):
        raise DomainError(
            f"{path}: channels must name at least one column, each once, and none that is the label, the "
            f"subject or the trial ({', '.join(keys)}); got {', '.join(map(repr, channels)) or 'none'}."
        )


def _read_npz(
    path: Path, label: str, subject: str, trial: str, rate: float | None, further: Sequence[str]
) -> list[Recording]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, KeyError) as error:
        raise RecordsError(f"{path} is not a complete npz file of plain arrays ({error}).") from error
    arrays = {name: _decoded(path, name, array) for name, array in arrays.items()}
    if "length" not in arrays:
        raise RecordsError(
            f"{path} has no array 'length' (samples per recording); it has {_names(arrays)}. Recordings "
            "are x (samples, channels), one after the other, with a length, a label and a subject each; windows that "
            "are cut already go to Censor in Python."
        )
    length = arrays["length"]
    if length.dtype.kind not in "iuf" or length.ndim != 1 or (length % 1 != 0).any():
        raise RecordsError(
            f"{path}: 'length' must hold one whole number per recording, its samples; got {length.dtype} of shape "
            f"{length.shape}."
        )
    length = length.astype(np.int64)
    if length.size == 0 or (length <= 0).any():
        raise RecordsError(f"{path}: 'length' must hold at least one recording, each of at least one sample.")
    if is_compact_usc_had(arrays):
        return decode_compact_usc_had(arrays, str(path), further=further)

    if "x" in arrays:
        x = arrays["x"]
    elif "X_labels" in arrays:
        # Channels in millionths, as whole numbers: the layout of the watch data.
        x = _named_channels(path, arrays) / 1e6
        label = "y" if label == "label" and "label" not in arrays else label
        trial = "side" if "side" in arrays and trial not in arrays else trial
    else:
        raise RecordsError(f"{path} has no array 'x' (samples, channels); it has {_names(arrays)}.")
    absent = [name for name in (label, subject, *_if_named(trial), *further) if name not in arrays]
    if absent:
        raise DomainError(
            f"{path} has no array {', '.join(map(repr, absent))}; it has {_names(arrays)}. Name the right ones with "
            "label=, subject=, trial= and further= (--label, --subject, --trial, --use)."
        )
    if x.ndim != 2 or x.dtype.kind not in "fiu" or len(x) != length.sum():
        raise RecordsError(
            f"{path}: the channels must be numbers (samples, channels), as many samples as 'length' adds up "
            f"to ({length.sum():,}); got {x.dtype} {x.shape}."
        )
    columns: list[Any] = [arrays[label], arrays[subject], arrays.get(trial, np.arange(len(length)))]
    for name, column in zip((label, subject, trial), columns, strict=True):
        if column.shape != length.shape:
            raise RecordsError(f"{path}: {name!r} must have one value per recording ({len(length)}).")
        if (column != column).any() or "" in column.tolist():  # NaN and NaT are not equal to themselves
            raise RecordsError(f"{path}: {name!r} has missing values. Leave such recordings out.")
    if label + "_labels" in arrays:
        columns[0] = _names_of_codes(path, label, columns[0], arrays[label + "_labels"])
    labels, subjects, trials = (column.tolist() for column in columns)
    borders = np.cumsum(length)[:-1]
    more = {name: _of_recordings(path, name, arrays[name], length, borders) for name in further}
    rows = zip(np.split(x.astype(np.float32), borders), labels, subjects, trials, strict=True)
    return [Recording(*row, rate, _of(more, number)) for number, row in enumerate(rows)]


def _decoded(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The array; one of bytes as the text that they are."""
    try:
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError as error:
        raise RecordsError(f"{path}: {name!r} holds bytes that are not UTF-8. Save them as text.") from error


def _named_channels(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The channels (samples, channels) that `X_labels` names."""
    channels = [str(name) for name in np.ravel(arrays["X_labels"])]
    if absent := [name for name in channels if name not in arrays]:
        raise RecordsError(
            f"{path}: 'X_labels' names the channels {', '.join(map(repr, absent))}, but there is no such array; it has "
            f"{_names(arrays)}."
        )
    found = [arrays[name] for name in channels]
    numbers = all(one.ndim == 1 and one.dtype.kind in "fiu" for one in found)
    if not numbers or len({one.shape for one in found}) != 1:
        got = ", ".join(f"{name} {arrays[name].dtype} {arrays[name].shape}" for name in channels) or "none"
        raise RecordsError(
            f"{path}: the channels in 'X_labels' must be numbers, as many samples each; got {got}."
        )
    return np.stack(found, axis=1)


def _names_of_codes(path: Path, label: str, codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The names that stand in `table` for the codes of the labels."""
    if codes.dtype.kind not in "iu" or table.ndim != 1:
        raise RecordsError(
            f"{path}: {label!r} must hold whole numbers, places in the list of names {label + '_labels'!r}; got "
            f"{codes.dtype}, and names of shape {table.shape}."
        )
    # a code of -1 would be read as the last name
    if wrong := np.unique(codes[(codes < 0) | (codes >= len(table))]).tolist():
        shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        raise RecordsError(
            f"{path}: {label!r} has the codes {shown}, but {label + '_labels'!r} names 0 to {len(table) - 1} only."
        )
    return table.astype(str)[codes]


def _of(columns: dict[str, list[Any]], number: int) -> dict[str, Any]:
    return {name: column[number] for name, column in columns.items()}


def _of_recordings(
    path: Path, name: str, column: np.ndarray, length: np.ndarray, borders: np.ndarray
) -> list[Any]:
    """A further array of an npz, by recording."""
    if column.shape == length.shape:
        return column.tolist()
    if column.shape != (length.sum(),) or column.dtype.kind not in "iuf":
        raise RecordsError(
            f"{path}: {name!r} must have one value per recording ({len(length)}) or one number per sample "
            f"({length.sum():,}); got {column.dtype} {column.shape}."
        )
    return np.split(column, borders)


def _if_named(trial: str) -> tuple[str, ...]:
    """The trial's column where the caller chose its name; the usual name may be absent."""
    return () if trial == "trial" else (trial,)


def _names(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(sorted(arrays)) or "none"


def _refuse_missing_values(path: Path, recordings: list[Recording]) -> None:
    for r in recordings:
        for name, value in r.further.items():
            if isinstance(value, float | np.ndarray) and not np.isfinite(value).all():
                raise RecordsError(
                    f"{path}: {name!r} has missing or infinite values, first in {r.name}. Fill or cut the gaps first."
                )
    bad = [r for r in recordings if not np.isfinite(r.x).all()]
    if bad:
        count = int((~np.isfinite(bad[0].x)).sum())
        raise RecordsError(
            f"{path}: {len(bad)} of {len(recordings)} recordings have missing or infinite values; first "
            f"{bad[0].name} ({count} values). Fill or cut the gaps first: a guess here would hide them."
        )
