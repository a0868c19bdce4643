"""Smart-watch shoulder exercises: 10 people, both arms, 7 exercises, out of the seglearn package.

The file is a pickle inside a .npy. It is never opened by numpy's own loader (which would execute whatever a
pickle says): first its SHA-256 must be right, then an unpickler reads it that can build numpy arrays and
nothing else.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keshi.datasets.verified import file_of_package, verified_bytes
from keshi.errors import RecordsError

SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
SOURCE = 'pip install "keshi[demo]" (seglearn 1.2.5)'
SAMPLES_PER_SECOND = 50


@dataclass(frozen=True)
class WatchData:
    """140 recordings, one per person, arm and exercise.

    `series` holds float64 arrays of shape (samples, 6) at 50 samples per second; `channels` names the six
    (accelerometer, then gyroscope; the source gives no units, the magnitudes fit g and rad/s). `subject`
    (1..10), `side` (0 left, 1 right) and `exercise` (0..6, an index into `exercises`) are int64 arrays of
    shape (140,).
    """

    series: tuple[np.ndarray, ...]
    subject: np.ndarray
    side: np.ndarray
    exercise: np.ndarray
    exercises: tuple[str, ...]
    channels: tuple[str, ...]
    samples_per_second: int = SAMPLES_PER_SECOND


def load_watch(path: Path | None = None) -> WatchData:
    """Recordings of 20 repetitions of seven shoulder exercises with a smart watch at the wrist.

    Licence: BSD 3-clause (part of seglearn, by D. Burns). Cite: Burns, Leung, Hardisty, Whyne, Henry,
    McLachlin, "Shoulder physiotherapy exercise recognition: machine learning the inertial signals from a
    smartwatch", Physiological Measurement 2018, arXiv:1802.01489.

    Args:
        path: the file `watch_dataset.npy` of seglearn 1.2.5; default: that of the installed package.

    Raises:
        RecordsError: seglearn is not installed, or the file is not the known one (it is then not opened at
            all).
    """
    path = path or file_of_package("seglearn", "data", "watch_dataset.npy")
    content = verified_bytes(Path(path), sha256=SHA256, source=SOURCE)
    found = read_object_array(content)
    series = tuple(np.ascontiguousarray(one, dtype=np.float64) for one in found["X"])
    return WatchData(
        series=series,
        subject=np.asarray(found["subject"], dtype=np.int64),
        side=np.asarray(found["side"], dtype=np.int64),
        exercise=np.asarray(found["y"], dtype=np.int64),
        exercises=tuple(str(name) for name in found["y_labels"]),
        channels=tuple(str(name) for name in found["X_labels"]),
    )


def _encode(text: str, encoding: str) -> bytes:
    """What protocol 2 asks of codecs.encode: bytes written as latin-1 text. No other codec is allowed."""
    if encoding != "latin1":
        raise RecordsError(f"the pickle asks for the codec {encoding!r}; only latin1 is allowed.")
    return text.encode("latin-1")


class ArraysOnlyUnpickler(pickle.Unpickler):
    """An unpickler that knows numpy's array and dtype constructors and refuses every other name.

    The file was written by an old numpy whose private module was called numpy.core; numpy 2 calls it
    numpy._core.
    """

    def find_class(self, module: str, name: str) -> Any:
        from numpy._core import multiarray

        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encode,
        }
        if (module, name) not in allowed:
            raise RecordsError(f"the pickle asks for {module}.{name}; only numpy arrays may be built.")
        return allowed[module, name]


def read_object_array(content: bytes) -> dict[str, Any]:
    """The dictionary inside a .npy of one pickled object, read with ArraysOnlyUnpickler.

    Raises:
        RecordsError: another format, or a pickle that asks for anything but arrays.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise RecordsError(f"the .npy has format version {version}; expected (1, 0).")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        if shape != () or dtype != np.dtype(object):
            raise RecordsError(f"the .npy holds {dtype} of shape {shape}; expected one object.")
        array = ArraysOnlyUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError, ValueError) as error:
        if isinstance(error, RecordsError):
            raise
        raise RecordsError(f"the .npy cannot be read: {error}.") from error
    found = array.item() if isinstance(array, np.ndarray) and array.shape == () else None
    if not isinstance(found, dict):
        raise RecordsError("the .npy holds no dictionary.")
    return found
