"""A folder of pictures by class: CLASS/any-name.png. The class is the name of the folder. Needs Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import RecordsError
from keshi.records.column_kinds import Column, Image
from keshi.records.idx_files import IMAGE, LABEL

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}  # Pillow's modes that are arrays of bytes as they stand
_LEFT_BY_SYSTEMS = ("Thumbs.db", "desktop.ini")


def has_pictures(path: Path) -> bool:
    """Whether a folder holds folders of pictures."""
    return any(one.suffix.lower() in _ENDINGS for one in path.glob("*/*"))


def picture_types(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of the first picture: all others must be like it."""
    file, _ = picture_files(path)[0]
    with _opened(file) as picture:
        return _shape(file, picture), "uint8"


def picture_batches(path: Path, column: Column | None, *, rows: int) -> Iterator[pd.DataFrame]:
    """Batches of a table with the columns image and label.

    Args:
        path: The folder of folders.
        column: How the images are declared; None, or no image, takes the shape of the first.
        rows: Pictures in a batch.

    Raises:
        RecordsError: naming the first file that is no picture of that shape, or no picture.
    """
    files = picture_files(path)
    shape = column.shape if isinstance(column, Image) else picture_types(path)[0]
    for start in range(0, len(files), rows):
        some = files[start : start + rows]
        arrays = np.empty(len(some), dtype=object)
        for row, (file, _) in enumerate(some):
            arrays[row] = _pixels(file, shape)
        yield pd.DataFrame(
            {IMAGE: pd.Series(arrays), LABEL: pd.Series([label for _, label in some], dtype="str")}
        )


def picture_files(path: Path) -> list[tuple[Path, str]]:
    """Every picture with its class, in the order of names."""
    found: list[tuple[Path, str]] = []
    for folder in sorted(path.iterdir()):
        if folder.name.startswith(".") or folder.name in _LEFT_BY_SYSTEMS:
            continue
        if not folder.is_dir():
            raise RecordsError(
                f"{folder}: expected only folders here, one for each class; move the file away."
            )
        for file in sorted(folder.iterdir()):
            if file.name.startswith(".") or file.name in _LEFT_BY_SYSTEMS:
                continue
            if file.suffix.lower() not in _ENDINGS or not file.is_file():
                raise RecordsError(f"{file}: expected pictures ({', '.join(_ENDINGS)}) only; move it away.")
            found.append((file, folder.name))
    if not found:
        raise RecordsError(
            f"{path}: there is no picture in it; expected one folder of pictures for each class."
        )
    return found


def _pixels(file: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    with _opened(file) as picture:
        found = _shape(file, picture)
        if found != shape:  # before its pixels are decoded, however many its header says there are
            raise RecordsError(f"{file}: the picture is of shape {found}, and all must be of shape {shape}.")
        try:
            return np.asarray(picture)
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise RecordsError(f"{file}: the picture is damaged or incomplete.") from error


def _shape(file: Path, picture: Picture) -> tuple[int, ...]:
    if picture.mode not in _CHANNELS:
        raise RecordsError(
            f"{file}: a picture of mode {picture.mode} is not read; convert all to grey (L) or colour (RGB)."
        )
    channels = _CHANNELS[picture.mode]
    sides = (picture.height, picture.width)
    return sides if channels == 1 else (*sides, channels)


def _opened(file: Path) -> Picture:
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            return pillow.open(file, formats=(_ENDINGS[file.suffix.lower()],))
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise RecordsError(
            f"{file}: its header says more pixels than any picture of this kind has."
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise RecordsError(
            f"{file}: this is not the picture that its name says, or it is damaged."
        ) from error
