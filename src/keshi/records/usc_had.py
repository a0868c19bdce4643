"""USC-HAD (Zhang & Sawchuk 2012): the official .mat tree, as a folder or a zip, and a compact npz of it.

Activity and trial come from the file name, the subject from the folder: fields of the official files
disagree with both, are misspelt, or are missing; only `sensor_readings` is read, and what the person is
like where it is asked for.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keshi.errors import DomainError, RecordsError
from keshi.records.windows import Recording

USC_HAD_RATE = 100.0  # samples per second
USC_HAD_CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")  # g, degrees per second
USC_HAD_ACTIVITIES = (
    "walking forward", "walking left", "walking right", "walking upstairs", "walking downstairs", "running",
    "jumping", "sitting", "standing", "sleeping", "elevator up", "elevator down",
)  # fmt: skip
USC_HAD_PEOPLE = ("age", "height", "weight")  # years, cm, kg; written as '27', '164cm', '43kg'
LARGEST_MAT_BYTES = 64 * 2**20  # the largest official file holds 0.7 MB; a zip bomb must not fill memory

_OF_A_TRIAL = ("activity", "subject", "trial")
_MAT_NAME = re.compile(r"^a(\d+)t(\d+)\.mat$", re.IGNORECASE)
_SUBJECT_NAME = re.compile(r"^subject[ _-]?(\d+)$", re.IGNORECASE)


def looks_like_usc_had(path: Path) -> bool:
    """Whether a folder or zip holds at least one file named as the official ones are."""
    return any(True for _ in _members(path))


def read_usc_had_tree(path: Path, *, further: Sequence[str] = ()) -> list[Recording]:
    """Read Subject<n>/a<activity>t<trial>.mat from a folder or zip, by subject, activity and trial.

    `further` names what of the person is kept with the recordings: age, height or weight.
    """
    _check_further(further)
    found: dict[tuple[int, int, int], tuple[str, bytes]] = {}
    for name, content in _members(path, contents=True):
        key = _key(name)
        if key in found:
            raise RecordsError(
                f"{path}: subject {key[0]}, activity {key[1]}, trial {key[2]} occurs twice: {found[key][0]} "
                f"and {name}. Keep one copy of the data set in the folder."
            )
        found[key] = (name, content)
    if not found:
        raise RecordsError(
            f"{path}: no file named Subject<n>/a<activity>t<trial>.mat was found in it. A folder or zip is "
            "read as USC-HAD; bring other recordings into one .csv or .npz file."
        )
    recordings = []
    for (subject, activity, trial), (name, content) in sorted(found.items()):
        x, person = _sensor_readings(f"{path}: {name}", content, further)
        recordings.append(Recording(x, activity, subject, trial, USC_HAD_RATE, person))
    return recordings


def is_compact_usc_had(arrays: dict[str, np.ndarray]) -> bool:
    """Whether npz arrays have the compact layout: per-trial first differences and accelerometer levels."""
    needed = {"length", *_OF_A_TRIAL, *USC_HAD_CHANNELS, "acc_x_levels"}
    return needed <= set(arrays)


def decode_compact_usc_had(
    arrays: dict[str, np.ndarray], source: str, *, further: Sequence[str] = ()
) -> list[Recording]:
    """Rebuild the trials of a compact npz: integrate the differences inside every trial, then rescale."""
    _check_further(further)
    length = arrays["length"].astype(np.int64)
    end = np.cumsum(length)
    total = int(end[-1])
    for names, size, one in ((_OF_A_TRIAL, len(length), "trial"), (USC_HAD_CHANNELS, total, "sample")):
        for name in names:
            if arrays[name].shape != (size,) or arrays[name].dtype.kind not in "iu":
                raise RecordsError(
                    f"{source}: {name} must hold a whole number for each {one}, of which there are {size:,}; got "
                    f"{arrays[name].dtype} of shape {arrays[name].shape}."
                )
    columns = []
    for name in USC_HAD_CHANNELS:
        running = np.cumsum(arrays[name].astype(np.int64))
        running -= np.repeat(np.r_[0, running[end[:-1] - 1]], length)
        # Accelerometers are stored as level numbers, gyroscopes in hundredths of a degree per second.
        columns.append(_levels(arrays, name, running, source) if name.startswith("acc") else running / 100.0)
    x = np.stack(columns, axis=1).astype(np.float32)
    parts = np.split(x, end[:-1])
    names_of_parts = zip(*(arrays[name].tolist() for name in _OF_A_TRIAL), strict=True)
    if further and "meta_json" not in arrays:
        raise RecordsError(f"{source} has no array 'meta_json' with {', '.join(further)} of the people.")
    fields = json.loads(str(arrays["meta_json"])) if further else [{}] * len(parts)
    people = [_person(one, further, f"{source}: meta_json") for one in fields]
    rows = zip(parts, names_of_parts, people, strict=True)
    return [Recording(part, a, s, t, USC_HAD_RATE, person) for part, (a, s, t), person in rows]


def _levels(arrays: dict[str, np.ndarray], name: str, codes: np.ndarray, source: str) -> np.ndarray:
    """What stands in the table of a channel for the codes."""
    table = arrays.get(name + "_levels", np.empty(0))
    # a code of -1 would be read as the last level
    if table.ndim != 1 or codes.min() < 0 or codes.max() >= len(table):
        raise RecordsError(
            f"{source}: {name} adds up to the level codes {codes.min()} to {codes.max()}, which must be places in "
            f"{name}_levels, of shape {table.shape}. Copy the file again."
        )
    return table[codes]


def _check_further(names: Sequence[str]) -> None:
    if absent := [name for name in names if name not in USC_HAD_PEOPLE]:
        raise DomainError(
            f"USC-HAD knows {', '.join(USC_HAD_PEOPLE)} of its people, and no {', '.join(absent)}."
        )


def _person(fields: dict[str, Any], names: Sequence[str], source: str) -> dict[str, float]:
    """The numbers in the fields of these names, without their units."""
    found = {}
    for name in names:
        text = str(np.asarray(fields.get(name, "")).squeeze())
        number = re.match(r"\s*(\d+(\.\d+)?)", text)
        if number is None:
            raise RecordsError(f"{source} has no number in its field {name!r}, but {text!r}.")
        found[name] = float(number[1])
    return found


def _key(name: str) -> tuple[int, int, int]:
    path = PurePosixPath(name.replace("\\", "/"))
    mat, person = _MAT_NAME.match(path.name), _SUBJECT_NAME.match(path.parent.name)
    assert mat is not None
    assert person is not None
    return int(person[1]), int(mat[1]), int(mat[2])


def _is_trial(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    if "__MACOSX" in path.parts:
        return False
    return bool(_MAT_NAME.match(path.name) and _SUBJECT_NAME.match(path.parent.name))


def _members(path: Path, *, contents: bool = False) -> Iterator[tuple[str, bytes]]:
    """Names and, if asked for, bytes of the trial files in a folder or a zip."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            # The folder itself may be Subject<n>, so its own name belongs to the name that is matched.
            name = f"{path.resolve().name}/{file.relative_to(path).as_posix()}"
            if file.is_file() and _is_trial(name):
                yield name, file.read_bytes() if contents else b""
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not _is_trial(info.filename):
                    continue
                if info.file_size > LARGEST_MAT_BYTES:
                    raise RecordsError(
                        f"{path}: {info.filename} unpacks to {info.file_size:,} bytes; a USC-HAD trial has "
                        f"at most {LARGEST_MAT_BYTES:,}."
                    )
                yield info.filename, archive.read(info) if contents else b""
    except zipfile.BadZipFile as error:
        raise RecordsError(f"{path} is not a complete zip file ({error}). Download it again.") from error


def _sensor_readings(
    source: str, content: bytes, further: Sequence[str]
) -> tuple[np.ndarray, dict[str, float]]:
    """The samples of one file, and what it says of its person."""
    from scipy.io import loadmat

    if not content:
        raise RecordsError(f"{source} is empty.")
    try:
        fields = loadmat(io.BytesIO(content), variable_names=["sensor_readings", *further])  # type: ignore[arg-type]
    except Exception as error:  # scipy lets many types escape from a damaged file (zlib, struct, its own)
        raise RecordsError(
            f"{source} is not a complete MATLAB file ({type(error).__name__}: {error}). Download it again."
        ) from error
    if "sensor_readings" not in fields:
        raise RecordsError(f"{source} has no field 'sensor_readings', which must hold samples x 6 channels.")
    x = fields["sensor_readings"]
    if x.ndim != 2 or x.shape[1] != len(USC_HAD_CHANNELS) or x.dtype.kind not in "fiu":
        raise RecordsError(
            f"{source}: 'sensor_readings' must be samples x 6 numbers, got {x.dtype} {x.shape}."
        )
    return x.astype(np.float32), _person(fields, further, source)
