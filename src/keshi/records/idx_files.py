"""idx files, as MNIST is published: a header of big-endian sizes, then the values. Images, and labels beside them."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import RecordsError

IMAGE, LABEL = "image", "label"  # names of the columns
IDX_NAME = re.compile(r"[.-]idx\d?(-ubyte)?(\.gz)?$")
_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def idx_pair(path: Path) -> tuple[Path, Path | None] | None:
    """The file of images and, by the official names, that of labels; None for a folder without any.

    Raises:
        RecordsError: if a folder has several files of images, or the file that is named is one of labels.
    """
    if path.is_dir():
        images = sorted(one for one in path.iterdir() if IDX_NAME.search(one.name) and "images" in one.name)
        if not images:
            return None
        if len(images) > 1:
            raise RecordsError(
                f"{path} has {len(images)} files of images ({', '.join(one.name for one in images)}); give one of them."
            )
        path = images[0]
    if "labels" in path.name:
        raise RecordsError(
            f"{path}: these are labels; give the file of images, and they are found beside it."
        )
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    stem = name.removesuffix(".gz")
    beside = (path.with_name(one) for one in (name, stem, f"{stem}.gz"))
    return path, next((one for one in beside if one != path and one.is_file()), None)


def idx_types(
    images: Path, labels: Path | None
) -> tuple[dict[str, str], dict[str, tuple[tuple[int, ...], str]]]:
    """Types of the columns, and shape and dtype of the images."""
    with _opened(images) as (_, shape, dtype):
        arrays = {IMAGE: (shape[1:], str(dtype.newbyteorder("=")))}
    types = {IMAGE: "array"}
    return (types if labels is None else {**types, LABEL: "code"}), arrays


def idx_batches(images: Path, labels: Path | None, *, rows: int) -> Iterator[pd.DataFrame]:
    """Batches of a table with the columns image and, where there are labels, label."""
    with _opened(images) as (stream, shape, dtype):
        if labels is None:
            for array in _batches(images, stream, shape, dtype, rows):
                yield pd.DataFrame({IMAGE: pd.Series(list(array), dtype=object)})
            return
        with _opened(labels) as (others, label_shape, label_dtype):
            if label_shape != shape[:1]:
                raise RecordsError(
                    f"{labels}: expected one label for each of the {shape[0]:,} images in {images.name}, got an "
                    f"array of shape {label_shape}."
                )
            pairs = zip(
                _batches(images, stream, shape, dtype, rows),
                _batches(labels, others, label_shape, label_dtype, rows),
                strict=True,
            )
            for array, classes in pairs:
                yield pd.DataFrame({IMAGE: pd.Series(list(array), dtype=object), LABEL: classes})


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """The stream behind the header, shape and dtype."""
    if not path.is_file():
        raise RecordsError(f"{path}: there is no such file.")
    with path.open("rb") as raw:
        with _readable(path):
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] == 0:
                raise RecordsError(
                    f"{path}: this is not an idx file; its first four bytes say no type and shape."
                )
            sizes = stream.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                raise RecordsError(f"{path}: the file ends within its header.")
            shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
            if math.prod(shape[1:]) > 2**24:
                raise RecordsError(
                    f"{path}: its header says records of shape {shape[1:]}, which no image has."
                )
        yield stream, shape, np.dtype(_DTYPES[head[2]])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn a reader's errors into one that names the file."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise RecordsError(f"{path}: the file is damaged or incomplete ({type(error).__name__}).") from None


def _batches(
    path: Path, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], rows: int
) -> Iterator[NDArray[Any]]:
    size = math.prod(shape[1:]) * dtype.itemsize
    for start in range(0, max(shape[0], 1), rows):
        here = min(rows, shape[0] - start)
        with _readable(path):
            data = stream.read(here * size)
        if len(data) < here * size:
            raise RecordsError(f"{path}: the file ends before the {shape[0]:,} records that its header says.")
        array = np.frombuffer(data, dtype).reshape(here, *shape[1:])
        yield array.astype(dtype.newbyteorder("="))
    with _readable(path):
        more = stream.read(1)
    if more:
        raise RecordsError(f"{path}: the file goes on after the {shape[0]:,} records that its header says.")
